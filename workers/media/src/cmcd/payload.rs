//! The payload's text (CTA-5004 §3): `key`, `key=value`, separated by commas;
//! a string in double quotes, with a backslash before a quote or a backslash.

use std::borrow::Cow;

use super::{InvalidCmcd, MAX_ID};

/// A URL-encoded text decoded. A `+` stays: only forms write it for a space.
pub(super) fn decode(encoded: &str) -> Result<Cow<'_, str>, InvalidCmcd> {
    if !encoded.contains('%') {
        return Ok(Cow::Borrowed(encoded));
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| digit.and_then(hex_digit));
        let [Some(high), Some(low)] = digits else { return Err(InvalidCmcd::Encoding) };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| InvalidCmcd::Encoding)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A value as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'t> {
    /// The key alone: true.
    Absent,
    /// Not in quotes: a number or a token.
    Bare(&'t str),
    /// Between quotes, escapes as they stand.
    Quoted(&'t str),
}

impl<'t> Value<'t> {
    /// A whole number, 0 to 4,294,967,295.
    pub(super) fn integer(self, key: &'static str) -> Result<u32, InvalidCmcd> {
        let Self::Bare(text) = self else { return Err(InvalidCmcd::Value(key)) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(InvalidCmcd::Value(key))
    }

    /// A decimal number in thousandths, at most 1,000,000 of them; what is
    /// finer is cut off.
    pub(super) fn permille(self, key: &'static str) -> Result<u32, InvalidCmcd> {
        let wrong = InvalidCmcd::Value(key);
        let Self::Bare(text) = self else { return Err(wrong) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| {
            !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole) || !digits(fraction) {
            return Err(wrong);
        }
        let whole: u32 = whole.parse().map_err(|_| wrong)?;
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        let thousandths: u32 = thousandths.parse().map_err(|_| wrong)?;
        let sum = whole.checked_mul(1_000).and_then(|n| n.checked_add(thousandths));
        sum.filter(|n| *n <= 1_000_000).ok_or(wrong)
    }

    /// True where the key stands alone.
    pub(super) fn boolean(self, key: &'static str) -> Result<bool, InvalidCmcd> {
        match self {
            Self::Absent | Self::Bare("true") => Ok(true),
            Self::Bare("false") => Ok(false),
            _ => Err(InvalidCmcd::Value(key)),
        }
    }

    /// One of a fixed set of words.
    pub(super) fn token(self, key: &'static str) -> Result<&'t str, InvalidCmcd> {
        match self {
            Self::Bare(text) => Ok(text),
            _ => Err(InvalidCmcd::Value(key)),
        }
    }

    /// A string without its escapes.
    pub(super) fn text(self, key: &'static str) -> Result<String, InvalidCmcd> {
        let Self::Quoted(text) = self else { return Err(InvalidCmcd::Value(key)) };
        let (mut plain, mut escaped) = (String::with_capacity(text.len()), false);
        for character in text.chars() {
            if character == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if character.is_control() || (escaped && !matches!(character, '"' | '\\')) {
                return Err(InvalidCmcd::Value(key));
            }
            escaped = false;
            plain.push(character);
        }
        Ok(plain)
    }

    /// A string of 1 to 64 characters.
    pub(super) fn id(self, key: &'static str) -> Result<String, InvalidCmcd> {
        let text = self.text(key)?;
        let fits = (1..=MAX_ID).contains(&text.chars().count());
        if fits { Ok(text) } else { Err(InvalidCmcd::Value(key)) }
    }
}

/// The keys and values of a payload, in their order; ends after an error.
pub(super) struct Items<'t> {
    rest: Option<&'t str>,
}

impl<'t> Items<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: Some(text).filter(|text| !text.is_empty()) }
    }
}

impl<'t> Iterator for Items<'t> {
    type Item = Result<(&'t str, Value<'t>), InvalidCmcd>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let Some((item, rest)) = first(text) else { return Some(Err(InvalidCmcd::Syntax)) };
        self.rest = rest;
        Some(Ok(item))
    }
}

type Item<'t> = (&'t str, Value<'t>);

/// The first item and, after a comma, the rest; none if it is no item.
fn first(text: &str) -> Option<(Item<'_>, Option<&str>)> {
    let end = text.find([',', '=']).unwrap_or(text.len());
    let (key, after) = text.split_at_checked(end)?;
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return None;
    }
    let Some(value) = after.strip_prefix('=') else {
        return Some(((key, Value::Absent), after.strip_prefix(',')));
    };
    let (value, after) = if let Some(text) = value.strip_prefix('"') {
        let (quoted, after) = text.split_at_checked(closing_quote(text)?)?;
        (Value::Quoted(quoted), after.strip_prefix('"')?)
    } else {
        let (bare, after) = value.split_at_checked(value.find(',').unwrap_or(value.len()))?;
        // A space may stand nowhere but in a string.
        let fits = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        fits.then_some((Value::Bare(bare), after))?
    };
    let rest = if after.is_empty() { None } else { Some(after.strip_prefix(',')?) };
    Some(((key, value), rest))
}

/// Where the quote is that ends a string.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}
