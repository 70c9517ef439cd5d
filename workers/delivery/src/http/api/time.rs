//! Times as the API says them.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use millrace_platform::wall;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// Milliseconds since 1970; as text RFC 3339, in UTC where we write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-31T12:34:56.789Z")]
pub struct Time(pub i64);

impl Time {
    /// From seconds since 1970.
    pub fn of_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// From microseconds since 1970.
    pub fn of_micros(micros: i64) -> Self {
        Self(micros.div_euclid(1_000))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&wall::rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like 2026-01-31T12:34:56Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                let time: Result<Timestamp, _> = text.parse();
                let ms = time.map(Timestamp::as_millisecond).ok();
                // Of what Postgres and RFC 3339 can take.
                let ms = ms.filter(|ms| (0..253_402_300_800_000).contains(ms));
                ms.map(Time).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
