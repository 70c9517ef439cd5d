//! A service is away: the first stream finds out, the others are told at once,
//! and all goes on when it is back.

use std::time::Duration;

use millrace_harness::server::{Kind, Server};
use millrace_operator::reconcile::external::{
    Done, External, Reason, StepError, cache, keys, make, registry, topics,
};
use millrace_operator::reconcile::validated::ValidatedStream;
use millrace_platform::names::topics::frames_topic;

use crate::servers::{Servers, migrate};
use crate::support::{World, key, named, one, until};

fn streams() -> [ValidatedStream; 2] {
    ["one", "two"].map(|name| named(name, &format!("uid-{name}"), "{ broadcaster: acme }"))
}

/// The second stream is not kept waiting for what the first has found out.
fn is_left_alone(second: &StepError) {
    assert!(matches!(second, StepError::LeftAlone(_)), "{second:?}");
    assert!(second.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let server = Server::new(Kind::Postgres).unwrap();
    migrate(&server.address());
    let world = World::on(Servers { database: server.address(), ..Servers::new() });
    let [one_stream, two] = streams();
    let keys_of = one(&key());
    let all = make(&world.outside, &one_stream, Some(&keys_of)).await;
    assert!(all.wrote() && all.errors().count() == 0, "{all:?}");
    server.stop().unwrap();
    let outside = world.restarted();
    // What is there is found; nothing is made that no sweep would find.
    let known = make(&outside, &one_stream, Some(&keys_of)).await;
    assert_eq!(known.topics.unwrap(), Done::Unchanged);
    assert_eq!(known.cache.unwrap(), ());
    let new = make(&outside, &two, Some(&keys_of)).await;
    assert_eq!(new.topics.unwrap_err().reason(), Reason::PostgresUnavailable);
    let topic = frames_topic(&world.installation, &two.id);
    assert!(world.admin().describe(&topic).await.unwrap().is_none());

    let outside = world.restarted();
    let first = registry::register(&outside, &one_stream).await.unwrap_err();
    assert_eq!(first.reason(), Reason::PostgresUnavailable, "{first:?}");
    is_left_alone(&keys::follow(&outside, &two, &one(&key())).await.unwrap_err());
    // Nobody else's business.
    cache::check(&outside).await.unwrap();
    server.start().unwrap();
    until("Postgres is asked again", async || registry::register(&outside, &two).await.is_ok())
        .await;
    let back = make(&outside, &two, Some(&one(&key()))).await;
    assert!(back.wrote() && back.errors().count() == 0, "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let server = Server::new(Kind::Redis).unwrap();
    let world = World::on(Servers { redis: server.address(), ..Servers::new() });
    let [one_stream, _] = streams();
    cache::check(&world.outside).await.unwrap();
    server.stop().unwrap();
    let outside = world.restarted();
    let first = cache::check(&outside).await.unwrap_err();
    assert_eq!(first.reason(), Reason::RedisUnavailable, "{first:?}");
    is_left_alone(&cache::check(&outside).await.unwrap_err());
    // A key is stored though nobody can be told, and Postgres is not blamed.
    let done = keys::follow(&outside, &one_stream, &one(&key())).await.unwrap();
    assert_eq!(done.stored.len(), 1);
    registry::register(&outside, &one_stream).await.unwrap();
    server.start().unwrap();
    until("Redis is asked again", async || cache::check(&outside).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka() {
    let server = Server::new(Kind::Kafka).unwrap();
    let world = World::on(Servers { kafka: server.address(), ..Servers::new() });
    let [one_stream, two] = streams();
    topics::ensure(&world.outside, &one_stream).await.unwrap();
    server.stop().unwrap();
    // What is known to be so needs no Kafka.
    topics::ensure(&world.outside, &one_stream).await.unwrap();
    let outside: External = world.restarted();
    let first = topics::ensure(&outside, &one_stream).await.unwrap_err();
    assert_eq!(first.reason(), Reason::KafkaUnavailable, "{first:?}");
    is_left_alone(&topics::ensure(&outside, &two).await.unwrap_err());
    registry::register(&outside, &two).await.unwrap();
    server.start().unwrap();
    until("Kafka is asked again", async || topics::ensure(&outside, &two).await.is_ok()).await;
}

/// A server that takes connections and says nothing, as behind a network that
/// swallows packets.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_given_up_within_the_bound() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let _accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            held.push(connection);
        }
    });
    let world = World::on(Servers {
        database: format!("postgres://postgres@{address}/postgres"),
        redis: format!("redis://{address}"),
        kafka: address.to_string(),
        ..Servers::new()
    });
    let [one_stream, _] = streams();
    let (outside, keys) = (&world.outside, one(&key()));
    let begun = tokio::time::Instant::now();
    let (a, b, c, d) = tokio::join!(
        registry::register(outside, &one_stream),
        topics::ensure(outside, &one_stream),
        cache::check(outside),
        keys::follow(outside, &one_stream, &keys),
    );
    // Far from the bound only on a machine that stands still.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // While one asks whether Kafka is back, nobody waits with it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let two = &streams()[1];
    tokio::select! {
        biased;
        asks = topics::ensure(outside, &one_stream) => panic!("silence is an answer: {asks:?}"),
        told = topics::ensure(outside, two) => is_left_alone(&told.unwrap_err()),
    }
    let reasons = [
        a.unwrap_err().reason(),
        b.unwrap_err().reason(),
        c.unwrap_err().reason(),
        d.unwrap_err().reason(),
    ];
    let expected = [
        Reason::PostgresUnavailable,
        Reason::KafkaUnavailable,
        Reason::RedisUnavailable,
        Reason::PostgresUnavailable,
    ];
    assert_eq!(reasons, expected);
}
