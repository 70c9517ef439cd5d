//! Sessions as columns, for one statement over all of them.

use uuid::Uuid;

use super::Session;

#[derive(Default)]
pub(super) struct Columns {
    pub(super) ids: Vec<Uuid>,
    pub(super) streams: Vec<String>,
    pub(super) broadcasts: Vec<Option<Uuid>>,
    pub(super) viewers: Vec<String>,
    pub(super) sources: Vec<String>,
    pub(super) joined_ms: Vec<i64>,
    pub(super) seen_ms: Vec<i64>,
    pub(super) left_ms: Vec<Option<i64>>,
    pub(super) renditions: Vec<Option<String>>,
    pub(super) rung_changes: Vec<i32>,
    pub(super) watch_ms: Vec<i64>,
    pub(super) stalls: Vec<i32>,
    pub(super) dropped_frames: Vec<i64>,
}

impl<'a> FromIterator<&'a Session> for Columns {
    fn from_iter<I: IntoIterator<Item = &'a Session>>(sessions: I) -> Self {
        let mut columns = Self::default();
        for session in sessions {
            columns.push(session);
        }
        columns
    }
}

impl Columns {
    fn push(&mut self, session: &Session) {
        let small = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let large = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.ids.push(session.id);
        self.streams.push(session.stream.as_str().to_owned());
        self.broadcasts.push(session.broadcast.map(|b| b.0));
        self.viewers.push(session.viewer.clone());
        self.sources.push(session.source.as_str().to_owned());
        self.joined_ms.push(session.joined_ms);
        self.seen_ms.push(session.seen_ms);
        self.left_ms.push(session.left_ms);
        self.renditions.push(session.rendition.as_ref().map(|r| r.as_str().to_owned()));
        self.rung_changes.push(small(session.rung_changes));
        self.watch_ms.push(large(session.watch_ms));
        self.stalls.push(small(session.stalls));
        self.dropped_frames.push(large(session.dropped_frames));
    }
}
