//! Names and numbers that identify things, parsed once at the edge.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not the identifier it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} {text:?}: {why}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    why: &'static str,
}

impl InvalidId {
    fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        // Never echo more than a line of what a stranger sent.
        Self { what, text: text.chars().take(80).collect(), why }
    }
}

/// `<namespace>.<name>` of a `LiveStream`.
///
/// A namespace is a DNS label of at most 63 characters, a name one of at most
/// 40, so that every child's name and the topic fit their limits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId {
    text: Arc<str>,
    dot: usize,
}

impl StreamId {
    /// From its two halves.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidId> {
        format!("{namespace}.{name}").parse()
    }

    /// The namespace half.
    pub fn namespace(&self) -> &str {
        self.text.get(..self.dot).unwrap_or_default()
    }

    /// The name half.
    pub fn name(&self) -> &str {
        self.text.get(self.dot + 1..).unwrap_or_default()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_dns_label(text: &str, max: usize) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    bytes.len() <= max
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

impl FromStr for StreamId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let err = |why| InvalidId::new("stream id", text, why);
        let (namespace, name) = text.split_once('.').ok_or_else(|| err("has no dot"))?;
        if !is_dns_label(namespace, 63) {
            return Err(err("the namespace is not a DNS label of at most 63 characters"));
        }
        if !is_dns_label(name, 40) {
            return Err(err("the name is not a DNS label of at most 40 characters"));
        }
        Ok(Self { dot: namespace.len(), text: text.into() })
    }
}

impl TryFrom<String> for StreamId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.text.as_ref().into()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One broadcast of a stream: a UUIDv7, so that later ones sort later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BroadcastId(pub Uuid);

impl BroadcastId {
    /// When it was made, ms since 1970, as its first 48 bits say (RFC 9562
    /// §5.7).
    pub fn made_ms(self) -> u128 {
        self.0.as_u128() >> 80
    }
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for BroadcastId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| InvalidId::new("broadcast id", text, "is not a UUID"))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// One accepted publisher connection. Only grows; a higher one fences a
    /// lower one. The first is 1.
    Epoch
);
number!(
    /// One encoder's uninterrupted work, numbered by the writer's claim. The
    /// first is 1; higher fences lower.
    Run
);
number!(
    /// Media sequence number: floor(timeline / segment duration).
    Msn
);

/// The name of one rendition: a rung of the ladder (`720p`) or the audio group.
///
/// 1 to 32 characters of `a-z`, `0-9` and `-`; it stands in URLs and keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RenditionName(String);

impl RenditionName {
    /// The rendition that carries the audio group.
    pub fn audio() -> Self {
        Self("audio".to_owned())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RenditionName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_dns_label(text, 32) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "rendition name",
                text,
                "is not 1 to 32 characters of a-z, 0-9 and - (none at its ends)",
            ))
        }
    }
}

impl TryFrom<String> for RenditionName {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<RenditionName> for String {
    fn from(name: RenditionName) -> Self {
        name.0
    }
}

impl fmt::Display for RenditionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public half of a publish key: 4 to 32 ASCII letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(text.to_owned()))
        } else {
            // A mistyped key may carry its secret here: the text stays out.
            Err(InvalidId::new("key id", "", "is not 4 to 32 letters and digits"))
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<key id>_<secret>`: what a broadcaster secretly has. `Debug` hides the
/// secret and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishKey {
    id: KeyId,
    secret: String,
}

impl PublishKey {
    /// Longest secret accepted, in bytes (bcrypt reads 72).
    pub const MAX_SECRET: usize = 72;

    /// From its halves. The secret is 16 to 72 printable ASCII characters.
    pub fn new(id: KeyId, secret: String) -> Result<Self, InvalidId> {
        let length = 16..=Self::MAX_SECRET;
        if length.contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self { id, secret })
        } else {
            Err(InvalidId::new(
                "publish key",
                "",
                "the secret is not 16 to 72 printable characters",
            ))
        }
    }

    /// The public half.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The secret half. Its callers hash it, compare it, or put it in a Secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole key, for the one place that shows it to its owner.
    pub fn reveal(&self) -> String {
        format!("{}_{}", self.id, self.secret)
    }
}

impl FromStr for PublishKey {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (id, secret) = text
            .split_once('_')
            .ok_or_else(|| InvalidId::new("publish key", "", "is not <key id>_<secret>"))?;
        Self::new(id.parse()?, secret.to_owned())
    }
}

impl fmt::Debug for PublishKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishKey({}_…)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_id_splits_at_the_first_dot() {
        let id: StreamId = "events.keynote".parse().unwrap();
        assert_eq!((id.namespace(), id.name()), ("events", "keynote"));
    }

    #[test]
    fn a_stream_id_refuses_what_is_no_dns_label() {
        for bad in ["", "a", ".a", "a.", "a.B", "a.b.c", "a.-b", &format!("a.{}", "x".repeat(41))] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_publish_key_hides_its_secret() {
        let key: PublishKey = "abcd1234_0123456789abcdef_-x".parse().unwrap();
        assert_eq!(key.secret(), "0123456789abcdef_-x");
        assert!(!format!("{key:?}").contains("0123"));
        let wrong = "nounderscore-but-secret".parse::<PublishKey>().unwrap_err();
        assert!(!wrong.to_string().contains("secret-"), "{wrong}");
    }
}
