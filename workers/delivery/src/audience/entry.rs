//! One viewer at this replica: the newest of every sign of it. Pure.

use std::cmp::max;

use millrace_media::id::{BroadcastId, RenditionName};
use millrace_platform::postgres::sessions::SessionSource;
use millrace_platform::redis::viewers::{Report, Settled, Sign, Viewer, Visit};

use super::sighting::Sighting;

/// Without news a viewer is reported this often, ms: within the 30 s after
/// which it is gone, and as often as our player's beacon.
const REPORT: i64 = 9_500;
/// A guess is a viewer when it asked over this time, ms: one look is none, and
/// a player that is known by name has said so by then.
const GUESS: i64 = 10_000;
/// What a player's word for its figures is worth: of a whole visit at most so
/// many stalls and dropped frames a second, and this many seconds are given.
const STALLS: u64 = 1;
const DROPPED: u64 = 120;
const GIVEN: u64 = 15;

/// See the module.
#[derive(Debug)]
pub(super) struct Entry {
    source: SessionSource,
    pub(super) broadcast: BroadcastId,
    joined_ms: i64,
    pub(super) seen_ms: i64,
    covers: Option<Viewer>,
    rendition: Option<RenditionName>,
    stalls: u32,
    more_stalls: u32,
    dropped_frames: u64,
    watch_ms: Option<u64>,
    /// Something else was heard of it than that it left.
    watched: bool,
    /// Not reported yet.
    sign: Option<Sign>,
    reported: Option<Reported>,
    /// What all knew when a report was last taken.
    settled: Settled,
    /// A report since then may have been taken or not.
    in_doubt: bool,
    /// Last sign of it and whether it left, as last told as [`Known`].
    noted: Option<(i64, bool)>,
}

/// When and on which rung a viewer was reported last.
#[derive(Debug)]
struct Reported {
    at: i64,
    rendition: Option<RenditionName>,
}

/// A viewer after a report: what this replica knows and what all know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub viewer: Viewer,
    /// Whence it is known.
    pub source: SessionSource,
    /// It left.
    pub left: bool,
    /// Last sign of it here, ms since 1970.
    pub seen_ms: i64,
    /// Time watched, ms.
    pub watch_ms: u64,
    /// The visit.
    pub visit: Visit,
}

impl Entry {
    pub(super) fn new(sighting: Sighting, now: i64) -> Self {
        let mut entry = Self {
            source: sighting.source,
            broadcast: sighting.broadcast,
            joined_ms: now,
            seen_ms: now,
            covers: None,
            rendition: None,
            stalls: 0,
            more_stalls: 0,
            dropped_frames: 0,
            watch_ms: None,
            watched: false,
            sign: None,
            reported: None,
            settled: Settled::default(),
            in_doubt: false,
            noted: None,
        };
        entry.update(sighting, now);
        entry
    }

    pub(super) fn update(&mut self, sighting: Sighting, now: i64) {
        let seconds = GIVEN + elapsed(self.joined_ms, now) / 1_000;
        let stalls = u32::try_from(STALLS * seconds).unwrap_or(u32::MAX);
        let dropped = DROPPED * seconds;
        self.stalls = max(self.stalls, sighting.stalls.min(stalls));
        self.dropped_frames = max(self.dropped_frames, sighting.dropped_frames.min(dropped));
        // Told with many requests, an empty buffer is one all the same.
        self.more_stalls = max(self.more_stalls, sighting.more_stalls.min(1));
        self.watch_ms = max(self.watch_ms, sighting.watch_ms);
        self.covers = sighting.covers.or(self.covers.take());
        self.rendition = sighting.rendition.or(self.rendition.take());
        self.seen_ms = now;
        self.watched |= !sighting.sign.leaves();
        let gone = sighting.sign == Sign::Left && !self.watched;
        self.sign = Some(if gone { Sign::Gone } else { sighting.sign });
    }

