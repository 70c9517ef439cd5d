//! From a stream's feed to its clients.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;

use super::message::Message;

/// Messages a client may be behind; one that is further behind is dropped. A
/// second brings five of them or so, and with eight rungs 60 at most.
pub const BEHIND: usize = 128;

/// What a client is sent at once.
#[derive(Debug, Default)]
struct Newest {
    status: Option<Utf8Bytes>,
    metrics: Option<Utf8Bytes>,
}

/// Messages written out once, to be sent by every client.
#[derive(Debug)]
pub struct Channel {
    sender: broadcast::Sender<Utf8Bytes>,
    newest: Mutex<Newest>,
}

/// A client's end.
#[derive(Debug)]
pub struct Listener {
    /// What it is sent at once.
    pub first: Vec<Utf8Bytes>,
    /// All that is new afterwards.
    pub messages: broadcast::Receiver<Utf8Bytes>,
}

impl Channel {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self { sender: broadcast::Sender::new(BEHIND), newest: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another client: nothing is missing between what it is sent at once and
    /// what comes, and nothing comes twice.
    pub fn listen(&self) -> Listener {
        let newest = self.lock();
        let first = [&newest.status, &newest.metrics].into_iter().flatten().cloned().collect();
        Listener { first, messages: self.sender.subscribe() }
    }

    /// Tells all clients.
    pub fn tell(&self, news: &[Message]) {
        for message in news {
            let text = match serde_json::to_string(message) {
                Ok(text) => Utf8Bytes::from(text),
                Err(error) => {
                    tracing::error!(%error, "a message can't be written");
                    continue;
                }
            };
            let mut newest = self.lock();
            match message {
                Message::StreamStatus(_) => newest.status = Some(text.clone()),
                Message::Metrics(_) => newest.metrics = Some(text.clone()),
                _ => {}
            }
            // Nobody listens: the feed is about to be ended.
            let _ = self.sender.send(text);
        }
    }

    /// The figures are of a second that is over for long: nobody is sent them
    /// at once any more.
    pub fn forget_metrics(&self) {
        self.lock().metrics = None;
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::id::{BroadcastId, StreamId};

    use super::*;
    use crate::http::streams::StreamState;
    use crate::socket::message::{Passage, Status};

    fn stream_id() -> StreamId {
        "a.b".parse().unwrap()
    }

    fn status(started_ms: i64) -> Message {
        Message::StreamStatus(Status {
            stream_id: stream_id(),
            state: StreamState::Live,
            broadcast: BroadcastId(uuid::Uuid::nil()),
            started_ms,
            renditions: Vec::new(),
        })
    }

    #[test]
    fn a_new_client_gets_the_newest_status_and_no_passage() {
        let channel = Channel::new();
        assert!(channel.listen().first.is_empty());
        let passage = Passage { stream_id: stream_id(), count: 1, concurrent_viewers: 1 };
        channel.tell(&[status(1), Message::ViewerJoined(passage), status(2)]);
        let Listener { first, mut messages } = channel.listen();
        let [first] = &first[..] else { panic!("{first:?}") };
        assert!(first.contains("\"startedMs\":2"), "{first:?}");
        assert!(messages.try_recv().is_err(), "it had that");
        channel.tell(&[status(3)]);
        assert!(messages.try_recv().unwrap().contains("\"startedMs\":3"));
    }

    #[test]
    fn all_clients_share_one_text() {
        let channel = Channel::new();
        let [mut one, mut two] = [channel.listen(), channel.listen()];
        channel.tell(&[status(1)]);
        let texts = [one.messages.try_recv().unwrap(), two.messages.try_recv().unwrap()];
        assert_eq!(texts[0].as_str().as_ptr(), texts[1].as_str().as_ptr());
    }
}
