//! Names of the children in the workers namespace, where streams of every
//! namespace meet.

use millrace_media::id::StreamId;
use sha2::{Digest, Sha256};

/// `<name>-<hash of the stream id>-<role>`: at most 40 + 1 + 8 + 1 + 9 = 59
/// characters, so that it is a DNS label. The whole namespace would not fit,
/// and `a-b` + `c` must not meet `a` + `b-c`.
pub(crate) fn child(stream: &StreamId, role: &str) -> String {
    let digest = hex::encode(Sha256::digest(stream.as_str()));
    let short = digest.get(..8).unwrap_or_default();
    format!("{}-{short}-{role}", stream.name())
}

/// The Secret with the publish keys, in the stream's own namespace.
pub(crate) fn publish_keys(stream: &StreamId) -> String {
    format!("{}-publish-keys", stream.name())
}

/// The Service that is the local name of the ingest, in the stream's own
/// namespace.
pub(crate) fn local_name(stream: &StreamId) -> String {
    format!("{}-rtmp", stream.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_is_still_a_dns_label() {
        let stream = StreamId::new(&"n".repeat(63), &"s".repeat(40)).unwrap();
        assert!(child(&stream, "transcode").len() <= 63);
        assert!(publish_keys(&stream).len() <= 63);
    }

    #[test]
    fn two_streams_of_one_name_have_different_children() {
        let one = StreamId::new("a", "keynote").unwrap();
        let other = StreamId::new("b", "keynote").unwrap();
        assert_ne!(child(&one, "ingest"), child(&other, "ingest"));
    }
}
