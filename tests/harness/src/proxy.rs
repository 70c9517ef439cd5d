//! A TCP relay in front of a server, that can be slow, silent, or turn everybody away.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Connections at a time; more wait.
const CONNECTIONS: usize = 512;
/// Bytes read at once, and pieces that are on their way in each direction.
const PIECE: usize = 64 << 10;
const PIECES: usize = 64;
/// Longest request head that is read before it is answered.
const HEAD: usize = 64 << 10;

/// What happens to what comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Every byte is so much late, in each direction.
    Delay(Duration),
    /// Nothing arrives, and nothing closes: as behind a cable that was pulled. What was sent
    /// meanwhile arrives when it is plugged in again.
    BlackHole,
    /// Connections break, and new ones at once.
    Reset,
    /// Connections break, and whoever comes is answered with this status of HTTP.
    Answer(u16),
}

impl Mode {
    fn breaks(self) -> bool {
        matches!(self, Self::Reset | Self::Answer(_))
    }

    fn delay(self) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::Pass | Self::BlackHole | Self::Reset | Self::Answer(_) => Duration::ZERO,
        }
    }
}

/// A running relay. Dropped, it ends with its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Relays from a free port of the loopback address to a server.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a proxy")?;
        let address = listener.local_addr()?;
        let mode = watch::Sender::new(Mode::Pass);
        let task = tokio::spawn(accept(listener, server, mode.subscribe()));
        Ok(Self { address, mode, task })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, mode: watch::Receiver<Mode>) {
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        let mut mode = mode.clone();
        connections.spawn(async move {
            let _place = place;
            serve(client, server, &mut mode).await;
        });
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, mode: &mut watch::Receiver<Mode>) {
    let _ = client.set_nodelay(true);
    if let Ok(now) = mode.wait_for(|mode| *mode != Mode::BlackHole).await.map(|mode| *mode) {
        match now {
            Mode::Pass | Mode::Delay(_) => {}
            Mode::Answer(status) => return answer(&mut client, status).await,
            Mode::BlackHole | Mode::Reset => return,
        }
    }
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    let _ = upstream.set_nodelay(true);
    let (there, back) = (mode.clone(), mode.clone());
    let is_broken = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = upstream.split();
        let both = async {
            tokio::join!(carry(from_client, to_server, there), carry(from_server, to_client, back))
        };
        tokio::select! {
            _ = mode.wait_for(|mode| mode.breaks()) => true,
            _ = both => false,
        }
    };
    if is_broken {
        // Not as at an end in order.
        let _ = client.set_zero_linger();
        let _ = upstream.set_zero_linger();
    }
}

async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut mode: watch::Receiver<Mode>) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let now = mode.clone();
    let read = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let piece = buffer.get(..n).unwrap_or_default().to_vec();
            let due = Instant::now() + now.borrow().delay();
            if sender.send((due, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if mode.wait_for(|mode| *mode != Mode::BlackHole).await.is_err()
                || to.write_all(&piece).await.is_err()
            {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

async fn answer(client: &mut TcpStream, status: u16) {
    let (mut head, mut buffer) = (Vec::new(), vec![0; 4096]);
    while head.len() < HEAD && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut buffer).await {
            Ok(n @ 1..) => head.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            _ => return,
        }
    }
    let text = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = client.write_all(text.as_bytes()).await;
    let _ = client.shutdown().await;
    // Closing with a body unread would take the answer with it.
    let mut rest = 0;
    while rest < 64 << 20 {
        match client.read(&mut buffer).await {
            Ok(n @ 1..) => rest += n,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends everything back.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn ask(client: &mut TcpStream, text: &str) -> std::io::Result<String> {
        client.write_all(text.as_bytes()).await?;
        let mut answer = vec![0; text.len()];
        client.read_exact(&mut answer).await?;
        Ok(String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn what_passes_is_late_held_back_or_broken_as_it_is_told() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client, "one").await.unwrap(), "one");

        proxy.set(Mode::Delay(Duration::from_millis(30)));
        let asked = Instant::now();
        assert_eq!(ask(&mut client, "two").await.unwrap(), "two");
        assert!(asked.elapsed() >= Duration::from_millis(60), "there and back");

        proxy.set(Mode::BlackHole);
        let held = tokio::time::timeout(Duration::from_millis(200), ask(&mut client, "three"));
        assert!(held.await.is_err(), "nothing comes");
        proxy.set(Mode::Pass);
        let mut late = [0; 5];
        client.read_exact(&mut late).await.unwrap();
        assert_eq!(&late, b"three", "what was sent meanwhile comes");

        proxy.set(Mode::Reset);
        assert!(ask(&mut client, "four").await.is_err());
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut other, "five").await.is_err());

        proxy.set(Mode::Answer(507));
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        other.write_all(b"PUT / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        other.shutdown().await.unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
    }
}
