//! The API while Postgres is away.

use std::time::Duration;

use millrace_harness::proxy::Mode;
use millrace_platform::tokens::Scope;

use crate::support::{Answer, Replica, World, until};

/// What the API reads by each of its two roles, and the breaker before it.
const USES: [(&str, &str); 2] =
    [("record", "/api/v1/qualities"), ("control", "/api/v1/streams/events.keynote/keys")];

/// The state of a breaker, as metrics show it.
async fn state(replica: &Replica, of: &str) -> String {
    let metrics = replica.ask("/metrics", "").await.text;
    let name = format!("millrace_breaker_state{{use=\"{of}\"}} ");
    let found = metrics.lines().find_map(|line| line.strip_prefix(&name));
    found.unwrap_or_else(|| panic!("no {name} in {metrics}")).to_owned()
}

fn is_left_alone(answer: &Answer) -> bool {
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!(answer.text.contains("Postgres does not answer"), "{}", answer.text);
    answer.text.contains("left alone")
}

/// Not more often than one token may.
async fn ask(replica: &Replica, path: &str, token: &str) -> Answer {
    tokio::time::sleep(Duration::from_millis(50)).await;
    replica.ask(path, token).await
}

async fn away(mode: Mode) {
    let world = World::with_postgres().await;
    let token = world.token(&Scope::ALL, "*").await;
    let (proxy, settings) = world.postgres_by_proxy().await;
    let replica = world.replica_with(settings).await;
    for (of, path) in USES {
        let answer = replica.ask(path, &token).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(state(&replica, of).await, "0");
    }
    proxy.set(mode);
    for (of, path) in USES {
        until(async || is_left_alone(&ask(&replica, path, &token).await)).await;
        assert_ne!(state(&replica, of).await, "0", "{of}");
    }
    // The token is known, and its table is asked again after a while.
    let me = async || ask(&replica, "/api/v1/me", &token).await.status;
    until(async || me().await == 200 && state(&replica, "tokens").await != "0").await;
    proxy.set(Mode::Pass);
    for (of, path) in USES {
        until(async || ask(&replica, path, &token).await.status == 200).await;
        assert_eq!(state(&replica, of).await, "0");
    }
    until(async || me().await == 200 && state(&replica, "tokens").await == "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_killed_the_api_says_so_at_once_and_goes_on_with_it() {
    away(Mode::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_silent_the_api_says_so_at_once_and_goes_on_with_it() {
    away(Mode::BlackHole).await;
}
