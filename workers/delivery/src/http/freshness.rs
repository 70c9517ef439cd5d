//! How long caches may keep an answer (RFC 9111): those of browsers, and those
//! between them and us that many viewers share. What a cache has kept it tells
//! by `Age`, which low-latency players reckon with (RFC 8216bis Appendix C).

use axum::http::HeaderValue;

/// What an answer is to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Media or a file named by its content: its URL never gets other bytes.
    Immutable,
    /// What is over: nothing will change, but it may be deleted.
    Final,
    /// A playlist that was waited for, with its target duration in seconds.
    /// It stays an answer to its request: six target durations (RFC 8216bis
    /// Appendix B.1).
    Blocking(u64),
    /// A playlist or manifest as it is now, with its target duration in
    /// seconds. Shared caches keep it for half of that (the same clause), a
    /// browser asks each time: its tag makes that cheap.
    Current(u64),
    /// A page. A next version may name other files.
    Page,
    /// It may be otherwise in a moment, and is the same for all who ask until
    /// then. The clause would keep errors for one target duration and more; a
    /// viewer who comes just before a broadcast begins should not wait so long.
    Fleeting,
    /// For whoever asked alone, whose browser may keep it for so many seconds.
    Private(u64),
    /// Of this moment, this replica or this request.
    Never,
}

impl Freshness {
    /// The same for an answer that another gets only after a look at who asks.
    #[must_use]
    pub fn for_one(self) -> Self {
        match self {
            Self::Blocking(target) => Self::Private(target.saturating_mul(6)),
            Self::Final => Self::Private(60),
            Self::Immutable | Self::Current(_) | Self::Page | Self::Fleeting => Self::Private(0),
            Self::Private(_) | Self::Never => self,
        }
    }

    /// The value of `Cache-Control`.
    pub fn header(self) -> HeaderValue {
        let shared = |seconds: u64| format!("public, max-age=0, s-maxage={seconds}");
        let text = match self {
            Self::Immutable => "public, max-age=31536000, immutable".to_owned(),
            Self::Final => "public, max-age=60".to_owned(),
            Self::Blocking(target) => format!("public, max-age={}", target.saturating_mul(6)),
            Self::Current(target) => shared((target / 2).max(1)),
            Self::Page => shared(10),
            Self::Fleeting => "public, max-age=1".to_owned(),
            Self::Private(seconds) => format!("private, max-age={seconds}"),
            Self::Never => "no-store".to_owned(),
        };
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("no-store"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_is_kept_by_its_target_duration() {
        for (freshness, told) in [
            (Freshness::Blocking(2), "public, max-age=12"),
            (Freshness::Current(1), "public, max-age=0, s-maxage=1"),
            (Freshness::Current(2), "public, max-age=0, s-maxage=1"),
            (Freshness::Current(6), "public, max-age=0, s-maxage=3"),
        ] {
            assert_eq!(freshness.header(), told);
        }
    }
}
