//! Crowds that want nothing, or take nothing: what they cost the program, and that a viewer does
//! not feel them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millrace_harness::ports;
use millrace_harness::process::resident;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::support::feed::segment_bytes;
use crate::support::{World, until};

/// Connections.
const CROWD: usize = 10_000;

/// delivery as a process of its own.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    async fn start(world: &World) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let child = Command::new(env!("CARGO_BIN_EXE_millrace-delivery"))
            .env_clear()
            .envs(world.variables(world.redis_url()))
            .env("HTTP_PORT", address.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until(async || TcpStream::connect(address).await.is_ok()).await;
        Self { child, address }
    }

    /// Its memory in use, in kB.
    fn resident(&self) -> usize {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap());
        usize::try_from(resident(pid).unwrap() / 1_024).unwrap()
    }

    /// Fetches, over a connection of its own.
    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_are_ended() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    assert!(most > CROWD as u64 + 1_000, "this test needs ulimit -n of more than {CROWD}: {most}");
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let delivery = Program::start(&world).await;
    let path = feed.path("720p", "1-1.m4s");
    let segment = segment_bytes(&"720p".parse().unwrap(), 1).to_vec();
    assert_eq!(delivery.get(&path).await, (200, segment.clone()));
    let before = delivery.resident();

    let (here, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let (address, came, gone) = (delivery.address, Arc::clone(&here), Arc::clone(&ended));
        // Some say nothing, some begin to speak, some were here before.
        let said: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /hls/events.keynote/index.m3u8 HTTP/1.1\r\nhost: mill",
            _ => b"GET /hls/events.keynote/index.m3u8 HTTP/1.1\r\nhost: millrace\r\n\r\n",
        };
        crowd.spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(said).await.unwrap();
            came.fetch_add(1, Ordering::Relaxed);
            // Whatever is answered, until the other side has had enough.
            let _ = socket.read_to_end(&mut Vec::new()).await;
            gone.fetch_add(1, Ordering::Relaxed);
        });
        // As many as the kernel keeps waiting.
        if number % 100 == 99 {
            until(async || here.load(Ordering::Relaxed) > number).await;
        }
    }
    assert_eq!(delivery.get(&path).await, (200, segment.clone()));
    let grown = delivery.resident().saturating_sub(before);
    eprintln!("{CROWD} idle connections: {grown} kB more");
    assert!(grown < CROWD * 20, "{grown} kB");

    // Nobody who says no whole request keeps a place.
    until(async || ended.load(Ordering::Relaxed) == CROWD).await;
    assert_eq!(delivery.get(&path).await, (200, segment));
}

#[tokio::test]
async fn clients_that_ask_and_ask_and_read_nothing_fill_no_memory() {
    const CLIENTS: usize = 50;
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..20).await;
    let delivery = Program::start(&world).await;
    let path = feed.path("720p", "media.m3u8");
    assert_eq!(delivery.get(&path).await.0, 200);
    let before = delivery.resident();

    let said = Arc::<AtomicUsize>::default();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut socket = socket.connect(delivery.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: millrace\r\n\r\n");
        let said = Arc::clone(&said);
        clients.spawn(async move {
            // Until it is cut off.
            while socket.write_all(request.as_bytes()).await.is_ok() {
                said.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Until nobody listens to any of them.
    let mut last = 0;
    until(async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = said.load(Ordering::Relaxed);
        std::mem::replace(&mut last, now) == now && now > CLIENTS
    })
    .await;
    assert_eq!(delivery.get(&path).await.0, 200);
    let grown = delivery.resident().saturating_sub(before);
    eprintln!("{last} requests of {CLIENTS} clients that read nothing: {grown} kB more");
    // What hyper holds of answers that can't be written.
    assert!(grown < CLIENTS * 1_000, "{grown} kB");
}
