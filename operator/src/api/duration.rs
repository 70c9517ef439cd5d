//! A length of time as people write it in a manifest: `200ms`, `60s`, `15m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// One whole number, at most six digits, and one unit: `ms`, `s`, `m` or `h`.
///
/// A subset of what CEL's `duration()` and Go read, so that rules in the
/// schema can compare it. It is written back as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    text: String,
    value: time::Duration,
}

/// The text is no duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a duration such as 200ms, 60s, 15m or 4h (at most six digits)")]
pub struct InvalidDuration(String);

impl Duration {
    /// From whole seconds, at most 999,999.
    pub fn from_secs(seconds: u32) -> Self {
        Self { text: format!("{seconds}s"), value: time::Duration::from_secs(u64::from(seconds)) }
    }

    /// From whole minutes, at most 999,999.
    pub fn from_minutes(minutes: u32) -> Self {
        Self {
            text: format!("{minutes}m"),
            value: time::Duration::from_secs(u64::from(minutes) * 60),
        }
    }

    /// From whole milliseconds, at most 999,999.
    pub fn from_millis(ms: u32) -> Self {
        Self { text: format!("{ms}ms"), value: time::Duration::from_millis(u64::from(ms)) }
    }

    /// The time it stands for.
    pub fn get(&self) -> time::Duration {
        self.value
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let err = || InvalidDuration(text.chars().take(40).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(err)?;
        if !(1..=6).contains(&digits) {
            return Err(err());
        }
        let number: u64 = number.parse().map_err(|_| err())?;
        let value = match unit {
            "ms" => time::Duration::from_millis(number),
            "s" => time::Duration::from_secs(number),
            "m" => time::Duration::from_secs(number * 60),
            "h" => time::Duration::from_secs(number * 3_600),
            _ => return Err(err()),
        };
        Ok(Self { text: text.to_owned(), value })
    }
}

impl TryFrom<String> for Duration {
    type Error = InvalidDuration;
    fn try_from(text: String) -> Result<Self, InvalidDuration> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.text
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 8,
            "pattern": "^[0-9]{1,6}(ms|s|m|h)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit_and_writes_back_what_it_read() {
        for (text, ms) in [("200ms", 200), ("60s", 60_000), ("15m", 900_000), ("4h", 14_400_000)] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get().as_millis(), ms);
            assert_eq!(duration.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_the_pattern_refuses() {
        for bad in ["", "s", "5", "-1s", "1.5s", "1d", "1h30m", "1234567s", "١s", " 1s"] {
            assert!(bad.parse::<Duration>().is_err(), "{bad}");
        }
    }
}