    /// What is to be reported now, if anything.
    pub(super) fn report(&mut self, viewer: &Viewer, now: i64) -> Option<Report> {
        let sign = self.sign?;
        if sign == Sign::Guessed && self.seen_ms.saturating_sub(self.joined_ms) < GUESS {
            return None;
        }
        let news = sign.leaves()
            || self.more_stalls > 0
            || self.reported.as_ref().is_none_or(|last| {
                // A guess may stand for several, each on its own rung.
                let moved = sign == Sign::Seen && last.rendition != self.rendition;
                moved || is_due(last.at, now)
            });
        if !news {
            return None;
        }
        self.sign = None;
        self.reported = Some(Reported { at: now, rendition: self.rendition.clone() });
        Some(Report {
            viewer: viewer.clone(),
            sign,
            covers: self.covers.clone(),
            seen_s: u64::try_from(self.seen_ms / 1_000).unwrap_or_default(),
            joined_ms: self.joined_ms,
            broadcast: self.broadcast,
            rendition: self.rendition.clone(),
            stalls: self.stalls,
            more_stalls: std::mem::take(&mut self.more_stalls),
            dropped_frames: self.dropped_frames,
            settled: self.settled.clone(),
        })
    }

    /// It left, and nothing was heard of it since that was reported.
    pub(super) fn is_over(&self, report: &Report) -> bool {
        report.sign.leaves() && self.sign.is_none()
    }

    /// A report was taken, and this is what all know. When one before it may
    /// have been taken too, what is new is what this replica did not know.
    pub(super) fn settle(&mut self, report: &Report, mut visit: Visit) -> Known {
        let before = std::mem::replace(&mut self.settled, visit.settled());
        if std::mem::take(&mut self.in_doubt) {
            visit.new_stalls = visit.stalls.saturating_sub(before.stalls);
            visit.new_dropped_frames = visit.dropped_frames.saturating_sub(before.dropped_frames);
            visit.rendition_before = before.rendition;
        }
        self.joined_ms = visit.joined_ms;
        self.known(report, visit)
    }

    /// A report was not taken: it is made again. What is known here alone, as
    /// often as it would be reported; none of a guess, which somebody else may
    /// know by name, and of one who was never seen.
    pub(super) fn put_back(&mut self, report: &Report) -> Option<Known> {
        self.more_stalls = max(self.more_stalls, report.more_stalls);
        self.sign.get_or_insert(report.sign);
        self.reported = None;
        self.in_doubt = true;
        let left = report.sign.leaves();
        let is_news = self
            .noted
            .is_none_or(|(seen_ms, as_left)| as_left != left || is_due(seen_ms, self.seen_ms));
        if matches!(report.sign, Sign::Guessed | Sign::Gone) || !is_news {
            return None;
        }
        let visit = Visit {
            joined_ms: self.joined_ms,
            broadcast: self.broadcast,
            rendition: report.rendition.clone(),
            rung_changes: self.settled.rung_changes,
            stalls: max(self.settled.stalls, report.stalls).saturating_add(report.more_stalls),
            dropped_frames: max(self.settled.dropped_frames, report.dropped_frames),
            rendition_before: None,
            new_stalls: 0,
            new_dropped_frames: 0,
        };
        Some(self.known(report, visit))
    }

    fn known(&mut self, report: &Report, visit: Visit) -> Known {
        let left = report.sign.leaves();
        self.noted = Some((self.seen_ms, left));
        let since = elapsed(visit.joined_ms, self.seen_ms);
        Known {
            viewer: report.viewer.clone(),
            source: self.source,
            left,
            seen_ms: max(self.seen_ms, visit.joined_ms),
            watch_ms: self.watch_ms.map_or(since, |told| told.min(since + GIVEN * 1_000)),
            visit,
        }
    }
}

/// It is long enough after `last`; or before it, on a clock that stepped back.
fn is_due(last: i64, now: i64) -> bool {
    !(0..REPORT).contains(&now.saturating_sub(last))
}

/// Milliseconds from one time to a later one.
fn elapsed(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or_default()
}
