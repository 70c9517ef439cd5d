//! Single values within their bounds; every error names the field.

use std::ops::RangeInclusive;
use std::time;

use crate::api::duration::Duration;

use super::InvalidSpec;

pub(super) fn invalid(field: impl Into<String>, why: impl Into<String>) -> InvalidSpec {
    InvalidSpec { field: field.into(), why: why.into() }
}

/// A DNS label (RFC 1123) of at most `max` characters.
pub(super) fn label(field: &str, text: &str, max: usize) -> Result<(), InvalidSpec> {
    if text.len() <= max && is_label(text) {
        return Ok(());
    }
    Err(invalid(
        field,
        format!(
            "{:?} is not a DNS label (a-z, 0-9 and -) of at most {max} characters",
            shown(text)
        ),
    ))
}

/// A DNS subdomain (RFC 1123): labels with dots between, at most 253 characters.
pub(super) fn subdomain(field: &str, text: &str) -> Result<(), InvalidSpec> {
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(());
    }
    Err(invalid(field, format!("{:?} is not a DNS name of at most 253 characters", shown(text))))
}

fn is_label(text: &str) -> bool {
    let good = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(good)
        && bytes.last().is_some_and(good)
        && bytes.iter().all(|b| good(b) || *b == b'-')
}

/// The key of a label or taint: a name of at most 63 characters, with a DNS
/// name and `/` before it or without.
pub(super) fn qualified_name(field: &str, text: &str) -> Result<(), InvalidSpec> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if let Some(prefix) = prefix {
        subdomain(field, prefix)?;
    }
    if is_label_text(name) && !name.is_empty() {
        return Ok(());
    }
    Err(invalid(field, format!("{:?} is not the key of a label", shown(text))))
}

/// The value of a label or taint; may be empty.
pub(super) fn label_value(field: &str, text: &str) -> Result<(), InvalidSpec> {
    if is_label_text(text) {
        return Ok(());
    }
    Err(invalid(
        field,
        format!(
            "{:?} is not the value of a label (A-Z, a-z, 0-9, -, _ and ., at most 63 characters)",
            shown(text)
        ),
    ))
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    text.len() <= 63
        && ends.into_iter().flatten().all(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A number of a range.
pub(super) fn number(
    field: &str,
    value: u32,
    range: RangeInclusive<u32>,
) -> Result<(), InvalidSpec> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(field, format!("is {value}, expected {} to {}", range.start(), range.end())))
}

/// A duration between two others, whole milliseconds.
pub(super) fn duration(
    field: &str,
    value: &Duration,
    min: &str,
    max: &str,
) -> Result<time::Duration, InvalidSpec> {
    let bound =
        |text: &str| text.parse::<Duration>().map_err(|error| invalid(field, error.to_string()));
    if value.get() < bound(min)?.get() || value.get() > bound(max)?.get() {
        return Err(invalid(field, format!("is {value}, expected {min} to {max}")));
    }
    Ok(value.get())
}

/// The same, in whole seconds.
pub(super) fn whole_seconds(
    field: &str,
    value: &Duration,
    min: &str,
    max: &str,
) -> Result<time::Duration, InvalidSpec> {
    let checked = duration(field, value, min, max)?;
    if checked.subsec_nanos() == 0 {
        return Ok(checked);
    }
    Err(invalid(field, format!("is {value}, expected whole seconds")))
}
