//! What can be read from a variable.

use std::net::IpAddr;
use std::path::PathBuf;

use millrace_media::id::StreamId;
use millrace_media::ladder::Rung;
use millrace_media::published::Access;

/// A value that has a text form in the environment. Binaries implement it for
/// their own settings.
pub trait Setting: Sized {
    /// What the report says is expected, for example `true or false`.
    const EXPECTED: &'static str;
    /// The report must not show what was found.
    const SECRET: bool = false;
    /// From a text that is not empty.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! from_str {
    ($($type:ty: $expected:literal),+ $(,)?) => {$(
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

from_str! {
    u16: "a whole number from 0 to 65535",
    u32: "a whole number, at least 0",
    u64: "a whole number, at least 0",
    usize: "a whole number, at least 0",
    i64: "a whole number",
    String: "a text",
    PathBuf: "a path",
    IpAddr: "an IP address",
    StreamId: "<namespace>.<name>, both DNS labels (the name at most 40 characters)",
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";
    fn parse(text: &str) -> Option<Self> {
        match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

impl Setting for Access {
    const EXPECTED: &'static str = "Public or Token";
    fn parse(text: &str) -> Option<Self> {
        match text {
            "Public" => Some(Self::Public),
            "Token" => Some(Self::Token),
            _ => None,
        }
    }
}

/// The ladder. Names are unique; there is at least one rung.
impl Setting for Vec<Rung> {
    const EXPECTED: &'static str =
        "a JSON list of {\"name\",\"height\",\"bitrateKbps\"} with unique names";
    fn parse(text: &str) -> Option<Self> {
        let rungs: Self = serde_json::from_str(text).ok()?;
        let names: std::collections::BTreeSet<_> = rungs.iter().map(|r| &r.name).collect();
        (!rungs.is_empty() && names.len() == rungs.len()).then_some(rungs)
    }
}
