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

#[cfg(test)]
mod tests {
    use millrace_harness::events::check;
    use millrace_platform::postgres::sessions::SessionSource;
    use uuid::Uuid;

    use super::*;

    fn session(rendition: Option<&str>) -> Session {
        Session {
            id: Uuid::from_u128(1),
            stream: "events.keynote".parse().unwrap(),
            broadcast: rendition.map(|_| millrace_media::id::BroadcastId(Uuid::now_v7())),
            viewer: "abcdefgh12345678".to_owned(),
            source: SessionSource::Cmcd,
            joined_ms: 1,
            seen_ms: 3,
            left_ms: None,
            rendition: rendition.map(|name| name.parse().unwrap()),
            rung_changes: 0,
            watch_ms: 2,
            stalls: 0,
            dropped_frames: 0,
        }
    }

    #[test]
    fn viewers_are_told_as_docs_say_and_without_their_names() {
        let change = |number| Change {
            from: "720p".parse().unwrap(),
            to: "480p".parse().unwrap(),
            number,
            at_ms: 2,
        };
        for session in [session(None), session(Some("720p"))] {
            let (first, second) = (changed(&session, &change(1)), changed(&session, &change(2)));
            assert_ne!(first.id(), second.id());
            for event in [joined(&session), left(&session), first] {
                let data = serde_json::to_value(&event.data).unwrap();
                check(event.kind.as_str(), &data).unwrap();
                assert!(!data.to_string().contains(&session.viewer), "{data}");
            }
        }
    }
}
