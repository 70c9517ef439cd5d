//! A connection that gives up on a peer which says nothing at first, or which
//! stops reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes by which the server knows the version of HTTP and its own time-outs
/// begin: the length of HTTP/2's preface (RFC 9113 §3.4).
const OPENING: usize = 24;

/// Fails a read when the peer has not opened within a time, and a write when
/// it has taken nothing for `limit`.
#[derive(Debug)]
pub struct StallGuard<S> {
    inner: S,
    /// Bytes of the opening that are missing, and until when they may be.
    missing: usize,
    opening: Pin<Box<Sleep>>,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
    stalled: bool,
}

impl<S> StallGuard<S> {
    /// Guards `inner`, which has just connected.
    pub fn new(inner: S, opening: Duration, limit: Duration) -> Self {
        Self {
            inner,
            missing: OPENING,
            opening: Box::pin(tokio::time::sleep(opening)),
            limit,
            deadline: Box::pin(tokio::time::sleep(limit)),
            stalled: false,
        }
    }

    /// Turns "not now" into an error once it has lasted for the limit.
    fn judge<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = false;
            return polled;
        }
        if !self.stalled {
            self.stalled = true;
            self.deadline.as_mut().reset(Instant::now() + self.limit);
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(context, buffer);
        this.missing = this.missing.saturating_sub(buffer.filled().len() - before);
        if polled.is_pending() && this.missing > 0 {
            return this
                .opening
                .as_mut()
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.judge(polled, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.judge(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(context);
        this.judge(polled, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_shutdown(context);
        this.judge(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LATER: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_peer_that_does_not_open_is_given_up_and_one_that_has_may_be_silent() {
        let (mut peer, ours) = tokio::io::duplex(64);
        peer.write_all(b"PRI * HTTP").await.unwrap();
        let mut guarded = StallGuard::new(ours, Duration::from_millis(20), LATER);
        let error = guarded.read_exact(&mut [0; 24]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut peer, ours) = tokio::io::duplex(64);
        peer.write_all(&[b'x'; 24]).await.unwrap();
        let mut guarded = StallGuard::new(ours, Duration::from_millis(20), LATER);
        guarded.read_exact(&mut [0; 24]).await.unwrap();
        let more = guarded.read_u8();
        assert!(tokio::time::timeout(Duration::from_millis(60), more).await.is_err());
    }

    #[tokio::test]
    async fn a_peer_that_stops_reading_is_given_up() {
        let (_peer, ours) = tokio::io::duplex(8);
        let mut guarded = StallGuard::new(ours, LATER, Duration::from_millis(20));
        let error = guarded.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
