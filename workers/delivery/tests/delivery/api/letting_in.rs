//! Who is let in, and what tokens may.

use std::time::Duration;

use millrace_platform::postgres::page::PageRequest;
use millrace_platform::tokens::{ApiToken, Scope};

use super::Office;
use crate::support::{World, answer, until};

#[tokio::test]
async fn only_a_good_token_is_let_in() {
    let office = Office::open().await;
    let good = format!("Bearer {}", office.token);
    let other = ApiToken::generate(&mut rand::rng());
    let unknown = format!("Bearer {}", other.reveal());
    for (header, status) in [
        (good.as_str(), 200),
        (&good.replace("Bearer", "bearer"), 200),
        (&unknown, 401),
        ("", 401),
        ("Bearer ", 401),
        (&office.token, 401),
        (&good.replace("Bearer", "Basic"), 401),
        ("Bearer a.b.c", 401),
        (&format!("Bearer {}", "x".repeat(9_000)), 401),
    ] {
        let url = format!("http://{}/api/v1/me", office.replica.admin);
        let mut request = office.replica.client.get(url);
        if !header.is_empty() {
            request = request.header("authorization", header);
        }
        let answer = answer(request).await;
        assert_eq!(answer.status, status, "{header}: {}", answer.text);
        if status == 401 {
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            assert_eq!(answer.json()["status"], 401);
        }
    }
    let me = office.read("/me").await;
    assert_eq!((&me["kind"], &me["streams"]), (&"token".into(), &serde_json::json!(["*"])));
    assert_eq!(me["scopes"].as_array().unwrap().len(), Scope::ALL.len());
}

#[tokio::test]
async fn a_token_may_what_its_scopes_and_streams_say() {
    let office = Office::open().await;
    let world = &office.world;
    let here = world.token(&[Scope::StreamsRead], "events.*").await;
    let there = world.token(&[Scope::StreamsRead], "other.*,events.second").await;
    let keys = world.token(&[Scope::KeysRead], "events.keynote").await;
    let _feed = world.feed().await;
    let stream = "/api/v1/streams/events.keynote";
    for (token, path, status) in [
        (&here, stream.to_owned(), 200),
        (&here, format!("{stream}/broadcasts"), 200),
        (&here, format!("{stream}/keys"), 403),
        (&there, stream.to_owned(), 403),
        (&there, format!("{stream}/sessions"), 403),
        (&keys, format!("{stream}/keys"), 200),
        (&keys, stream.to_owned(), 403),
        (&keys, "/api/v1/streams".to_owned(), 403),
    ] {
        let answer = office.replica.ask(&path, token).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    let listed = |answer: crate::support::Answer| answer.json()["items"].as_array().unwrap().len();
    assert_eq!(listed(office.replica.ask("/api/v1/streams", &here).await), 1);
    assert_eq!(listed(office.replica.ask("/api/v1/streams", &there).await), 0);
}

#[tokio::test]
async fn a_token_is_good_at_once_and_refused_soon_after_it_was_revoked() {
    let office = Office::open().await;
    assert_eq!(office.get("/me").await.status, 200);
    let second = office.world.token(&[Scope::StreamsRead], "*").await;
    assert_eq!(office.replica.ask("/api/v1/me", &second).await.status, 200);

    let tokens = office.world.tables().tokens();
    let all = tokens.list(PageRequest::default()).await.unwrap().items;
    tokens.revoke(all[0].id).await.unwrap();
    until(async || office.replica.ask("/api/v1/me", &second).await.status == 401).await;
    assert_eq!(office.get("/me").await.status, 200);
}

#[tokio::test]
async fn a_known_token_goes_on_while_postgres_is_away() {
    let world = World::with_postgres().await;
    let token = world.token(&[Scope::StreamsRead, Scope::BroadcastsWrite], "*").await;
    let (wire, mut settings) = world.postgres_by_wire().await;
    settings.api.database = settings.database.clone();
    let replica = world.replica_with(settings).await;
    assert_eq!(replica.ask("/api/v1/me", &token).await.status, 200);
    wire.cut();
    // Until after the book is no longer fresh.
    let end = tokio::time::Instant::now() + Duration::from_secs(8);
    while tokio::time::Instant::now() < end {
        assert_eq!(replica.ask("/api/v1/me", &token).await.status, 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let other = ApiToken::generate(&mut rand::rng());
    assert_eq!(replica.ask("/api/v1/me", other.reveal()).await.status, 503);
    // A broadcast is ended by the log, which is not set up here.
    let broadcast = uuid::Uuid::now_v7();
    let path = format!("/api/v1/streams/events.keynote/broadcasts/{broadcast}/end");
    let url = format!("http://{}{path}", replica.admin);
    let refused = answer(replica.client.post(url).bearer_auth(&token)).await;
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("KAFKA_BROKERS"), "{}", refused.text);
}

#[tokio::test]
async fn without_a_database_for_it_the_api_says_which_setting_is_missing() {
    let replica = World::new().replica().await;
    let token = ApiToken::generate(&mut rand::rng());
    let refused = replica.ask("/api/v1/me", token.reveal()).await;
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("DATABASE_API_URL"), "{}", refused.text);
    for open in ["/api/v1/version", "/api/v1/health", "/health/ready", "/metrics"] {
        let url = format!("http://{}{open}", replica.admin);
        assert_eq!(answer(replica.client.get(url)).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn one_token_can_not_ask_without_end_and_another_goes_on() {
    let office = Office::open().await;
    let other = office.world.token(&[Scope::StreamsRead], "*").await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let some = (0..100).map(|_| office.get("/me"));
        statuses.extend(futures::future::join_all(some).await);
    }
    let refused = statuses.iter().find(|answer| answer.status == 429).expect("all were taken");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(office.replica.ask("/api/v1/me", &other).await.status, 200);
}
