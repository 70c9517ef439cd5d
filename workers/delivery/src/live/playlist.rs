//! A playlist or manifest as it is sent, plain or packed.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::assets::entity_tag;

/// A playlist or manifest and its entity tag. Clones share what is packed.
#[derive(Debug, Clone)]
pub struct Playlist {
    /// UTF-8 text.
    pub bytes: Bytes,
    /// Strong, from the bytes.
    pub etag: String,
    packed: Arc<OnceLock<Bytes>>,
}

impl Playlist {
    /// Of its text.
    pub fn new(text: String) -> Self {
        let etag = entity_tag(text.as_bytes());
        Self { etag, bytes: Bytes::from(text), packed: Arc::default() }
    }

    /// The text in gzip (RFC 1952), packed once for all who take it so. The
    /// same bytes from every replica: there is no time in it.
    pub fn gzip(&self) -> Bytes {
        let pack = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let packed = encoder.write_all(&self.bytes).and_then(|()| encoder.finish());
            // Memory takes all that is written to it.
            packed.map_or_else(|_| Bytes::new(), Bytes::from)
        };
        self.packed.get_or_init(pack).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_packed_unpacks_to_the_text_and_is_the_same_each_time() {
        let text = "#EXTM3U\n#EXT-X-VERSION:10\n".repeat(40);
        let (one, other) = (Playlist::new(text.clone()), Playlist::new(text.clone()));
        let mut unpacked = String::new();
        GzDecoder::new(&*one.gzip()).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, text);
        assert_eq!(one.gzip(), other.gzip());
        assert!(one.gzip().len() < text.len() / 4);
    }
}
