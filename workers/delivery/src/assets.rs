//! The web pages in the binary: which file has which name, type and tag.

use sha2::{Digest, Sha256};

/// Name under `web/dist` and content, made by `build.rs`.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One embedded file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Path under `dist`, for example `assets/player-ABCD1234.js`.
    pub name: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

impl Asset {
    /// The file of this name.
    pub fn find(name: &str) -> Option<Self> {
        FILES.iter().find(|(n, _)| *n == name).map(|(name, bytes)| Self { name, bytes })
    }

    /// Media type by the name's extension.
    pub fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }

    /// Strong entity tag of the content, with its quotes.
    pub fn etag(&self) -> String {
        entity_tag(self.bytes)
    }
}

/// A strong entity tag (RFC 9110 §8.8.3) made of the content alone, so that
/// every replica gives the same.
pub fn entity_tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("\"{}\"", hex::encode(digest.get(..12).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_and_what_they_name_are_in_the_binary() {
        for page in ["watch.html", "embed.html", "index.html", "dashboard.html"] {
            let html = std::str::from_utf8(Asset::find(page).unwrap().bytes).unwrap();
            let named: Vec<_> = html
                .split('"')
                .filter_map(|t| t.strip_prefix('/'))
                .filter(|t| t.starts_with("assets/"))
                .collect();
            assert!(named.len() >= 2, "{page} names a script and a style");
            for name in named {
                assert!(Asset::find(name).is_some(), "{page} names {name}");
            }
        }
    }
}
