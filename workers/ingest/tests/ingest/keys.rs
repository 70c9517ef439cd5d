//! The life of publish keys as ingest sees it, with Redis and Postgres there
//! and away.

use std::time::{Duration, Instant};

use crate::support::gate::Gate;
use crate::support::publisher::{Answer, Publisher};
use crate::support::{Ingest, PATIENCE, World, tell};
use millrace_harness::server::{Kind, Server};
use millrace_media::id::{KeyId, PublishKey};
use millrace_media::record::Record;
use millrace_platform::keys::{ApiKey, Verdict, generate};

const BAD_NAME: &str = "NetStream.Publish.BadName";

async fn refused(ingest: &Ingest, key: &PublishKey) -> String {
    match Publisher::ask(&ingest.rtmp, "live", &key.reveal()).await {
        Answer::Refused(reason) => reason,
        Answer::Accepted(_) => panic!("accepted"),
    }
}

async fn live(ingest: &Ingest, key: &PublishKey) -> Publisher {
    let mut publisher = Publisher::connect(&ingest.rtmp, &key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    publisher
}

fn key_revoked(records: &[Record]) -> bool {
    tell(records).last().is_some_and(|word| word.ends_with("end KeyRevoked"))
}

/// A key of the API.
async fn api_key(world: &World) -> PublishKey {
    let key = ApiKey {
        stream: world.stream.clone(),
        name: "guest".parse().unwrap(),
        broadcaster: "acme".to_owned(),
        expires_ms: None,
    };
    world.ring.create(&key).await.unwrap()
}

async fn last_used(world: &World, id: &KeyId) -> Option<i64> {
    world.keys.find(id).await.unwrap().unwrap().last_used_ms
}

/// The cached verdict, by a connection that may have to be made anew.
async fn verdict(world: &World, id: &KeyId) -> Option<Verdict> {
    let start = Instant::now();
    loop {
        match world.verdicts.get(id).await {
            Ok(verdict) => return verdict,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_revocation_ends_a_live_publish_and_refuses_the_next() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let key = api_key(&world).await;
    let mut publisher = live(&ingest, &key).await;
    let before = Instant::now();
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
    // Postgres is asked only every 15 s: it was the announcement.
    let after = before.elapsed();
    eprintln!("a revocation ended a live publish within {after:?}");
    assert!(after < Duration::from_secs(10), "{after:?}");
    world.records_when(key_revoked).await;
    assert_eq!(refused(&ingest, &key).await, BAD_NAME);
    // Who knows the secret is told the truth.
    ingest.metric("millrace_ingest_refused_total{reason=\"revoked_key\"} 2").await;
}

#[tokio::test]
async fn a_rotated_key_publishes_until_its_overlap_ends_and_the_new_one_at_once() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let old = api_key(&world).await;
    let mut publisher = live(&ingest, &old).await;
    let overlap = Duration::from_secs(6);
    let new = world.ring.rotate(&world.stream, old.id(), overlap, None).await.unwrap();
    // Told of the change, the publisher goes on.
    world.records_when(|r| tell(r).contains(&"1 video key".to_owned())).await;
    publisher.gops(1, 1).await;
    let keyframes = |r: &[Record]| tell(r).iter().filter(|w| *w == "1 video key").count();
    world.records_when(|r| keyframes(r) == 2).await;
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
    ingest.metric("millrace_ingest_refused_total{reason=\"expired_key\"} 1").await;
    world.records_when(key_revoked).await;
    assert_eq!(refused(&ingest, &old).await, BAD_NAME);
    live(&ingest, &new).await;
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_whoever_admitted_it() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut before = None;
    // By Postgres, and then by the cached verdict.
    for _ in 0..2 {
        Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
        let start = Instant::now();
        while last_used(&world, world.key.id()).await <= before {
            assert!(start.elapsed() < PATIENCE, "the use is not noted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        before = last_used(&world, world.key.id()).await;
        ingest.line("broadcast ended");
    }
    ingest.metric("millrace_ingest_key_checks_total{by=\"cache\"} 1").await;
}

#[tokio::test]
async fn a_key_revoked_while_redis_is_stopped_ends_and_is_refused_when_redis_is_back() {
    let redis = Server::new(Kind::Redis).unwrap();
    let world = World::on(&crate::support::variable("TEST_DATABASE_URL"), &redis.address()).await;
    let ingest = world.ingest(&[]);
    let key = api_key(&world).await;
    // Its verdict is in Redis, which keeps it.
    live(&ingest, &key).await.unpublish().await;
    ingest.line("broadcast ended");
    redis.stop().unwrap();
    let mut publisher = live(&ingest, &key).await;
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
    world.records_when(key_revoked).await;

    redis.start().unwrap();
    // Refused from the first moment: until the stale verdict is set right it is
    // in doubt, and Postgres asked first.
    assert_eq!(refused(&ingest, &key).await, BAD_NAME);
    ingest.line("cached verdicts are settled");
    assert_eq!(refused(&ingest, &key).await, BAD_NAME);
    assert_eq!(verdict(&world, key.id()).await, Some(Verdict::Revoked));
    // A good one is admitted by the cache again, once the breaker lets it be asked.
    let start = Instant::now();
    while ingest.count("millrace_ingest_key_checks_total{by=\"cache\"}").await == 0 {
        assert!(start.elapsed() < PATIENCE, "the cache is not used again");
        live(&ingest, &world.key).await.unpublish().await;
        ingest.line("broadcast ended");
    }
}

#[tokio::test]
async fn with_postgres_away_too_a_stale_verdict_admits_only_until_it_is_back() {
    let redis = Server::new(Kind::Redis).unwrap();
    let postgres = Server::new(Kind::Postgres).unwrap();
    let world = World::on(&postgres.address(), &redis.address()).await;
    let ingest = world.ingest(&[]);
    let key = api_key(&world).await;
    live(&ingest, &key).await.unpublish().await;
    ingest.line("broadcast ended");
    redis.stop().unwrap();
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
    postgres.stop().unwrap();
    redis.start().unwrap();
    ingest.line("cached verdicts are doubtful");
    let mut publisher = live(&ingest, &key).await;
    postgres.start().unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
    world.records_when(key_revoked).await;
    assert_eq!(refused(&ingest, &key).await, BAD_NAME);
}

#[tokio::test]
async fn a_revocation_is_heard_while_postgres_does_not_answer() {
    let world = World::new().await;
    // Its verdict is in Redis.
    let first = world.ingest(&[]);
    live(&first, &world.key).await.unpublish().await;
    first.line("broadcast ended");
    let (_closed, url) = Gate::of_postgres(&world).await;
    let ingest = world.ingest(&[("DATABASE_URL", &url)]);
    let mut publisher = live(&ingest, &world.key).await;
    ingest.line("a key in use can't be checked");
    world.keys.revoke(world.key.id()).await.unwrap();
    world.verdicts.revoke(world.key.id()).await.unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
    world.records_when(key_revoked).await;
}

#[tokio::test]
async fn a_row_that_is_lost_ends_no_publish() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = live(&ingest, &world.key).await;
    world.execute("DELETE FROM stream_keys").await;
    // So that Postgres is asked at once.
    world.verdicts.changed(world.key.id()).await.unwrap();
    ingest.line("Postgres does not know the key in use");
    publisher.gops(1, 1).await;
    let keyframes = |r: &[Record]| tell(r).iter().filter(|w| *w == "1 video key").count();
    world.records_when(|r| keyframes(r) == 2).await;
    // It is still watched over.
    world.verdicts.revoke(world.key.id()).await.unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
}

#[tokio::test]
async fn another_secret_of_an_id_ends_the_publish_with_the_old_one_and_is_cached() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = live(&ingest, &world.key).await;
    let secret = generate(&mut rand::rng()).unwrap().secret().to_owned();
    let edited = PublishKey::new(world.key.id().clone(), secret).unwrap();
    world.store(&edited, &world.stream).await;
    world.verdicts.changed(edited.id()).await.unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some(BAD_NAME));
    world.records_when(key_revoked).await;
    live(&ingest, &edited).await;
    let right = Verdict::right(&edited, world.stream.clone(), None);
    assert_eq!(verdict(&world, edited.id()).await, Some(right));
}

#[tokio::test]
async fn a_new_secret_of_an_id_is_right_although_the_cache_knows_the_old_one() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    live(&ingest, &world.key).await.unpublish().await;
    ingest.line("broadcast ended");
    let secret = generate(&mut rand::rng()).unwrap().secret().to_owned();
    let edited = PublishKey::new(world.key.id().clone(), secret).unwrap();
    // Nobody announces it.
    world.store(&edited, &world.stream).await;
    live(&ingest, &edited).await;
}
