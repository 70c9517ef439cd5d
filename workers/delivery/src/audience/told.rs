//! What others are told of viewers: the data of their events.

use millrace_media::id::{BroadcastId, RenditionName};
use millrace_platform::kafka::{Event, EventType};
use millrace_platform::postgres::sessions::Session;
use serde::Serialize;
use uuid::Uuid;

/// What viewers' events come from, for the CloudEvents source.
pub const SOURCE: &str = "delivery";

/// The data of ViewerJoined, ViewerLeft and QualityChanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Told {
    /// A viewer came.
    #[serde(rename_all = "camelCase")]
    Joined {
        /// What it watches.
        broadcast: Option<BroadcastId>,
        /// The visit.
        session: Uuid,
        /// How it is known: `beacon`, `cmcd` or `guess`.
        source: &'static str,
        /// Its rung, where it is known.
        rendition: Option<RenditionName>,
    },
    /// A viewer left, with all that is known of its visit.
    #[serde(rename_all = "camelCase")]
    Left {
        /// What it watched.
        broadcast: Option<BroadcastId>,
        /// The visit.
        session: Uuid,
        /// The rung it was last on.
        rendition: Option<RenditionName>,
        /// Time watched, ms.
        watch_ms: u64,
        /// Stalls.
        stalls: u32,
        /// Frames its decoder dropped.
        dropped_frames: u64,
    },
    /// A viewer changed rungs.
    #[serde(rename_all = "camelCase")]
    Changed {
        /// What it watches.
        broadcast: Option<BroadcastId>,
        /// The visit.
        session: Uuid,
        /// The rung until now.
        from: RenditionName,
        /// The rung from now on.
        to: RenditionName,
    },
}

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
pub fn joined(session: &Session) -> Event<Told> {
    let data = Told::Joined {
        broadcast: session.broadcast,
        session: session.id,
        source: session.source.as_str(),
        rendition: session.rendition.clone(),
    };
    event(EventType::ViewerJoined, session, session.joined_ms, None, data)
}

/// A session is over.
pub fn left(session: &Session) -> Event<Told> {
    let data = Told::Left {
        broadcast: session.broadcast,
        session: session.id,
        rendition: session.rendition.clone(),
        watch_ms: session.watch_ms,
        stalls: session.stalls,
        dropped_frames: session.dropped_frames,
    };
    let at_ms = session.left_ms.unwrap_or(session.seen_ms);
    event(EventType::ViewerLeft, session, at_ms, None, data)
}

/// A session's viewer changed rungs.
pub fn changed(session: &Session, change: &Change) -> Event<Told> {
    let data = Told::Changed {
        broadcast: session.broadcast,
        session: session.id,
        from: change.from.clone(),
        to: change.to.clone(),
    };
    event(EventType::QualityChanged, session, change.at_ms, Some(change.number), data)
}

fn event(
    kind: EventType,
    session: &Session,
    time_ms: i64,
    number: Option<u32>,
    data: Told,
) -> Event<Told> {
    let identity = std::iter::once(session.id.to_string());
    let identity = identity.chain(number.map(|n| n.to_string())).collect();
    Event { kind, stream: session.stream.clone(), time_ms, identity, data }
}
