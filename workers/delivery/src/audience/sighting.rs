//! One sign of a viewer.

use std::net::IpAddr;

use millrace_media::cmcd::{Cmcd, ObjectType};
use millrace_media::id::{BroadcastId, RenditionName};
use millrace_platform::postgres::sessions::SessionSource;
use millrace_platform::redis::viewers::{Sign, Viewer};
use sha2::{Digest, Sha256};

/// What one request says of a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who.
    pub viewer: Viewer,
    /// Where it is, as one is counted; none where that is not known.
    pub network: Option<IpAddr>,
    /// How that is known.
    pub source: SessionSource,
    /// Watching or gone.
    pub sign: Sign,
    /// The guess that this viewer's requests would make.
    pub covers: Option<Viewer>,
    /// What it watches.
    pub broadcast: BroadcastId,
    /// The rung, where it is known.
    pub rendition: Option<RenditionName>,
    /// Stalls in all, where the player counts them.
    pub stalls: u32,
    /// Stalls seen beside that count.
    pub more_stalls: u32,
    /// Frames its decoder dropped in all.
    pub dropped_frames: u64,
    /// Time watched in all, ms, where the player counts it.
    pub watch_ms: Option<u64>,
}

impl Sighting {
    /// Of a request for media or a playlist, from wherever; none if nothing
    /// tells who asks.
    /// `guess` is the name its client has without CMCD.
    pub fn of_request(
        cmcd: Option<&Cmcd>,
        guess: Option<Viewer>,
        broadcast: BroadcastId,
        rung: Option<RenditionName>,
    ) -> Option<Self> {
        // What our player tells, its beacon tells better, and when it left: its
        // requests say no more than others'.
        let cmcd = cmcd.filter(|cmcd| !cmcd.session.as_deref().is_some_and(is_our_player));
        let session = cmcd.and_then(|cmcd| cmcd.session.as_deref()).and_then(session_name);
        // CTA-5004 §3.1, bs: with another object's type it is that buffer's
        // matter, and told again with the video's.
        let video = |object: Option<ObjectType>| {
            !matches!(object, Some(ObjectType::Audio | ObjectType::Text | ObjectType::Manifest))
        };
        let starved = cmcd.is_some_and(|cmcd| cmcd.starved && video(cmcd.object));
        let (viewer, source, sign, covers) = match (session, guess) {
            (Some(name), guess) => (name, SessionSource::Cmcd, Sign::Seen, guess),
            (None, Some(guess)) => (guess, SessionSource::Guess, Sign::Guessed, None),
            (None, None) => return None,
        };
        Some(Self {
            viewer,
            network: None,
            source,
            sign,
            covers,
            broadcast,
            rendition: rung,
            stalls: 0,
            more_stalls: u32::from(starved),
            dropped_frames: 0,
            watch_ms: None,
        })
    }
}

/// Our player's `sid` is `m-` and the 32 hex digits of its beacon's viewer.
fn is_our_player(sid: &str) -> bool {
    let viewer = sid.strip_prefix("m-");
    viewer.is_some_and(|name| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A viewer's name from a `sid`, which is any text of a stranger.
fn session_name(sid: &str) -> Option<Viewer> {
    let hash = Sha256::digest(sid);
    format!("c-{}", hex::encode(hash.get(..16)?)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cmcd: &str, guess: Option<&str>) -> Option<Sighting> {
        let cmcd = (!cmcd.is_empty()).then(|| Cmcd::parse(cmcd).unwrap());
        let guess = guess.map(|name| name.parse().unwrap());
        Sighting::of_request(cmcd.as_ref(), guess, BroadcastId(uuid::Uuid::nil()), None)
    }

    #[test]
    fn a_session_id_goes_before_a_guess_and_covers_it() {
        let seen = of("sid=\"abc\"", Some("g-guessed")).unwrap();
        assert_eq!((seen.source, seen.sign), (SessionSource::Cmcd, Sign::Seen));
        assert_eq!(seen.covers, Some("g-guessed".parse().unwrap()));
        assert_eq!(of("sid=\"abc\"", None).unwrap().viewer, seen.viewer);
        let guessed = of("br=3000", Some("g-guessed")).unwrap();
        assert_eq!((guessed.source, guessed.sign), (SessionSource::Guess, Sign::Guessed));
        assert_eq!(of("br=3000", None), None);
    }

    #[test]
    fn requests_of_our_player_are_a_guess_that_its_beacon_covers() {
        let name = "0123456789abcdef0123456789abcdef";
        let seen = of(&format!("bs,ot=v,sid=\"m-{name}\""), Some("g-guessed")).unwrap();
        assert_eq!((seen.source, seen.more_stalls), (SessionSource::Guess, 0));
        assert_eq!(seen.viewer, "g-guessed".parse().unwrap());
        for other in [name, "m-0123", "m-g-guessed"] {
            let seen = of(&format!("sid=\"{other}\""), None).unwrap();
            assert_eq!(seen.source, SessionSource::Cmcd);
        }
    }

    #[test]
    fn an_empty_buffer_counts_once_by_the_video() {
        for (cmcd, stalls) in [
            ("bs,ot=v,sid=\"abc\"", 1),
            ("bs,ot=av,sid=\"abc\"", 1),
            ("bs,sid=\"abc\"", 1),
            ("bs,ot=a,sid=\"abc\"", 0),
            ("bs,ot=m,sid=\"abc\"", 0),
            ("ot=v,sid=\"abc\"", 0),
        ] {
            assert_eq!(of(cmcd, None).unwrap().more_stalls, stalls, "{cmcd}");
        }
    }
}
