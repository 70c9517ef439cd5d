//! A listener: accepts connections and serves them with the limits that a
//! public address needs. Knows nothing of routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Layer;

use crate::audience::guess::Peer;

use super::stall::StallGuard;

/// A peer sends its request's head within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes none of a response for this long is cut off.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// HTTP/2 peers are asked for life this often, and answer within the next.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;
/// Bytes of a request's head, all headers and the URL.
const MAX_HEAD: u32 = 16 * 1024;
/// Requests under way may end within this time after the shutdown began.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until `shutdown`, then lets requests end.
///
/// At most `max_connections` are open; more wait in the kernel's queue. `open`
/// shows how many there are.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    open: Gauge,
    shutdown: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(max_connections));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: they come back.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let held = Held(Arc::new(Place { _permit: place, _counted: Counted::new(&open) }));
        let service = Extension(Peer(peer)).layer(router.clone());
        let service = Extension(held).layer(service);
        let service = TowerToHyperService::new(service);
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let server = builder();
            let io = TokioIo::new(StallGuard::new(stream, HEAD_TIMEOUT, WRITE_STALL));
            let connection = server.serve_connection_with_upgrades(io, service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at the end of the drain time");
    }
}

/// A connection's place among those that may be open, until the last clone is
/// dropped; an extension of every request. What outlives the service of the
/// connection, since it was upgraded, keeps one.
#[derive(Debug, Clone)]
pub struct Held(#[expect(dead_code, reason = "held, not read")] Arc<Place>);

#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

/// A connection that is counted until it is dropped.
#[derive(Debug)]
struct Counted(Gauge);

impl Counted {
    fn new(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // A playlist or part must not wait for the acknowledgement of the last.
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD as usize)
        .keep_alive(true);
    server
        .http2()
        // WebSockets (RFC 8441).
        .enable_connect_protocol()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD);
    server
}
