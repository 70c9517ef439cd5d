//! One client: what it is sent, what is taken from it, and when it is dropped.

use std::time::Duration;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use bytes::Bytes;
use futures::{Sink, SinkExt, Stream, StreamExt};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::channel::Listener;
use crate::metrics::Closed;

/// Control frames of a client between two of our pings: browsers send one.
const MAX_HEARD: u32 = 100;

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// It is sent nothing before: there are proxies (Skipper 0.22) that lose
    /// what comes together with the answer to the upgrade.
    pub greeting: Duration,
    /// It is asked for life this often.
    pub ping: Duration,
    /// And answers within this.
    pub pong: Duration,
    /// It takes a message within this.
    pub write: Duration,
    /// It has heard that it is dropped within this.
    pub farewell: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            greeting: Duration::from_millis(100),
            ping: Duration::from_secs(20),
            pong: Duration::from_secs(10),
            write: Duration::from_secs(10),
            farewell: Duration::from_secs(2),
        }
    }
}

impl Closed {
    /// Code (RFC 6455 §7.4) and reason a client is told; none if it was the
    /// client that left.
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::left => return None,
            Self::shutdown => (1001, "this server ends, come again"),
            Self::lapsed => (4401, "a token that is good is needed to go on"),
            Self::broken => (1002, "not a frame, or larger than 1 KB"),
            Self::unsupported => (1003, "no messages are taken"),
            Self::flooding => (1008, "too many control frames"),
            Self::slow => (1013, "messages are not taken in time"),
            Self::silent => (4408, "no pong"),
        };
        Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
    }
}

/// What ends a client from here.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// This process ends.
    pub shutdown: CancellationToken,
    /// It may not listen any more.
    pub lapse: CancellationToken,
}

impl Ends {
    /// Until there is one.
    async fn any(&self) -> Closed {
        tokio::select! {
            biased;
            () = self.lapse.cancelled() => Closed::lapsed,
            () = self.shutdown.cancelled() => Closed::shutdown,
        }
    }
}

/// A client and its connection.
#[derive(Debug)]
pub struct Client<S> {
    socket: S,
    messages: broadcast::Receiver<Utf8Bytes>,
    pace: Pace,
    ends: Ends,
    sent: Counter,
    /// When it is to be pinged, or given up.
    due: Instant,
    /// When it was, and has not answered yet.
    pinged: Option<Instant>,
    heard: u32,
}

/// Serves a client until it leaves or is dropped, or one of its `ends`. Counts
/// what it is `sent`.
pub async fn serve<S>(
    socket: S,
    listener: Listener,
    pace: Pace,
    ends: Ends,
    sent: Counter,
) -> Closed
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
{
    let Listener { first, messages } = listener;
    let due = Instant::now() + pace.ping;
    let mut client = Client { socket, messages, pace, ends, sent, due, pinged: None, heard: 0 };
    let Err(closed) = client.talk(first).await;
    let told = client.close(closed).await;
    // What can't be told any more, a lost connection looks like.
    if closed == Closed::broken && !told { Closed::left } else { closed }
}

/// A reason to end, or nothing.
type Step = Result<(), Closed>;

impl<S> Client<S>
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
{
    async fn talk(&mut self, first: Vec<Utf8Bytes>) -> Result<std::convert::Infallible, Closed> {
        tokio::select! {
            end = self.ends.any() => return Err(end),
            () = sleep(self.pace.greeting) => {}
        }
        for text in first {
            self.tell(text).await?;
        }
        loop {
            // What was heard comes before the time for it is up.
            tokio::select! {
                biased;
                end = self.ends.any() => return Err(end),
                heard = self.socket.next() => self.hear(heard.as_ref())?,
                () = sleep_until(self.due) => self.ping().await?,
                message = self.messages.recv() => match message {
                    Ok(text) => self.tell(text).await?,
                    Err(RecvError::Lagged(_)) => return Err(Closed::slow),
                    Err(RecvError::Closed) => return Err(Closed::shutdown),
                },
            }
        }
    }

    async fn tell(&mut self, text: Utf8Bytes) -> Step {
        self.send(Message::Text(text)).await?;
        self.sent.inc();
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Step {
        tokio::select! {
            end = self.ends.any() => Err(end),
            sent = timeout(self.pace.write, self.socket.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Closed::left),
                Err(_) => Err(Closed::slow),
            },
        }
    }

    fn hear(&mut self, heard: Option<&Result<Message, Error>>) -> Step {
        self.heard += 1;
        match heard {
            None | Some(Ok(Message::Close(_))) => Err(Closed::left),
            Some(Err(_)) => Err(Closed::broken),
            Some(Ok(Message::Text(_) | Message::Binary(_))) => Err(Closed::unsupported),
            Some(Ok(_)) if self.heard > MAX_HEARD => Err(Closed::flooding),
            // The connection answers by itself.
            Some(Ok(Message::Ping(_))) => Ok(()),
            Some(Ok(Message::Pong(_))) => {
                if let Some(at) = self.pinged.take() {
                    self.due = at + self.pace.ping;
                }
                Ok(())
            }
        }
    }

    /// Asks for life; gives up who did not answer the last time.
    async fn ping(&mut self) -> Step {
        if self.pinged.is_some() {
            return Err(Closed::silent);
        }
        self.heard = 0;
        self.send(Message::Ping(Bytes::new())).await?;
        // Not before it was taken: that has a time of its own.
        let now = Instant::now();
        (self.pinged, self.due) = (Some(now), now + self.pace.pong);
        Ok(())
    }

    /// Says why, and lets the other end close: what was sent before gets there.
    /// Whether it could be said.
    async fn close(&mut self, closed: Closed) -> bool {
        let mut told = false;
        let farewell = async {
            if let Some(frame) = closed.frame() {
                told = self.socket.send(Message::Close(Some(frame))).await.is_ok();
            }
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = timeout(self.pace.farewell, farewell).await;
        told
    }
}

#[cfg(test)]
mod tests;
