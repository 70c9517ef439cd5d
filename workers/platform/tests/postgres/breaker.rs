//! Postgres away, for whoever has a circuit breaker before it.

use std::time::Duration;

use millrace_harness::proxy::{Mode, Proxy};
use millrace_platform::breaker::BreakerMetrics;
use millrace_platform::postgres::qualities::Qualities;
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::telemetry::Metrics;
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, World, config, installation};

/// A pool that reaches a test's database through a proxy, with and without
/// the breaker.
struct Far {
    proxy: Proxy,
    insists: Database,
    guarded: Qualities,
    metrics: Metrics,
}

impl Far {
    async fn new() -> Self {
        let world = World::new().await;
        let (before, name) = world.url.rsplit_once('/').unwrap();
        let (user, server) = before.rsplit_once('@').unwrap();
        let proxy = Proxy::start(server.parse().unwrap()).await.unwrap();
        let url = format!("{user}@{}/{name}", proxy.address());
        let settings = [("DATABASE_ACQUIRE_TIMEOUT_MS", "300")];
        let insists = Database::open(&config(&url, &settings)).unwrap();
        let (metrics, breakers) = (Metrics::default(), BreakerMetrics::default());
        metrics.with(|registry| breakers.register(registry));
        let guarded = insists.guarded(&breakers, "record");
        let guarded = Qualities::new(guarded, installation(&world.unique));
        Self { proxy, insists, guarded, metrics }
    }

    /// What metrics show of the breaker: its state, and how often it opened.
    fn shown(&self) -> (String, String) {
        let text = self.metrics.render();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        let state = value("millrace_breaker_state{use=\"record\"}");
        (state, value("millrace_breaker_trips_total{use=\"record\"}"))
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, what: &str, so: impl Fn(&Result<usize, DatabaseError>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.guarded.list().await.map(|all| all.len());
            if so(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "not {what}: {answer:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn away(mode: Mode) {
    let far = Far::new().await;
    far.guarded.list().await.unwrap();
    far.proxy.set(mode);
    for _ in 0..3 {
        let refused = far.guarded.list().await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Unavailable { .. }), "{refused:?}");
    }
    far.until("left alone", |answer| matches!(answer, Err(DatabaseError::LeftAlone { .. }))).await;
    let (state, trips) = far.shown();
    assert!(state != "0" && trips != "0", "{state}, {trips}");
    // What must get through asks all the same.
    let refused = far.insists.ping().await.unwrap_err();
    assert!(matches!(refused, DatabaseError::Unavailable { .. }), "{refused:?}");
    far.proxy.set(Mode::Pass);
    far.until("back", Result::is_ok).await;
    assert_eq!(far.shown().0, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_postgres_was_killed_it_is_left_alone_and_then_asked_again() {
    away(Mode::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_says_nothing_is_left_alone_and_then_asked_again() {
    away(Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_get_through_finds_out_for_the_others() {
    let far = Far::new().await;
    far.proxy.set(Mode::Reset);
    for _ in 0..3 {
        far.insists.ping().await.unwrap_err();
    }
    far.until("left alone", |answer| matches!(answer, Err(DatabaseError::LeftAlone { .. }))).await;
    far.proxy.set(Mode::Pass);
    let deadline = Instant::now() + PATIENCE;
    while far.insists.ping().await.is_err() {
        assert!(Instant::now() < deadline, "Postgres is not back");
    }
    assert_eq!(far.shown().0, "0");
    far.guarded.list().await.unwrap();
}
