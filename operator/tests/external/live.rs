//! Who publishes is seen in the logs.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_harness::server::{Kind, Server};
use millrace_media::id::{Epoch, StreamId};
use millrace_media::record::EndReason;
use millrace_operator::reconcile::external::live::{LiveView, Seen, start};
use millrace_operator::reconcile::external::topics;
use millrace_platform::kafka::{Producer, ProducerLimits};
use millrace_platform::names::topics::frames_topic;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::publisher::Publisher;
use crate::servers::Servers;
use crate::support::{PATIENCE, World, named, until};

/// A view that looks, for as long as this lives.
struct Looking {
    view: LiveView,
    changes: mpsc::Receiver<StreamId>,
    _stop: DropGuard,
}

impl Looking {
    fn at(world: &World, streams: &[StreamId]) -> Self {
        let stop = CancellationToken::new();
        let (view, changes, task) = start(&world.restarted(), stop.clone()).unwrap();
        for stream in streams {
            view.watch(stream.clone());
        }
        tokio::spawn(task);
        Self { view, changes, _stop: stop.drop_guard() }
    }

    /// Waits until a stream is seen so, and was told of.
    async fn sees(&mut self, stream: &StreamId, what: &str, is: impl Fn(Seen) -> bool) -> Seen {
        let wait = async {
            while !is(self.view.get(stream)) {
                self.changes.recv().await.expect("the task ended");
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{what}: {:?}", self.view.get(stream));
        self.view.get(stream)
    }
}

fn producer(world: &World) -> Producer {
    Producer::open(&world.kafka(), ProducerLimits::default()).unwrap()
}

fn publisher_of(world: &World, stream: &StreamId) -> Publisher {
    Publisher::new(producer(world), &world.installation, stream)
}

async fn topic_of(world: &World, name: &str) -> StreamId {
    let stream = named(name, &format!("uid-{name}"), "{ broadcaster: acme }");
    topics::ensure(&world.outside, &stream).await.unwrap();
    stream.id
}

fn live(seen: Seen) -> bool {
    seen.is_live() == Some(true)
}

fn idle(seen: Seen) -> bool {
    seen.is_busy() == Some(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_seen_from_its_opening_to_its_end() {
    let world = World::new();
    let stream = topic_of(&world, "one").await;
    let mut looking = Looking::at(&world, std::slice::from_ref(&stream));
    let seen = looking.sees(&stream, "an empty log", idle).await;
    assert!(matches!(seen, Seen::Known { broadcast: None, moving: false, .. }), "{seen:?}");

    let mut publisher = publisher_of(&world, &stream);
    publisher.open().await;
    looking.sees(&stream, "an open broadcast", live).await;
    publisher.frames(3).await;
    let pictured = |seen| matches!(seen, Seen::Known { broadcast: Some(b), .. } if b.pictured);
    looking.sees(&stream, "its picture", pictured).await;
    // Its publisher is lost.
    let still = |seen| matches!(seen, Seen::Known { moving: false, .. });
    let seen = looking.sees(&stream, "a log that stands still", still).await;
    let Seen::Known { broadcast: Some(broadcast), .. } = seen else { panic!("{seen:?}") };
    assert_eq!((broadcast.id, broadcast.epoch), (publisher.broadcast, Epoch(1)));
    assert_eq!((broadcast.started_ms, broadcast.ended), (1_000, None));
    assert_eq!(seen.is_busy(), Some(true));
    // And comes back.
    publisher.epoch = 2;
    publisher.open().await;
    publisher.frames(1).await;
    let second = |seen| matches!(seen, Seen::Known { broadcast: Some(b), .. } if b.epoch.0 == 2);
    looking.sees(&stream, "the second epoch", second).await;
    publisher.end(EndReason::ReconnectWindow).await;
    let seen = looking.sees(&stream, "the end", idle).await;
    let Seen::Known { broadcast: Some(broadcast), .. } = seen else { panic!("{seen:?}") };
    assert!(matches!(broadcast.ended, Some((at, EndReason::ReconnectWindow)) if at > 1_000));

    // Who looks only now sees the same; also from behind many frames.
    let other = topic_of(&world, "two").await;
    let mut long = publisher_of(&world, &other);
    long.open().await;
    long.frames(600).await;
    let mut late = Looking::at(&world, &[stream.clone(), other.clone()]);
    let again = late.sees(&stream, "the end, by another", idle).await;
    assert!(matches!(again, Seen::Known { broadcast: Some(b), .. } if b == broadcast), "{again:?}");
    let seen = late.sees(&other, "an opening 600 records back", live).await;
    assert!(matches!(seen, Seen::Known { broadcast: Some(b), .. } if b.id == long.broadcast));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_deleted_or_made_again_spoils_no_others_view() {
    let world = World::new();
    let here = topic_of(&world, "here").await;
    let deleted = topic_of(&world, "deleted").await;
    let missing: StreamId = "events.missing".parse().unwrap();
    let old = publisher_of(&world, &deleted);
    old.open().await;
    let all = [here.clone(), deleted.clone(), missing.clone()];
    let mut looking = Looking::at(&world, &all);
    looking.sees(&here, "an empty log", idle).await;
    looking.sees(&missing, "no log", idle).await;
    looking.sees(&deleted, "an open broadcast", live).await;

    world.admin().delete(&frames_topic(&world.installation, &deleted)).await.unwrap();
    looking.sees(&deleted, "a deleted log", idle).await;
    let publisher = publisher_of(&world, &here);
    publisher.open().await;
    looking.sees(&here, "a broadcast beside a deleted log", live).await;

    let fresh = World::on(world.servers.clone());
    assert_eq!(topic_of(&fresh, "deleted").await, deleted);
    let new = publisher_of(&world, &deleted);
    new.open().await;
    let seen = looking.sees(&deleted, "a broadcast in the new log", live).await;
    assert!(matches!(seen, Seen::Known { broadcast: Some(b), .. } if b.id == new.broadcast));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_streams_only_those_are_told_of_that_change() {
    let world = World::new();
    let names: Vec<_> = (0..60).map(|n| format!("m{n}")).collect();
    let streams = futures::future::join_all(names.iter().map(|name| topic_of(&world, name))).await;
    // Every other one had a broadcast.
    let producer = producer(&world);
    let had = futures::future::join_all(streams.iter().step_by(2).map(async |stream| {
        let publisher = Publisher::new(producer.clone(), &world.installation, stream);
        publisher.open().await;
        publisher.end(EndReason::Unpublished).await;
        (stream, publisher.broadcast)
    }));
    let had = had.await;
    let mut looking = Looking::at(&world, &streams);
    let mut first = BTreeSet::new();
    while first.len() < streams.len() {
        let told = tokio::time::timeout(PATIENCE, looking.changes.recv()).await;
        first.insert(told.expect("all are told of once").unwrap());
    }
    for (stream, broadcast) in had {
        let ended = |seen| {
            matches!(seen, Seen::Known { broadcast: Some(b), moving: false, .. }
                                    if b.id == broadcast && !b.is_open())
        };
        looking.sees(stream, "the broadcast it had", ended).await;
    }
    let publisher = publisher_of(&world, &streams[17]);
    publisher.open().await;
    looking.sees(&streams[17], "an open broadcast", live).await;
    looking
        .sees(&streams[17], "and no more", |seen| matches!(seen, Seen::Known { moving: false, .. }))
        .await;
    looking.view.unwatch(&streams[3]);
    assert_eq!(looking.view.get(&streams[3]), Seen::Unknown);
    publisher.end(EndReason::Unpublished).await;
    looking.sees(&streams[17], "the end", idle).await;
    while let Ok(told) = looking.changes.try_recv() {
        assert_eq!(told, streams[17]);
    }
    let topics = streams.iter().map(|stream| frames_topic(&world.installation, stream));
    for topic in topics {
        world.admin().delete(&topic).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_nothing_is_known_and_then_again_what_happened_meanwhile() {
    let server = Server::new(Kind::Kafka).unwrap();
    let world = World::on(Servers { kafka: server.address(), ..Servers::new() });
    let stream = topic_of(&world, "one").await;
    let publisher = publisher_of(&world, &stream);
    publisher.open().await;
    let mut looking = Looking::at(&world, std::slice::from_ref(&stream));
    looking.sees(&stream, "an open broadcast", live).await;
    server.stop().unwrap();
    // The next news, and not that nobody publishes.
    looking.changes.recv().await.unwrap();
    assert_eq!(looking.view.get(&stream), Seen::Unknown);
    server.start().unwrap();
    publisher.end(EndReason::KeyRevoked).await;
    looking.sees(&stream, "the end", idle).await;
    // Nobody asks Postgres or Redis here.
    until("the view goes on", async || {
        tokio::time::sleep(Duration::from_millis(10)).await;
        idle(looking.view.get(&stream))
    })
    .await;
}
