//! DASH (ISO/IEC 23009-1) over the very media that HLS serves: the manifest of
//! a broadcast, made from the windows of its renditions.
//!
//! What passes through: [`Window`]s → segments that all rungs share ([`set`])
//! → a Period per stretch without a discontinuity and with one init segment
//! ([`period`]) → XML ([`write`]). The bytes are a
//! function of the windows alone, as those of playlists are.
//!
//! **Names.** HLS's names carry the run that made a segment, which changes from
//! one segment to the next where an encoder is started again, and no template
//! can say that. So a segment has another name here, of its time
//! ([`TimedName`]), which delivery finds the media by. A Period per run would
//! need none, but sound ends in the middle of its frame there, and players cut
//! that frame off: a restart that HLS viewers don't notice would be heard.
//!
//! **Time.** `availabilityStartTime` is the broadcast's start. A Period's start
//! is the wall clock of its discontinuity, so that a moment of the presentation
//! is the moment it reached ingest, over outages too, and players that count
//! from the clock find the live edge.
//!
//! **Low latency.** The segment that grows is listed from its first part on
//! (`@availabilityTimeOffset`), as long as it will be, and is served as it
//! grows. So players ask for the manifest more often than once a segment.

mod growing;
mod name;
mod period;
mod set;
mod write;

use crate::hls::Window;
use crate::hls::text::Date;
use crate::published::{BroadcastInfo, RenditionInfo};
pub use name::TimedName;
use set::{Set, Track};

/// A rendition and what is published of it.
pub type Listed<'a> = (&'a RenditionInfo, &'a Window);

/// The manifest of a broadcast: dynamic, or static once all renditions ended.
/// None before the first segment that all renditions have begun.
///
/// URLs are relative to `/dash/{stream}/`.
pub fn manifest(broadcast: &BroadcastInfo, renditions: &[Listed<'_>]) -> Option<String> {
    let tracks: Vec<_> = renditions.iter().map(|r| Track::of(broadcast, r)).collect();
    let span = set::span(&tracks)?;
    let (video, audio): (Vec<_>, Vec<_>) = tracks.iter().partition(|track| track.is_video());
    let sets: Vec<_> = [video, audio].iter().filter_map(|set| Set::of(set, &span)).collect();
    let ended = renditions.iter().all(|(_, window)| window.ended());
    let periods = period::periods(broadcast, &sets, ended);
    let published_ms = published_ms(broadcast, &tracks, ended);
    (!periods.is_empty()).then(|| write::mpd(broadcast, &periods, published_ms, ended))
}

/// `@publishTime`: the mean of what the renditions have reached, so that it
/// grows with each segment that one of them begins or ends, and with the end of
/// all. One that has nothing yet counts as being at the start.
fn published_ms(broadcast: &BroadcastInfo, tracks: &[Track<'_>], ended: bool) -> i64 {
    let count = i64::try_from(tracks.len()).unwrap_or(1).max(1);
    let reached = tracks.iter().filter_map(|track| track.reached_ms(count));
    let since = reached.map(|ms| ms.saturating_sub(broadcast.started_ms));
    let total = since.fold(0, i64::saturating_add);
    broadcast.started_ms.saturating_add(total / count + i64::from(ended))
}

/// A wall clock time in ms since 1970 as `urn:mpeg:dash:utc:http-iso:2014` wants
/// it (§5.8.5.7).
pub fn time(ms: i64) -> String {
    Date(ms).to_string()
}
