//! What is told, in which order and form.

use millrace_harness::events;
use millrace_media::id::{BroadcastId, Epoch};
use millrace_media::record::EndReason;
use millrace_platform::kafka::{Event, EventType};
use millrace_platform::postgres::broadcasts::{Broadcasts, Opened};
use uuid::Uuid;

use crate::support::{Told, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_streams_events_arrive_in_the_order_of_their_commits_and_are_deleted() {
    let world = World::new().await;
    let relay = world.relay();
    let streams = ["events.a", "events.b", "events.c"];
    for round in 0..40 {
        for stream in streams {
            world.append(stream, round * 5..(round + 1) * 5).await;
        }
    }
    let mut follower = world.follower();
    follower.until(600);
    for stream in streams {
        assert_eq!(follower.numbers(stream), (0..200).collect::<Vec<_>>(), "{stream}");
        let of: Vec<_> = follower.told.iter().filter(|told| told.key == stream).collect();
        assert!(of.iter().all(|told| told.partition == of.first().unwrap().partition));
    }
    world.drained().await;
    assert_eq!(relay.metrics.relayed.get(), 600);
    assert_eq!(relay.metrics.holds.get(), 1);
}

/// The life of a broadcast, by the module that ingest tells it with.
async fn live(world: &World) -> BroadcastId {
    let broadcasts = Broadcasts::new(world.database.clone(), world.installation.clone());
    let broadcast = BroadcastId(Uuid::now_v7());
    let opened = Opened {
        broadcast,
        stream: "events.keynote".parse().unwrap(),
        epoch: Epoch(1),
        key_id: "abcd1234".parse().unwrap(),
        started_ms: 1_764_000_000_000,
    };
    let (now, mut t) = (1_764_000_001_000, world.database.begin().await.unwrap());
    broadcasts.open(&mut t, &opened).await.unwrap();
    broadcasts.activate(&mut t, broadcast, Epoch(1), now).await.unwrap();
    broadcasts.interrupt(&mut t, broadcast, Epoch(1), now).await.unwrap();
    broadcasts.open(&mut t, &Opened { epoch: Epoch(2), ..opened.clone() }).await.unwrap();
    broadcasts.activate(&mut t, broadcast, Epoch(2), now).await.unwrap();
    broadcasts.end(&mut t, broadcast, EndReason::Unpublished, now).await.unwrap();
    let failed = BroadcastId(Uuid::now_v7());
    broadcasts.open(&mut t, &Opened { broadcast: failed, ..opened }).await.unwrap();
    broadcasts.fail(&mut t, failed, "noMedia", now).await.unwrap();
    t.commit().await.unwrap();
    broadcast
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_broadcast_is_told_as_docs_say() {
    let world = World::new().await;
    let broadcast = live(&world).await;
    let _relay = world.relay();
    let mut follower = world.follower();
    follower.until(5);
    let kinds: Vec<_> =
        follower.told.iter().map(|told| told.headers.get("ce_type").unwrap().as_str()).collect();
    let expected = [
        EventType::StreamStarted,
        EventType::StreamInterrupted,
        EventType::StreamResumed,
        EventType::StreamEnded,
        EventType::StreamFailed,
    ];
    assert_eq!(kinds, expected.map(EventType::as_str));
    for told in &follower.told {
        events::check(told.headers.get("ce_type").unwrap(), &told.data).unwrap();
    }
    let Told { key, headers, data, .. } = follower.told.first().unwrap();
    assert_eq!(key, "events.keynote");
    let id = Event::new(
        key.parse().unwrap(),
        0,
        vec![broadcast.to_string()],
        millrace_platform::kafka::events::data::StreamStarted {
            broadcast,
            epoch: Epoch(1),
            started_ms: 0,
        },
    )
    .id();
    let expected = [
        ("ce_id", id.as_str()),
        ("ce_source", "/millrace/ingest"),
        ("ce_specversion", "1.0"),
        ("ce_subject", "events.keynote"),
        ("ce_time", "2025-11-24T16:00:01.000Z"),
        ("ce_type", "dev.millrace.StreamStarted"),
        ("content-type", "application/json"),
    ];
    let found: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, expected);
    let started = serde_json::json!({
        "broadcast": broadcast.to_string(), "epoch": 1, "startedMs": 1_764_000_000_000_i64,
    });
    assert_eq!(*data, started);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kafka_will_never_take_is_given_up_and_holds_nobody_up() {
    let world = World::new().await;
    world.append("events.a", 0..1).await;
    let mut t = world.database.begin().await.unwrap();
    let huge = Event {
        kind: EventType::ViewerJoined,
        stream: "events.a".parse().unwrap(),
        time_ms: 0,
        identity: vec!["huge".to_owned()],
        data: serde_json::json!({ "huge": "x".repeat(1_100_000) }),
    };
    world.outbox.append(&mut t, "delivery", &[huge]).await.unwrap();
    t.commit().await.unwrap();
    world.append("events.a", 1..2).await;
    let relay = world.relay();
    let mut follower = world.follower();
    follower.until(2);
    assert_eq!(follower.numbers("events.a"), [0, 1]);
    world.drained().await;
    assert_eq!((relay.metrics.relayed.get(), relay.metrics.refused.get()), (2, 1));
}
