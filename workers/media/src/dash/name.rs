//! The name of a segment by its time, which `SegmentTemplate@media` can make.

use std::fmt;
use std::str::FromStr;

use crate::published::InvalidMediaName;

/// As `SegmentTemplate@media` has it.
pub(super) const TEMPLATE: &str = "at-$Time$.m4s";

/// `at-<time>.m4s`: the segment of a rendition that begins at this time.
///
/// Whole or growing, whoever made it: a broadcast has one for each time, and
/// its bytes are its parts'. Only where parts were lost and it was made again
/// are there others: a body that had begun breaks off then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimedName(
    /// Its start in the rendition's timescale, 0 for one that begins before.
    pub u64,
);

impl fmt::Display for TimedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at-{}.m4s", self.0)
    }
}

impl FromStr for TimedName {
    type Err = InvalidMediaName;

    fn from_str(text: &str) -> Result<Self, InvalidMediaName> {
        let time = text.strip_prefix("at-").and_then(|text| text.strip_suffix(".m4s"));
        let time = time.and_then(|time| time.parse().ok()).map(Self);
        // In its one spelling.
        time.filter(|name| name.to_string() == text).ok_or(InvalidMediaName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_have_one_spelling_and_are_as_the_template_makes_them() {
        let name = TEMPLATE.replace("$Time$", "180000");
        assert_eq!(name.parse::<TimedName>().unwrap().to_string(), name);
        for bad in ["at-01.m4s", "at--1.m4s", "at-+1.m4s", "at-.m4s", "at-1.mp4", "7-1.m4s"] {
            assert!(bad.parse::<TimedName>().is_err(), "{bad}");
        }
    }
}
