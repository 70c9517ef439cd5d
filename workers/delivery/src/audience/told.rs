//! What others are told of viewers.

use millrace_media::id::RenditionName;
use millrace_platform::kafka::Event;
use millrace_platform::kafka::events::data::{EventData, QualityChanged, ViewerJoined, ViewerLeft};
use millrace_platform::postgres::sessions::Session;

/// What viewers' events come from, for the CloudEvents source.
pub const SOURCE: &str = "delivery";

/// A change of rungs that is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The rung until then.
    pub from: RenditionName,
    /// The rung from then on.
    pub to: RenditionName,
    /// Which one of its visit, from 1.
    pub number: u32,
    /// When, ms since 1970.
    pub at_ms: i64,
}

/// A session's row is new.
pub fn joined(session: &Session) -> Event<EventData> {
    let data = ViewerJoined {
        broadcast: session.broadcast,
        session: session.id,
        source: session.source.as_str(),
        rendition: session.rendition.clone(),
    };
    Event::new(session.stream.clone(), session.joined_ms, vec![session.id.to_string()], data)
}

/// A session is over.
pub fn left(session: &Session) -> Event<EventData> {
    let data = ViewerLeft {
        broadcast: session.broadcast,
        session: session.id,
        rendition: session.rendition.clone(),
        watch_ms: session.watch_ms,
        stalls: session.stalls,
        dropped_frames: session.dropped_frames,
    };
    let at_ms = session.left_ms.unwrap_or(session.seen_ms);
    Event::new(session.stream.clone(), at_ms, vec![session.id.to_string()], data)
}

/// A session's viewer changed rungs.
pub fn changed(session: &Session, change: &Change) -> Event<EventData> {
    let data = QualityChanged {
        broadcast: session.broadcast,
        session: session.id,
        from: change.from.clone(),
        to: change.to.clone(),
    };
    let identity = vec![session.id.to_string(), change.number.to_string()];
    Event::new(session.stream.clone(), change.at_ms, identity, data)
}
