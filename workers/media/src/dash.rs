//! DASH (ISO/IEC 23009-1) over the very media that HLS serves: the manifest of
//! a broadcast, made from the windows of its renditions.
//!
//! What passes through: [`Window`]s → segments that all rungs share ([`set`])
//! → a Period per discontinuity ([`period`]) → XML ([`write`]). The bytes are a
//! function of the windows alone, as those of playlists are.
//!
//! **Names.** A segment's name carries the run that made it, which changes from
//! one segment to the next where an encoder is started again. `$Number$` and
//! `$Time$` can't say that, so each Representation has a `SegmentList` with a
//! `SegmentURL` for each segment, and the `SegmentTimeline` stands once for all
//! rungs. A Period per run with a template would name them too, but sound ends
//! in the middle of its frame there, and players cut that frame off: a restart
//! that HLS viewers don't notice would be heard.
//!
//! **Time.** `availabilityStartTime` is the broadcast's start. A Period's start
//! is the wall clock of its discontinuity, so that a moment of the presentation
//! is the moment it reached ingest, over outages too, and players that count
//! from the clock find the live edge.
//!
//! Only whole segments are listed.

mod period;
mod set;
mod write;

use crate::hls::Window;
use crate::hls::text::Date;
use crate::published::{BroadcastInfo, RenditionInfo, RenditionKind};
use set::Set;

/// A rendition and what is published of it.
pub type Listed<'a> = (&'a RenditionInfo, &'a Window);

/// The manifest of a broadcast: dynamic, or static once all renditions ended.
/// None before the first segment that all rungs have.
///
/// URLs are relative to `/dash/{stream}/`.
pub fn manifest(broadcast: &BroadcastInfo, renditions: &[Listed<'_>]) -> Option<String> {
    let (video, audio): (Vec<_>, Vec<_>) =
        renditions.iter().partition(|(r, _)| matches!(r.kind, RenditionKind::Video { .. }));
    let sets: Vec<_> = [video, audio].iter().filter_map(|renditions| Set::of(renditions)).collect();
    let ended = renditions.iter().all(|(_, window)| window.ended());
    let periods = period::periods(broadcast, &sets, ended);
    (!periods.is_empty()).then(|| write::mpd(broadcast, &periods, ended))
}

/// A wall clock time in ms since 1970 as `urn:mpeg:dash:utc:http-iso:2014` wants
/// it (§5.8.5.7).
pub fn time(ms: i64) -> String {
    Date(ms).to_string()
}
