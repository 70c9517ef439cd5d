//! The steps of a reconcile: done once, and cheap to do again.

use futures::future::join_all;
use millrace_media::id::{BroadcastId, Run, StreamId};
use millrace_media::published::{Access, BroadcastInfo, FrameRate, RenditionInfo, RenditionKind};
use millrace_media::time::Ticks;
use millrace_operator::reconcile::build::publish_keys_secret::StreamKeys;
use millrace_operator::reconcile::external::figures::{Figures, figures};
use millrace_operator::reconcile::external::rungs::{Rungs, rungs};
use millrace_operator::reconcile::external::{self, Done, Reason, cache, registry, topics};
use millrace_platform::names::topics::frames_topic;
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::registry::Registry;
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{Lease, MediaWriter};
use millrace_platform::redis::metrics::{MetricsData, MetricsStore, Snapshot};
use uuid::Uuid;

use crate::support::{UID, World, key, named, one, stream};

fn outbox(world: &World) -> Outbox {
    Outbox::new(world.database(), world.installation.clone())
}

#[tokio::test]
async fn without_a_register_a_stream_is_told_once_as_long_as_that_waits() {
    let world = World::new();
    let stream = stream("{ broadcaster: acme }");
    for _ in 0..2 {
        external::events::provisioned(&world.outside, &stream).await.unwrap();
    }
    assert_eq!(outbox(&world).fetch(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stream_is_told_with_its_registration_and_never_again() {
    let world = World::new();
    let [retain, delete] = ["Retain", "Delete"]
        .map(|policy| stream(&format!("{{ broadcaster: acme, deletionPolicy: {policy} }}")));
    for outside in [world.outside.clone(), world.outside.clone(), world.restarted()] {
        registry::register(&outside, &retain).await.unwrap();
    }
    assert_eq!(registry::register(&world.outside, &delete).await.unwrap(), Done::Written);
    let told = outbox(&world).fetch(10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].source.as_str(), &told[0].stream), ("operator", &retain.id));
    let data: serde_json::Value = serde_json::from_str(&told[0].data).unwrap();
    millrace_harness::events::check("dev.millrace.StreamProvisioned", &data).unwrap();
    assert_eq!(data["uid"], UID);
    assert_eq!(data["ladder"][2]["bitrateKbps"], 5_000);

    // It was sent. What is registered with other facts, or found again after
    // its absence, is no other stream.
    outbox(&world).delete(&[told[0].id]).await.unwrap();
    let table = Registry::new(world.database(), world.installation.clone());
    table.note_absent(&[UID.to_owned()]).await.unwrap();
    let outside = world.restarted();
    assert_eq!(registry::register(&outside, &delete).await.unwrap(), Done::Written);
    assert_eq!(registry::register(&outside, &retain).await.unwrap(), Done::Written);
    assert_eq!(outbox(&world).fetch(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_stream_that_can_not_be_told_is_not_registered() {
    let world = World::new();
    let (stream, id) = (stream("{ broadcaster: acme }"), world.installation.as_str().to_owned());
    let name = id.replace('-', "_");
    world
        .run(&format!(
            "CREATE FUNCTION refuse_{name}() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
             CREATE TRIGGER refuse_{name} BEFORE INSERT ON events_outbox FOR EACH ROW
                 WHEN (NEW.installation = '{id}') EXECUTE FUNCTION refuse_{name}()"
        ))
        .await;
    let refused = registry::register(&world.outside, &stream).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PostgresRefused);
    let rows = format!("SELECT uid FROM livestreams WHERE installation = '{id}'");
    assert_eq!(world.texts(&rows).await, [""; 0]);

    world.run(&format!("DROP TRIGGER refuse_{name} ON events_outbox")).await;
    assert_eq!(registry::register(&world.outside, &stream).await.unwrap(), Done::Written);
    assert_eq!(world.texts(&rows).await, [UID]);
    assert_eq!(outbox(&world).fetch(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_frames_topic_follows_the_replay_window() {
    let world = World::new();
    let admin = world.admin();
    for (window, retention) in [("15m", "900000"), ("1h", "3600000")] {
        let stream =
            stream(&format!("{{ broadcaster: acme, ingest: {{ replayWindow: {window} }} }}"));
        assert_eq!(topics::ensure(&world.outside, &stream).await.unwrap(), Done::Written);
        let name = frames_topic(&world.installation, &stream.id);
        let config = admin.describe(&name).await.unwrap().unwrap();
        assert_eq!(config["retention.ms"], retention);
        assert_eq!(config["message.timestamp.type"], "LogAppendTime");
        for outside in [world.outside.clone(), world.restarted()] {
            assert_eq!(topics::ensure(&outside, &stream).await.unwrap(), Done::Unchanged);
        }
    }
}

#[tokio::test]
async fn a_topic_that_somebody_changed_is_set_right_by_a_process_that_looks() {
    let world = World::new();
    let (hour, minutes) =
        ("{ broadcaster: a, ingest: { replayWindow: 1h } }", "{ broadcaster: a }");
    topics::ensure(&world.outside, &stream(minutes)).await.unwrap();
    let other = world.restarted();
    assert_eq!(topics::ensure(&other, &stream(hour)).await.unwrap(), Done::Written);
    assert_eq!(topics::ensure(&world.restarted(), &stream(minutes)).await.unwrap(), Done::Written);
    assert_eq!(
        topics::ensure(&world.restarted(), &stream(minutes)).await.unwrap(),
        Done::Unchanged
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_are_all_made_and_found_by_the_next_process() {
    let world = World::new();
    let streams: Vec<_> = (0..120)
        .map(|n| named(&format!("s{n}"), &format!("uid-{n}"), "{ broadcaster: acme }"))
        .collect();
    for (outside, expected) in
        [(world.outside.clone(), Done::Written), (world.restarted(), Done::Unchanged)]
    {
        let all = streams.iter().map(async |stream| {
            let registered = registry::register(&outside, stream).await.unwrap();
            let topics = topics::ensure(&outside, stream).await.unwrap();
            cache::check(&outside).await.unwrap();
            (registered, topics)
        });
        for (n, done) in join_all(all).await.into_iter().enumerate() {
            assert_eq!(done, (expected, expected), "{n}");
        }
    }
    let admin = world.admin();
    for stream in &streams {
        let topic = frames_topic(&world.installation, &stream.id);
        assert!(admin.describe(&topic).await.unwrap().is_some(), "{topic}");
        admin.delete(&topic).await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_is_registered_once_and_again_when_its_policy_changes() {
    let world = World::new();
    let retain = stream("{ broadcaster: acme }");
    let delete = stream("{ broadcaster: acme, deletionPolicy: Delete }");
    let outside = &world.outside;
    assert_eq!(registry::register(outside, &retain).await.unwrap(), Done::Written);
    let written = world.written().await;
    for outside in [outside.clone(), world.restarted()] {
        assert_eq!(registry::register(&outside, &retain).await.unwrap(), Done::Unchanged);
    }
    assert_eq!(world.written().await, written);
    assert_eq!(registry::register(outside, &delete).await.unwrap(), Done::Written);
    let rows = world
        .texts(&format!(
            "SELECT concat_ws(' ', uid, stream_id, broadcaster_id, deletion_policy)
             FROM livestreams WHERE installation = '{}'",
            world.installation
        ))
        .await;
    assert_eq!(rows, [format!("{UID} events.keynote acme Delete")]);
}

#[tokio::test]
async fn local_makes_topics_and_keys_and_registers_nothing() {
    let world = World::new();
    let stream = stream("{ broadcaster: acme }");
    external::apply(&world.outside, &stream, &one(&key())).await.unwrap();
    external::apply(&world.outside, &stream, &StreamKeys::default()).await.unwrap();
    assert_eq!(world.rows().await.len(), 1);
    let registered =
        format!("SELECT uid FROM livestreams WHERE installation = '{}'", world.installation);
    assert_eq!(world.texts(&registered).await, Vec::<String>::new());
}

#[tokio::test]
async fn figures_are_those_of_the_streams_that_are_live() {
    let world = World::new();
    let redis = Redis::connect(&world.redis().metrics, "metrics").unwrap();
    let store = MetricsStore::new(redis, world.installation.clone());
    let [live, idle] = ["events.live", "events.idle"].map(|id| id.parse().unwrap());
    let data = MetricsData {
        stream_id: StreamId::clone(&live),
        concurrent_viewers: 42,
        ingress_bitrate_mbps: 2.5006,
        egress_bitrate_mbps: 0.0,
        quality_distribution: [].into(),
        dropped_frames: 0,
        buffering_events: 0,
    };
    let amiss = millrace_platform::redis::metrics::Amiss { store_away: true, gop_too_long: false };
    let snapshot =
        Snapshot { second: 1, broadcast: None, data, turnover: None, log_lag_ms: None, amiss };
    store.put_snapshots(&[snapshot]).await.unwrap();
    let found = figures(&world.outside, &[live.clone(), idle]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&live], Figures { viewers: 42, ingress_kbps: 2_501, amiss });
}

#[tokio::test]
async fn rungs_are_the_pictures_of_the_broadcast_that_redis_describes() {
    let world = World::new();
    let [on, never] = ["events.on", "events.never"].map(|id| id.parse::<StreamId>().unwrap());
    let redis = Redis::connect(&world.redis().media, "media").unwrap();
    let broadcast = BroadcastId(Uuid::now_v7());
    let lease = Lease { broadcast, run: Run(1), token: Uuid::new_v4() };
    let writer = MediaWriter::new(redis, &world.installation, &on, lease);
    writer.claim().await.unwrap();
    let video = |height| RenditionKind::Video { width: height * 16 / 9, height };
    let rendition = |name: &str, kind| RenditionInfo {
        name: name.parse().unwrap(),
        kind,
        codecs: "avc1.64001f".to_owned(),
        timescale: 90_000,
        bandwidth: 1,
        average_bandwidth: 1,
    };
    let info = BroadcastInfo {
        stream: on.clone(),
        broadcast,
        started_ms: 0,
        segment_duration: Ticks::from_ms(2_000),
        part_target: Ticks::from_ms(215),
        dvr_window: Ticks::from_ms(120_000),
        frame_rate: FrameRate { num: 30, den: 1 },
        renditions: vec![
            rendition("480p", video(480)),
            rendition("720p", video(720)),
            rendition("audio", RenditionKind::Audio { sample_rate: 48_000, channels: 2 }),
        ],
        ended: false,
        access: Access::default(),
    };
    writer.put_broadcast(&info).await.unwrap();
    let found = rungs(&world.outside, &[never, on.clone()]).await.unwrap();
    let names = vec!["480p".to_owned(), "720p".to_owned()];
    assert_eq!(found, [(on, Rungs { broadcast, names })].into());
}
