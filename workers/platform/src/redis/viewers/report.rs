//! What a replica says of a viewer, what it hears back, and how both look as
//! arguments and answers of the script.

use std::fmt;
use std::str::FromStr;

use millrace_media::id::{BroadcastId, RenditionName};
use redis::ScriptInvocation;

/// The name of a viewer: 8 to 64 of A-Z, a-z, 0-9, _ and -. Random or a salted
/// hash, never an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Viewer(String);

/// A text that names no viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a viewer is 8 to 64 of A-Z, a-z, 0-9, _ and -")]
pub struct InvalidViewer;

impl Viewer {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Viewer {
    type Err = InvalidViewer;
    fn from_str(text: &str) -> Result<Self, InvalidViewer> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (8..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidViewer)
        }
    }
}

impl fmt::Display for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a report is a sign of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// It watches.
    Seen,
    /// Somebody watches, and may be a viewer known by name as well.
    Guessed,
    /// It left.
    Left,
    /// It left, and was never seen here: no visit begins with that.
    Gone,
}

impl Sign {
    fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Guessed => "guess",
            Self::Left => "left",
            Self::Gone => "gone",
        }
    }

    /// It watches no more.
    pub fn leaves(self) -> bool {
        matches!(self, Self::Left | Self::Gone)
    }
}

/// One viewer, as a replica saw it since its last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who.
    pub viewer: Viewer,
    /// Watching or gone.
    pub sign: Sign,
    /// The guess that this viewer's requests would make: counted no more.
    pub covers: Option<Viewer>,
    /// Last sign of it, unix seconds.
    pub seen_s: u64,
    /// First sign of it at this replica, ms since 1970; holds where no other
    /// replica knows the visit.
    pub joined_ms: i64,
    /// What it watches. Another broadcast is another visit.
    pub broadcast: BroadcastId,
    /// The rung, where it is known.
    pub rendition: Option<RenditionName>,
    /// Stalls in all, as the player counts them.
    pub stalls: u32,
    /// Stalls that were seen beside that count.
    pub more_stalls: u32,
    /// Frames its decoder dropped in all, as the player counts them.
    pub dropped_frames: u64,
    /// What all knew of the visit when this replica last heard; a visit that
    /// Redis has forgotten goes on from there.
    pub settled: Settled,
}

/// A visit's rung and figures, as all knew them; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Its rung.
    pub rendition: Option<RenditionName>,
    /// How often it changed rungs.
    pub rung_changes: u32,
    /// Stalls in all.
    pub stalls: u32,
    /// Frames its decoder dropped in all.
    pub dropped_frames: u64,
}

impl Report {
    pub(super) fn write(&self, call: &mut ScriptInvocation<'_>) {
        call.arg(self.viewer.as_str())
            .arg(self.sign.as_str())
            .arg(self.covers.as_ref().map_or("", Viewer::as_str))
            .arg(self.joined_ms)
            .arg(self.broadcast.to_string())
            .arg(rung(self.rendition.as_ref()))
            .arg(self.stalls)
            .arg(self.more_stalls)
            .arg(self.dropped_frames)
            .arg(self.seen_s)
            .arg(rung(self.settled.rendition.as_ref()))
            .arg(self.settled.rung_changes)
            .arg(self.settled.stalls)
            .arg(self.settled.dropped_frames);
    }
}

/// A rung that is not known, in arguments and answers.
const NONE: &str = "-";

fn rung(name: Option<&RenditionName>) -> &str {
    name.map_or(NONE, RenditionName::as_str)
}

/// A viewer's visit, as all replicas know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// First sign of it, ms since 1970.
    pub joined_ms: i64,
    /// What it watches.
    pub broadcast: BroadcastId,
    /// Its rung.
    pub rendition: Option<RenditionName>,
    /// How often it changed rungs.
    pub rung_changes: u32,
    /// Stalls in all.
    pub stalls: u32,
    /// Frames its decoder dropped in all.
    pub dropped_frames: u64,
    /// Its rung before this report.
    pub rendition_before: Option<RenditionName>,
    /// Stalls that this report added.
    pub new_stalls: u32,
    /// Dropped frames that this report added.
    pub new_dropped_frames: u64,
}

impl Visit {
    /// What all know now.
    pub fn settled(&self) -> Settled {
        Settled {
            rendition: self.rendition.clone(),
            rung_changes: self.rung_changes,
            stalls: self.stalls,
            dropped_frames: self.dropped_frames,
        }
    }

    /// From the script's answer; none if the report changes nothing. Says what
    /// is wrong with an answer that can't be read.
    pub(super) fn read(answer: &[String]) -> Result<Option<Self>, String> {
        fn number<T: FromStr>(text: &str) -> Option<T> {
            text.parse().ok()
        }
        let rung = |text: &str| if text == NONE { Some(None) } else { text.parse().ok().map(Some) };
        let [joined, broadcast, rendition, changes, stalls, dropped, before, more, lost] = answer
        else {
            return match answer {
                [covered] if covered == "covered" => Ok(None),
                _ => Err(format!("a visit of {} fields", answer.len())),
            };
        };
        let visit = || {
            Some(Self {
                joined_ms: number(joined)?,
                broadcast: number(broadcast)?,
                rendition: rung(rendition)?,
                rung_changes: number(changes)?,
                stalls: number(stalls)?,
                dropped_frames: number(dropped)?,
                rendition_before: rung(before)?,
                new_stalls: number(more)?,
                new_dropped_frames: number(lost)?,
            })
        };
        visit().map(Some).ok_or_else(|| format!("a visit {}", answer.join(" ")))
    }
}
