//! One peer: bytes from its socket, behind TLS or not, through the RTMP session, what follows from
//! its events, and bytes back.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::record::EndReason;
use millrace_media::rtmp::session::SessionConfig;
use millrace_media::rtmp::{Event, RtmpError, ServerSession, StreamName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::crowd::{Stage, Stranger};
use crate::publisher::Publisher;
use crate::refusal::Refusal;
use crate::stream::Stream;

/// The application served; the publish key is the stream's name in it.
pub const APP: &str = "live";
/// Longest wait for a peer to take what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// What is on its way when a connection ends gets so long.
const FAREWELL: Duration = Duration::from_secs(1);
/// A wrong key is refused at the next multiple of this after it was offered:
/// what was asked and computed meanwhile can't be seen from outside.
const REFUSE_EVERY: Duration = Duration::from_millis(300);
/// Read at once, of every connection there is; at 6 Mb/s it is filled 46 times a
/// second.
const READ_BUFFER: usize = 16 * 1024;

/// Where this process stood still, its clock has gone on before it is told what came meanwhile: who is
/// late may still be heard for so long.
const GRACE: Duration = Duration::from_millis(100);

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the peer closed the connection")]
    ByPeer,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("others wait, and this connection did not publish")]
    Crowded,
    #[error("{0}")]
    Fault(#[from] RtmpError),
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Serves a peer until its connection is over.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    peer: SocketAddr,
    stream: Arc<Stream>,
    stranger: Stranger,
    shutdown: CancellationToken,
) {
    let session = ServerSession::new(SessionConfig::new(APP, rand::random()), stream.clock.now());
    let buffer = vec![0; READ_BUFFER];
    let stranger = Some(stranger);
    let mut connection =
        Connection { socket, peer, session, stream, buffer, stranger, publisher: None };
    let Err(closed) = connection.run(&shutdown).await;
    connection.close(&closed).await;
}

struct Connection<S> {
    socket: S,
    peer: SocketAddr,
    session: ServerSession,
    stream: Arc<Stream>,
    buffer: Vec<u8>,
    /// Until it publishes.
    stranger: Option<Stranger>,
    publisher: Option<Publisher>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(
        &mut self,
        shutdown: &CancellationToken,
    ) -> Result<std::convert::Infallible, Closed> {
        // The deadline that was put off once.
        let mut put_off = None;
        loop {
            self.handle_events().await?;
            if let Err(broken) = self.flush().await {
                return Err(self.take_the_rest(broken).await);
            }
            let clock = self.stream.clock;
            let deadline = self.session.next_deadline();
            tokio::select! {
                // Where this process stood still, a publisher is late by its
                // own words only.
                biased;
                () = shutdown.cancelled() => return Err(Refusal::Shutdown.into()),
                refusal = must_go(self.publisher.as_ref()) => return Err(refusal.into()),
                () = pushed_out(self.stranger.as_ref()) => return Err(Closed::Crowded),
                read = self.socket.read(&mut self.buffer) => self.take(read?)?,
                () = wait_until(deadline.map(|at| clock.at(at))) => {
                    let heard = if put_off == deadline {
                        None
                    } else {
                        timeout(GRACE, self.socket.read(&mut self.buffer)).await.ok()
                    };
                    put_off = deadline;
                    match heard {
                        Some(read) => self.take(read?)?,
                        None => self.session.handle_timeout(clock.now())?,
                    }
                }
            }
        }
    }

    /// Takes so many bytes from the buffer; none are the peer's end.
    fn take(&mut self, length: usize) -> Result<(), Closed> {
        if length == 0 {
            return Err(Closed::ByPeer);
        }
        self.reached(Stage::Speaking);
        let input = self.buffer.get(..length).unwrap_or_default();
        Ok(self.session.handle_input(input, self.stream.clock.now())?)
    }

