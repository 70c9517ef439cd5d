//! For which streams a token is.

use std::fmt;
use std::str::FromStr;

use millrace_media::id::StreamId;

/// Streams, as `*`, `<namespace>.*` or `<namespace>.<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamPattern {
    /// All.
    All,
    /// Those of a namespace.
    Namespace(String),
    /// One.
    Stream(StreamId),
}

/// A text that is no pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not streams: *, <namespace>.* or <namespace>.<name>")]
pub struct InvalidPattern;

impl FromStr for StreamPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some(namespace) = text.strip_suffix(".*") {
            // A name that is right, so that the namespace decides.
            let stream = StreamId::new(namespace, "x").map_err(|_| InvalidPattern)?;
            return Ok(Self::Namespace(stream.namespace().to_owned()));
        }
        text.parse().map(Self::Stream).map_err(|_| InvalidPattern)
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Namespace(namespace) => write!(f, "{namespace}.*"),
            Self::Stream(stream) => write!(f, "{stream}"),
        }
    }
}

/// Streams that any of some patterns names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPatterns(Vec<StreamPattern>);

impl StreamPatterns {
    /// Most that a token has.
    pub const MOST: usize = 64;

    /// Whether a token can have them: some, and not too many.
    pub fn fit(&self) -> bool {
        (1..=Self::MOST).contains(&self.0.len())
    }

    /// Whether the stream is one of them.
    pub fn include(&self, stream: &StreamId) -> bool {
        self.0.iter().any(|pattern| match pattern {
            StreamPattern::All => true,
            StreamPattern::Namespace(namespace) => stream.namespace() == namespace,
            StreamPattern::Stream(one) => one == stream,
        })
    }

    /// Whether they are all there are and will be.
    pub fn are_all(&self) -> bool {
        self.0.contains(&StreamPattern::All)
    }

    /// As people write them.
    pub fn to_texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl FromIterator<StreamPattern> for StreamPatterns {
    fn from_iter<I: IntoIterator<Item = StreamPattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_includes_what_it_names_and_nothing_beside_it() {
        let stream: StreamId = "events.keynote".parse().unwrap();
        for (text, includes) in [
            ("*", true),
            ("events.*", true),
            ("events.keynote", true),
            ("event.*", false),
            ("events-2.*", false),
            ("events.keynote2", false),
        ] {
            let patterns: StreamPatterns = [text.parse().unwrap()].into_iter().collect();
            assert_eq!(patterns.include(&stream), includes, "{text}");
            assert_eq!(patterns.to_texts(), [text]);
        }
        for bad in ["", "**", "*.*", "*.keynote", "events", "events.", ".*", "Events.*", "a.b.*"] {
            assert_eq!(bad.parse::<StreamPattern>(), Err(InvalidPattern), "{bad}");
        }
    }
}
