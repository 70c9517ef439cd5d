//! Replicas: one relays, another takes over.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, World, variable};

/// A delivery process.
struct Replica {
    child: Child,
    admin: String,
    _media: tempfile::TempDir,
}

impl Replica {
    fn start(world: &World) -> Self {
        let media = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_millrace-delivery"))
            .env_clear()
            .envs(world.pairs.iter().cloned())
            .env("REDIS_URL", variable("TEST_REDIS_URL"))
            .env("OBJECT_STORE_URL", format!("file://{}", media.path().display()))
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .env("HTTP_PORT", "0")
            .env("ADMIN_PORT", "0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map_while(Result::ok).find(|l| l.contains("delivery listens"));
        let line = line.expect("it does not listen");
        // What it says later is of no interest, but must not block it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let admin = line.rsplit("127.0.0.1:").next().unwrap();
        let port: String = admin.chars().take_while(char::is_ascii_digit).collect();
        Self { child, admin: format!("http://127.0.0.1:{port}/metrics"), _media: media }
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = reqwest::get(&self.admin).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    async fn holds(&self) -> bool {
        self.metric("millrace_delivery_relay_holds").await == 1
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until one of two holds the place: that one and the other.
async fn held(mut one: Replica, mut other: Replica) -> (Replica, Replica) {
    let start = Instant::now();
    loop {
        if one.holds().await {
            assert!(!other.holds().await, "two relays");
            return (one, other);
        }
        assert!(start.elapsed() < PATIENCE, "nobody relays");
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::mem::swap(&mut one, &mut other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_out_of_order_when_the_holder_is_killed_in_the_middle() {
    const STREAMS: [&str; 4] = ["events.a", "events.b", "events.c", "events.d"];
    const EACH: u32 = 8_000;
    millrace_platform::tls::install_provider();
    let world = World::new().await;
    let (mut holder, other) = held(Replica::start(&world), Replica::start(&world)).await;
    let writer = async {
        for first in (0..EACH).step_by(500) {
            for stream in STREAMS {
                world.append(stream, first..first + 500).await;
            }
        }
    };
    let killer = async {
        while holder.metric("millrace_delivery_relay_events_total").await < 2_000 {}
        holder.kill();
        Instant::now()
    };
    let ((), since) = tokio::join!(writer, killer);
    let mut follower = world.follower();
    let total = usize::try_from(EACH).unwrap() * STREAMS.len();
    follower.until(total);
    for stream in STREAMS {
        assert_eq!(follower.numbers(stream), (0..EACH).collect::<Vec<_>>(), "{stream}");
    }
    world.drained().await;
    assert!(other.holds().await);
    let (sent, twice) = (follower.told.len(), follower.told.len() - total);
    eprintln!(
        "{sent} messages, {twice} of them twice; all over {:?} after the kill",
        since.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_moves_when_its_holder_stops() {
    millrace_platform::tls::install_provider();
    let world = World::new().await;
    let (mut holder, other) = held(Replica::start(&world), Replica::start(&world)).await;
    world.append("events.a", 0..10).await;
    let pid = holder.child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert!(holder.child.wait().unwrap().success());
    let start = Instant::now();
    while !other.holds().await {
        assert!(start.elapsed() < PATIENCE, "nobody takes over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.append("events.a", 10..20).await;
    let mut follower = world.follower();
    follower.until(20);
    assert_eq!(follower.numbers("events.a"), (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_relayed_fast() {
    const EVENTS: u32 = 20_000;
    let world = World::new().await;
    for first in (0..EVENTS).step_by(1_000) {
        world.append("events.a", first..first + 1_000).await;
    }
    let start = Instant::now();
    let relay = world.relay();
    world.drained().await;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(relay.metrics.relayed.get(), u64::from(EVENTS));
    eprintln!(
        "{EVENTS} events relayed in {seconds:.2} s: {:.0} a second",
        f64::from(EVENTS) / seconds
    );
}