    async fn handle_events(&mut self) -> Result<(), Closed> {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connected { encoder } => {
                    debug!(peer = %self.peer, encoder, "connected");
                }
                Event::PublishRequested(name) => self.admit(&name).await?,
                Event::Metadata(announced) => {
                    info!(?announced, "metadata");
                }
                Event::Media { track, time_ms, payload } => {
                    if let Some(publisher) = &mut self.publisher {
                        publisher.message(track, time_ms, payload)?;
                    }
                }
                Event::Unpublished(how) => {
                    if let Some(publisher) = self.publisher.take() {
                        info!(?how, "unpublished");
                        publisher.end(EndReason::Unpublished);
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks the key, takes the seat and opens an epoch. Nothing is read
    /// meanwhile: the peer waits by TCP. Only while its key is looked at may it
    /// have to give way to others.
    async fn admit(&mut self, name: &StreamName) -> Result<(), Closed> {
        // What connect was answered must not wait for the verdict.
        self.flush().await?;
        let offered = Instant::now();
        self.reached(Stage::Asked);
        let checked = tokio::select! {
            checked = self.stream.check(name, self.peer) => checked,
            () = pushed_out(self.stranger.as_ref()) => return Err(Closed::Crowded),
        };
        let admitted = match checked {
            Ok((key, admission)) => self.stream.admit(&key, admission, self.peer).await,
            Err(refusal) => Err(refusal),
        };
        let publisher = match admitted {
            Ok(publisher) => publisher,
            Err(refusal) => {
                self.reached(Stage::Refused);
                if refusal == Refusal::WrongKey {
                    self.let_wait(offered).await?;
                }
                return Err(refusal.into());
            }
        };
        self.session.accept_publish(self.stream.clock.now());
        self.publisher = Some(publisher);
        self.stranger = None;
        Ok(())
    }

    fn reached(&self, stage: Stage) {
        if let Some(stranger) = &self.stranger {
            stranger.reached(stage, std::time::Instant::now());
        }
    }

    /// Keeps who offered a wrong key waiting, as long as nobody needs the place.
    async fn let_wait(&self, offered: Instant) -> Result<(), Closed> {
        let due = next_multiple(offered.elapsed(), REFUSE_EVERY);
        tokio::select! {
            () = sleep_until(offered + due) => Ok(()),
            () = pushed_out(self.stranger.as_ref()) => {
                self.stream.metrics.refuse(Refusal::WrongKey.label());
                Err(Closed::Crowded)
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let write = async {
            self.socket.write_all(&output).await?;
            // TLS may hold back the end of it.
            self.socket.flush().await
        };
        let written = timeout(WRITE_TIMEOUT, write).await;
        Ok(written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
    }

    /// Takes what a publisher sent before its connection broke: it may have
    /// ended its broadcast, and closed with an answer of ours unread, which
    /// resets the connection.
    async fn take_the_rest(&mut self, broken: Closed) -> Closed {
        let rest = async {
            while self.publisher.is_some() {
                let length = self.socket.read(&mut self.buffer).await?;
                let input = self.buffer.get(..length).filter(|input| !input.is_empty());
                self.session.handle_input(input.ok_or(Closed::ByPeer)?, self.stream.clock.now())?;
                self.handle_events().await?;
                drop(self.session.take_output());
            }
            Ok::<_, Closed>(())
        };
        let _ = timeout(FAREWELL, rest).await;
        broken
    }

    /// Tells the peer why, and the log what it means.
    async fn close(mut self, closed: &Closed) {
        let publishing = self.publisher.is_some();
        match closed {
            Closed::Refused(refusal) => {
                let (peer, reason) = (self.peer, refusal.label());
                // Who guesses fills no log.
                if *refusal == Refusal::WrongKey && self.stream.keys.tires(peer.ip()) {
                    debug!(%peer, reason, publishing, "refused: {refusal}");
                } else {
                    warn!(%peer, reason, publishing, "refused: {refusal}");
                }
                self.stream.metrics.refuse(refusal.label());
                self.session.reject_publish(refusal.code(), &refusal.to_string());
            }
            Closed::Fault(error) => {
                let reason = error.kind.reason();
                warn!(peer = %self.peer, reason, publishing, "connection ended: {error}");
                self.stream.metrics.fault(reason);
            }
            Closed::ByPeer | Closed::Broken(_) if publishing => {
                warn!(peer = %self.peer, "publisher lost: {closed}");
            }
            Closed::ByPeer | Closed::Broken(_) | Closed::Crowded => {
                debug!(peer = %self.peer, "{closed}");
            }
        }
        if let Some(publisher) = self.publisher.take() {
            match closed {
                Closed::Refused(Refusal::Revoked | Refusal::Expired) => {
                    publisher.end(EndReason::KeyRevoked);
                }
                _ => publisher.interrupt(),
            }
        }
        // Somebody waits for this place.
        if !matches!(closed, Closed::Crowded) && self.flush().await.is_ok() {
            let stranger = self.stranger.take();
            // Lets the reason arrive before the reset that unread input makes.
            let linger = async {
                let _ = self.socket.shutdown().await;
                while self.socket.read(&mut self.buffer).await.is_ok_and(|length| length > 0) {}
            };
            tokio::select! {
                _ = timeout(FAREWELL, linger) => {}
                () = pushed_out(stranger.as_ref()) => {}
            }
        }
    }
}

/// The first multiple of `step` after `spent`.
fn next_multiple(spent: Duration, step: Duration) -> Duration {
    let steps = spent.as_millis() / step.as_millis().max(1) + 1;
    step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

async fn wait_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Resolves when a connection that does not publish is to go.
async fn pushed_out(stranger: Option<&Stranger>) {
    match stranger {
        Some(stranger) => stranger.pushed_out().await,
        None => pending().await,
    }
}

/// Resolves when the publisher may not go on.
async fn must_go(publisher: Option<&Publisher>) -> Refusal {
    match publisher {
        Some(publisher) => publisher.must_go().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_waits_for_the_next_multiple() {
        let ms = Duration::from_millis;
        for (spent, due) in [(0, 300), (299, 300), (300, 600), (1_000, 1_200)] {
            assert_eq!(next_multiple(ms(spent), REFUSE_EVERY), ms(due));
        }
    }
}
