//! Byte ranges of a request (RFC 9110 §14.2), as pure arithmetic.

use std::ops::Range;

/// What a `Range` header asks of a body of a known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The whole body: no header, not bytes, several ranges, or not
    /// understood (a server may ignore the header, §14.2).
    Whole,
    /// These bytes; within the body and not empty.
    Bytes(Range<usize>),
    /// Nothing of the body: 416.
    Unsatisfiable,
}

/// Reads a `Range` header's value for a body of `length` bytes.
pub fn asked(header: Option<&str>, length: usize) -> Asked {
    let Some(spec) = header.and_then(|h| h.strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Asked::Whole;
    };
    let number = |text: &str| -> Option<usize> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number beyond any length means "to the end".
        digits.then(|| text.parse().unwrap_or(usize::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => within(first..length, length),
        (Some(first), Some(last)) if first <= last => {
            within(first..last.saturating_add(1).min(length), length)
        }
        (None, Some(suffix)) if first.is_empty() => {
            within(length.saturating_sub(suffix)..length, length)
        }
        _ => Asked::Whole,
    }
}

fn within(range: Range<usize>, length: usize) -> Asked {
    if range.start < length && !range.is_empty() {
        Asked::Bytes(range)
    } else {
        Asked::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_clause_says() {
        for (header, expected) in [
            ("bytes=0-0", Asked::Bytes(0..1)),
            ("bytes=2-", Asked::Bytes(2..10)),
            ("bytes=2-99999999999999999999999", Asked::Bytes(2..10)),
            ("bytes=-3", Asked::Bytes(7..10)),
            ("bytes=-30", Asked::Bytes(0..10)),
            ("bytes=10-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("lines=1-2", Asked::Whole),
        ] {
            assert_eq!(asked(Some(header), 10), expected, "{header}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Unsatisfiable);
    }
}
