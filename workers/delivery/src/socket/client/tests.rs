use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::socket::channel::BEHIND;

/// A connection whose other end is in the test.
struct Wire {
    heard: mpsc::UnboundedReceiver<Result<Message, Error>>,
    told: mpsc::UnboundedSender<Message>,
    /// It takes nothing.
    stuck: bool,
}

impl Stream for Wire {
    type Item = Result<Message, Error>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.heard.poll_next_unpin(cx)
    }
}

impl Sink<Message> for Wire {
    type Error = Error;
    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.told.unbounded_send(message).map_err(Error::new)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_ready(cx)
    }
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_ready(cx)
    }
}

/// The test's end of it.
struct Peer {
    told: mpsc::UnboundedReceiver<Message>,
    says: mpsc::UnboundedSender<Result<Message, Error>>,
    news: broadcast::Sender<Utf8Bytes>,
    stop: CancellationToken,
    sent: Counter,
    client: JoinHandle<Closed>,
}

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(20);
/// Never pings, waits for ever.
const PATIENT: Pace =
    Pace { greeting: Duration::ZERO, ping: LONG, pong: LONG, write: LONG, farewell: SHORT };

fn begin(pace: Pace, stuck: bool, waiting: usize) -> Peer {
    let (says, heard) = mpsc::unbounded();
    let (tell, told) = mpsc::unbounded();
    let (news, messages) = broadcast::channel(BEHIND);
    for n in 0..waiting {
        news.send(Utf8Bytes::from(n.to_string())).unwrap();
    }
    let listener = Listener { first: vec![Utf8Bytes::from_static("first")], messages };
    let (stop, sent) = (CancellationToken::new(), Counter::default());
    let wire = Wire { heard, told: tell, stuck };
    let ends = Ends { shutdown: stop.clone(), ..Ends::default() };
    let client = tokio::spawn(serve(wire, listener, pace, ends, sent.clone()));
    Peer { told, says, news, stop, sent, client }
}

impl Peer {
    /// Why it ended, and the code it was told.
    async fn end(mut self) -> (Closed, Option<u16>) {
        let closed = self.client.await.unwrap();
        let mut code = None;
        while let Some(message) = self.told.next().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code);
            }
        }
        (closed, code)
    }
}

fn text(message: Option<Message>) -> String {
    message.unwrap().into_text().unwrap().to_string()
}

#[tokio::test]
async fn nothing_is_sent_together_with_the_answer_to_the_upgrade() {
    let mut peer = begin(Pace { greeting: LONG, ..PATIENT }, false, 1);
    tokio::time::sleep(SHORT).await;
    assert!(peer.told.try_recv().is_err());
    peer.stop.cancel();
    assert_eq!(peer.end().await, (Closed::shutdown, Some(1001)));
}

#[tokio::test]
async fn a_client_is_sent_the_newest_and_then_what_comes() {
    let mut peer = begin(PATIENT, false, 0);
    assert_eq!(text(peer.told.next().await), "first");
    peer.news.send(Utf8Bytes::from_static("second")).unwrap();
    assert_eq!(text(peer.told.next().await), "second");
    peer.says.unbounded_send(Ok(Message::Close(None))).unwrap();
    peer.says.close_channel();
    let sent = peer.sent.clone();
    assert_eq!(peer.end().await, (Closed::left, None));
    assert_eq!(sent.get(), 2);
}

#[tokio::test]
async fn a_client_that_is_too_far_behind_is_dropped() {
    let peer = begin(PATIENT, false, BEHIND + 1);
    assert_eq!(peer.end().await, (Closed::slow, Some(1013)));
    let mut peer = begin(PATIENT, false, BEHIND);
    assert_eq!(text(peer.told.next().await), "first");
    for n in 0..BEHIND {
        assert_eq!(text(peer.told.next().await), n.to_string());
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let peer = begin(Pace { write: SHORT, ..PATIENT }, true, 0);
    assert_eq!(peer.end().await, (Closed::slow, None));
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_dropped() {
    let peer = begin(Pace { ping: SHORT, pong: SHORT, ..PATIENT }, false, 0);
    assert_eq!(peer.end().await, (Closed::silent, Some(4408)));
}

#[tokio::test]
async fn a_client_that_answers_is_asked_again() {
    let mut peer = begin(Pace { ping: SHORT, ..PATIENT }, false, 0);
    assert_eq!(text(peer.told.next().await), "first");
    for _ in 0..3 {
        assert!(matches!(peer.told.next().await, Some(Message::Ping(_))));
        peer.says.unbounded_send(Ok(Message::Pong(Bytes::new()))).unwrap();
    }
    peer.stop.cancel();
    assert_eq!(peer.end().await, (Closed::shutdown, Some(1001)));
}

#[tokio::test]
async fn a_shutdown_reaches_a_client_that_takes_nothing() {
    let peer = begin(PATIENT, true, 0);
    peer.stop.cancel();
    assert_eq!(peer.end().await, (Closed::shutdown, None));
}

#[tokio::test]
async fn what_a_client_says_ends_it() {
    let broken = || Err(Error::new(std::io::Error::other("not a frame")));
    for (said, closed, code) in [
        (Ok(Message::Text(Utf8Bytes::from_static("hello"))), Closed::unsupported, 1003),
        (Ok(Message::Binary(Bytes::from_static(b"hello"))), Closed::unsupported, 1003),
        (broken(), Closed::broken, 1002),
    ] {
        let peer = begin(PATIENT, false, 0);
        peer.says.unbounded_send(said).unwrap();
        assert_eq!(peer.end().await, (closed, Some(code)));
    }
}

#[tokio::test]
async fn a_client_that_pings_without_end_is_dropped() {
    let peer = begin(PATIENT, false, 0);
    for _ in 0..=MAX_HEARD {
        peer.says.unbounded_send(Ok(Message::Ping(Bytes::new()))).unwrap();
    }
    assert_eq!(peer.end().await, (Closed::flooding, Some(1008)));
}
