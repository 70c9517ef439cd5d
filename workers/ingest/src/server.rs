//! The listener for RTMP or RTMPS: at most so many peers, each in a task of its
//! own. A TLS handshake takes a place like everything else a stranger does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::config::Entrance;
use crate::connection::serve;
use crate::crowd::{Crowd, Stranger};
use crate::stream::Stream;
use crate::tls::Tls;

/// Open connections at once. One publishes; the rest are strangers and those
/// about to take over.
pub const MAX_CONNECTIONS: usize = 64;
/// New connections that wait for a place at once.
const MAX_WAITING: usize = 128;
/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1_024;
/// How long one that gives way may take to go before another one must.
const GIVE_WAY: Duration = Duration::from_millis(50);
/// How long a new connection waits for a place.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(2);

/// A listener that can't be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} (LISTEN_ADDRESS, {port}) for publishers")]
pub struct ListenError {
    address: SocketAddr,
    port: &'static str,
    #[source]
    source: io::Error,
}

/// Listens; an own step, so that a taken port stops the process at start.
///
/// # Errors
/// When the address can't be had.
pub fn bind(entrance: &Entrance) -> Result<TcpListener, ListenError> {
    let (address, port) = match entrance {
        Entrance::Rtmp(address) => (*address, "RTMP_PORT"),
        Entrance::Rtmps(address, _) => (*address, "RTMPS_PORT"),
    };
    listen(address).map_err(|source| ListenError { address, port, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts peers until `stop`, then waits for them to be told.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    stream: Arc<Stream>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    let crowd = Arc::new(Crowd::default());
    let peers = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = next(&listener, &waiting) => accepted,
        };
        let (turn, socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a peer that left while it waited.
                warn!("accepting a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (stream, stop) = (Arc::clone(&stream), stop.clone());
        let (places, crowd, tls) = (Arc::clone(&places), Arc::clone(&crowd), tls.clone());
        peers.spawn(async move {
            let Some(place) = place(&places, &crowd, &stream).await else {
                debug!(%peer, "no place");
                return;
            };
            drop(turn);
            let stranger = crowd.enter(peer.ip(), Instant::now());
            if let Err(error) = prepare(&socket) {
                debug!(%peer, "socket options: {error}");
            }
            stream.metrics.connections.inc();
            match tls {
                None => serve(socket, peer, Arc::clone(&stream), stranger, stop).await,
                Some(tls) => serve_tls(&tls, socket, peer, &stream, stranger, stop).await,
            }
            stream.metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    peers.close();
    peers.wait().await;
}

/// Serves a peer behind TLS, if it comes so far.
async fn serve_tls(
    tls: &Tls,
    socket: TcpStream,
    peer: SocketAddr,
    stream: &Arc<Stream>,
    stranger: Stranger,
    stop: CancellationToken,
) {
    let secured = tokio::select! {
        secured = tls.secure(socket, &stranger) => secured,
        () = stranger.pushed_out() => {
            debug!(%peer, "others wait, and this connection is inside its TLS handshake");
            return;
        }
        () = stop.cancelled() => return,
    };
    match secured {
        Ok(socket) => serve(socket, peer, Arc::clone(stream), stranger, stop).await,
        Err(error) => {
            stream.metrics.fault(error.reason());
            tls.tell(peer, &error);
        }
    }
}

/// The next peer, once it may wait for a place: the others stay in the backlog.
async fn next(
    listener: &TcpListener,
    waiting: &Arc<Semaphore>,
) -> io::Result<(Option<OwnedSemaphorePermit>, TcpStream, SocketAddr)> {
    // Never closed.
    let turn = Arc::clone(waiting).acquire_owned().await.ok();
    let (socket, peer) = listener.accept().await?;
    Ok((turn, socket, peer))
}

/// A place for one more connection, if need be that of a stranger.
async fn place(
    places: &Arc<Semaphore>,
    crowd: &Crowd,
    stream: &Stream,
) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    stream.metrics.fault("too_many_connections");
    let deadline = tokio::time::Instant::now() + WAIT_FOR_PLACE;
    while tokio::time::Instant::now() < deadline {
        crowd.push_out(Instant::now());
        let freed = Arc::clone(places).acquire_owned();
        if let Ok(Ok(place)) = tokio::time::timeout(GIVE_WAY, freed).await {
            return Some(place);
        }
    }
    None
}

/// Finds out about a peer that is gone without a word: by unanswered probes,
/// or by data that nobody acknowledges.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(2))
        .with_retries(3);
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))
}
