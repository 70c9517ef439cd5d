//! Who may write, while the object store, Redis or both are away.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use millrace_harness::http::eventually;
use millrace_harness::server::{Kind, Server};
use millrace_media::id::{BroadcastId, Msn, Run};
use millrace_media::index::Head;
use millrace_media::published::{
    Access, BroadcastInfo, FrameRate, InitHash, PartInfo, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_media::record::Open;
use millrace_media::time::Ticks;
use millrace_media::timeline::{Event, VideoFrame};
use millrace_platform::config::Env;
use millrace_platform::health::Health;
use millrace_transcode::config::Config;
use millrace_transcode::metrics::TranscodeMetrics;
use millrace_transcode::publish::lane::Lane;
use millrace_transcode::publish::redis::{Drain, RedisOp};
use millrace_transcode::publish::store::StoreOp;
use millrace_transcode::services::{Begun, Place, PublishError, Services};
use millrace_transcode::standby::Standby;
use millrace_transcode::standby::patience::Takeovers;
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(10);

/// A Redis and a store, both of which can be taken away.
struct World {
    redis: Server,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { redis: Server::new(Kind::Redis).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("media")
    }

    /// A process of the stream.
    fn process(&self) -> Services {
        self.process_at(&self.store())
    }

    /// One that has its store elsewhere.
    fn process_at(&self, store: &Path) -> Services {
        connect(&self.config("OBJECT_STORE_URL", &format!("file://{}", store.display())))
    }

    /// One of so many transcoders.
    fn one_of(&self, transcoders: &str) -> Services {
        connect(&self.config("TRANSCODE_REDUNDANCY", transcoders))
    }

    /// One that can't reach Redis.
    fn without_redis(&self) -> Services {
        connect(&self.config("REDIS_URL", "redis://127.0.0.1:9"))
    }

    /// Settings of a process, with one of them otherwise.
    fn config(&self, name: &str, value: &str) -> Arc<Config> {
        let store = format!("file://{}", self.store().display());
        let env = Env::from_pairs([
            ("STREAM_ID", "events.keynote"),
            // Nobody is there, and nobody is asked.
            ("KAFKA_BROKERS", "127.0.0.1:9"),
            ("REDIS_URL", &self.redis.address()),
            ("OBJECT_STORE_URL", &store),
            (name, value),
        ]);
        Arc::new(Config::read(&env).unwrap())
    }

    /// Redis loses everything.
    fn empty_redis(&self) {
        let mut flush = Command::new("redis-cli");
        let flushed = flush.args(["-u", &self.redis.address(), "flushall"]).output().unwrap();
        assert_eq!(flushed.stdout.trim_ascii(), b"OK");
    }

    /// Another thing is where the store was.
    fn take_store(&self) {
        fs::rename(self.store(), self.folder.path().join("away")).unwrap();
        fs::write(self.store(), "").unwrap();
    }

    fn give_store(&self) {
        fs::remove_file(self.store()).unwrap();
        fs::rename(self.folder.path().join("away"), self.store()).unwrap();
    }

    /// The runs that are claimed in the store.
    fn claims(&self, broadcast: BroadcastId) -> Vec<u64> {
        let folder = self.store().join(format!("events.keynote/{broadcast}/runs"));
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
        let mut runs: Vec<_> =
            names.filter_map(|name| name.to_str().and_then(|name| name.parse().ok())).collect();
        runs.sort_unstable();
        runs
    }

    async fn claimed(&self, broadcast: BroadcastId, runs: &[u64]) {
        let there = eventually("the claims", SOON, async || {
            let claims = self.claims(broadcast);
            ensure!(claims == runs, "{claims:?}");
            Ok(())
        });
        there.await.unwrap();
    }
}

fn connect(config: &Arc<Config>) -> Services {
    Services::connect(config, TranscodeMetrics::default(), &Health::default()).unwrap()
}

fn broadcast() -> BroadcastId {
    BroadcastId(Uuid::now_v7())
}

fn place(broadcast: BroadcastId) -> Place {
    Place { broadcast, rendition: "480p".parse().unwrap() }
}

fn part(number: u32, run: Run) -> RedisOp {
    let info = PartInfo {
        msn: Msn(0),
        part: number,
        run,
        start: 0,
        duration: 18_000,
        bytes: 5,
        independent: true,
        discontinuities: 0,
        date_ms: 0,
        init: InitHash::of(b"init"),
        base: None,
    };
    RedisOp::Part { info, bytes: Bytes::from_static(b"media") }
}

fn segment(msn: u64, run: Run) -> SegmentInfo {
    SegmentInfo {
        msn: Msn(msn),
        run,
        start: 0,
        duration: 180_000,
        bytes: 5,
        discontinuities: 0,
        date_ms: 0,
        init: InitHash::of(b"init"),
        gap: false,
        base: None,
    }
}

fn info(broadcast: BroadcastId) -> BroadcastInfo {
    BroadcastInfo {
        stream: "events.keynote".parse().unwrap(),
        broadcast,
        started_ms: 0,
        segment_duration: Ticks::from_ms(2_000),
        part_target: Ticks::from_ms(215),
        dvr_window: Ticks::from_ms(120_000),
        frame_rate: FrameRate { num: 30, den: 1 },
        renditions: Vec::new(),
        ended: false,
        access: Access::default(),
    }
}

fn segment_op(run: Run) -> StoreOp {
    StoreOp::Segment { info: segment(0, run), bytes: Some(Bytes::from_static(b"media")) }
}

/// The first of what came of publishing one part.
async fn publish(process: &Services, broadcast: BroadcastId, run: Run) -> Result<(), PublishError> {
    let outcomes = process.publish(&place(broadcast), &[part(0, run)], None, Msn(0)).await;
    outcomes.unwrap().pop().unwrap().map(drop)
}

#[tokio::test]
async fn without_the_store_runs_claimed_ahead_are_used_in_order_and_then_it_is_waited_for() {
    let (world, on) = (World::new(), broadcast());
    let process = world.process();
    assert_eq!(process.claim_run(on).await.unwrap(), Run(1));
    world.claimed(on, &[1, 2, 3, 4, 5]).await;

    world.take_store();
    for run in 2..=5 {
        assert_eq!(process.claim_run(on).await.unwrap(), Run(run), "it was claimed ahead");
        publish(&process, on, Run(run)).await.unwrap();
    }
    let none = process.claim_run(on).await;
    assert!(matches!(none, Err(PublishError::Store(_))), "{none:?}");
    publish(&process, on, Run(5)).await.unwrap();
    world.give_store();
    let run = process.claim_run(on).await.unwrap();
    assert!(run > Run(5), "{run}");
    publish(&process, on, run).await.unwrap();
    world.claimed(on, &(1..=run.0 + 4).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_process_that_comes_later_waits_for_the_store_and_goes_above_all_that_is_claimed() {
    let (world, on) = (World::new(), broadcast());
    let [first, second] = [world.process(), world.process()];
    first.claim_run(on).await.unwrap();
    world.claimed(on, &[1, 2, 3, 4, 5]).await;
    world.take_store();
    second.claim_run(on).await.unwrap_err();
    publish(&first, on, Run(1)).await.unwrap();
    world.give_store();
    assert_eq!(second.claim_run(on).await.unwrap(), Run(6));
}

#[tokio::test]
async fn a_run_claimed_ahead_does_not_overtake_a_newer_writer() {
    let (world, on) = (World::new(), broadcast());
    let old = world.process();
    old.claim_run(on).await.unwrap();
    world.claimed(on, &[1, 2, 3, 4, 5]).await;
    assert_eq!(world.process().claim_run(on).await.unwrap(), Run(6));
    let refused = old.claim_run(on).await;
    assert!(matches!(refused, Err(PublishError::Fenced { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_same_run_of_another_process_is_another_writer() {
    // Both have it: their stores are not the same.
    let (world, other, on) = (World::new(), World::new(), broadcast());
    world.process().claim_run(on).await.unwrap();
    let process = world.process_at(&other.store());
    let refused = process.claim_run(on).await;
    assert!(matches!(refused, Err(PublishError::Fenced { .. })), "{refused:?}");
}

#[tokio::test]
async fn without_redis_a_run_is_claimed_in_the_store_and_with_neither_none() {
    let (world, on) = (World::new(), broadcast());
    let process = world.process();
    world.redis.stop().unwrap();
    let published = process.published(on).await.unwrap();
    assert!(published.info.is_none() && published.blind.redis, "{published:?}");
    assert_eq!(process.claim_run(on).await.unwrap(), Run(1));
    world.claimed(on, &[1, 2, 3, 4, 5]).await;

    let other = world.process();
    world.take_store();
    other.published(on).await.unwrap_err();
    world.redis.start().unwrap();
    let back = eventually("Redis", SOON, async || Ok(other.published(on).await?));
    let published = back.await.unwrap();
    assert!(published.info.is_none() && published.blind.index, "{published:?}");
    other.claim_run(on).await.unwrap_err();
    world.give_store();
    assert_eq!(other.claim_run(on).await.unwrap(), Run(6));
}

#[tokio::test]
async fn the_index_written_last_stands_in_for_a_store_that_is_away() {
    let (world, on) = (World::new(), broadcast());
    let process = world.process();
    let run = process.claim_run(on).await.unwrap();
    let mut head = Head::new(info(on), run);
    head.push(&"480p".parse().unwrap(), segment(0, run));
    assert!(process.put_head(&head).await);
    world.claimed(on, &[1, 2, 3, 4, 5]).await;
    world.take_store();
    let published = process.published(on).await.unwrap();
    assert_eq!(published.head, Some(head));
    assert!(published.blind.index, "the store is to be read before it is written");
}

#[tokio::test]
async fn a_later_broadcast_takes_the_lease_and_the_one_before_is_only_stored() {
    let (world, [first, next]) = (World::new(), [broadcast(), broadcast()]);
    let process = world.process();
    let run = process.claim_run(first).await.unwrap();
    assert!(!process.is_followed(first));
    let on = process.claim_run(next).await.unwrap();
    publish(&process, next, on).await.unwrap();
    assert!(process.is_followed(first) && !process.is_followed(next));

    let ends = [("480p".parse().unwrap(), Msn(1))];
    for refused in [
        publish(&process, first, run).await,
        process.publish_end(&info(first), &ends).await,
        process.reclaim(first).await,
    ] {
        assert!(matches!(refused, Err(PublishError::Superseded { .. })), "{refused:?}");
    }
    process.store(&place(first), &segment_op(run)).await.unwrap();
    publish(&process, next, on).await.unwrap();
}

#[tokio::test]
async fn a_new_process_stores_a_broadcast_whose_successor_is_on_and_then_goes_on_with_that() {
    let (world, [first, next]) = (World::new(), [broadcast(), broadcast()]);
    let died = world.process();
    died.claim_run(first).await.unwrap();
    world.claimed(first, &[1, 2, 3, 4, 5]).await;
    let last = died.claim_run(next).await.unwrap();
    publish(&died, next, last).await.unwrap();
    world.claimed(next, &[1, 2, 3, 4, 5]).await;

    let process = world.process();
    let run = process.claim_run(first).await.unwrap();
    assert_eq!(run, Run(6), "the store gives it, Redis does not matter");
    process.store(&place(first), &segment_op(run)).await.unwrap();
    // What is for Redis is let go, all of it.
    let lane = Arc::new(Lane::new(millrace_transcode::publish::redis::LIMIT));
    for number in 0..40 {
        lane.push(part(number, run));
    }
    lane.close();
    let (_open, open) = watch::channel(true);
    let drain = Drain {
        services: process.clone(),
        place: place(first),
        lane: lane.clone(),
        open,
        info: Arc::default(),
        read: None,
        listed: Vec::new(),
        open_parts: Vec::new(),
    };
    tokio::time::timeout(SOON, drain.run()).await.unwrap().unwrap();
    assert_eq!(lane.depth().0, 0);
    publish(&died, next, last).await.unwrap();

    let run = process.claim_run(next).await.unwrap();
    assert_eq!(run, Run(6));
    let op = [part(1, run)];
    let outcomes = process.publish(&place(next), &op, None, Msn(0)).await.unwrap();
    assert!(matches!(outcomes.as_slice(), [Ok(None)]), "{outcomes:?}");
    // The one before, should it live after all, has no place left.
    for refused in [publish(&died, next, last).await, publish(&died, first, Run(1)).await] {
        assert!(matches!(refused, Err(PublishError::Fenced { .. })), "{refused:?}");
    }
    let refused = died.claim_run(next).await;
    assert!(matches!(refused, Err(PublishError::Fenced { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_writer_whose_store_is_away_is_the_writer_still_and_nobody_else_is() {
    let (world, on) = (World::new(), broadcast());
    let [writer, other] = [world.process(), world.process()];
    assert_eq!(writer.begin(on).await.unwrap(), Begun::Ours(Run(1)));
    assert_eq!(other.begin(on).await.unwrap(), Begun::Theirs);
    world.claimed(on, &[1, 2, 3, 4, 5]).await;
    world.take_store();
    assert_eq!(writer.begin(on).await.unwrap(), Begun::OursAgain);
    other.begin(on).await.unwrap_err();
    world.give_store();
    assert_eq!(other.take_over(on).await.unwrap(), Run(6));
    assert_eq!(writer.begin(on).await.unwrap(), Begun::Theirs);
}

#[tokio::test]
async fn who_claims_a_run_and_gets_no_lease_has_taken_nothing_over() {
    let (world, on) = (World::new(), broadcast());
    let writer = world.process();
    assert_eq!(writer.begin(on).await.unwrap(), Begun::Ours(Run(1)));
    world.claimed(on, &[1, 2, 3, 4, 5]).await;
    world.without_redis().take_over(on).await.unwrap_err();
    assert!(world.claims(on).contains(&6), "it has claimed a run");
    publish(&writer, on, Run(1)).await.unwrap();
    assert!(!writer.is_overtaken(on, Run(1)).await.unwrap());

    // Without Redis, or its lease, nobody can tell.
    world.redis.stop().unwrap();
    writer.is_overtaken(on, Run(1)).await.unwrap_err();
    world.redis.start().unwrap();
    let back = eventually("Redis", SOON, async || Ok(writer.is_overtaken(on, Run(1)).await?));
    assert!(!back.await.unwrap());
    world.empty_redis();
    writer.is_overtaken(on, Run(1)).await.unwrap_err();
    writer.reclaim(on).await.unwrap();
    assert!(!writer.is_overtaken(on, Run(1)).await.unwrap());
}

#[tokio::test]
async fn a_takeover_whose_lease_redis_has_lost_takes_it_again_from_who_was_first() {
    let (world, on) = (World::new(), broadcast());
    let [writer, standby] = [world.process(), world.process()];
    writer.begin(on).await.unwrap();
    let run = standby.take_over(on).await.unwrap();
    assert!(writer.is_overtaken(on, Run(1)).await.unwrap());
    world.empty_redis();
    writer.reclaim(on).await.unwrap();
    let lost = publish(&standby, on, run).await;
    assert!(matches!(lost, Err(PublishError::LeaseLost)), "{lost:?}");
    standby.reclaim(on).await.unwrap();
    publish(&standby, on, run).await.unwrap();
    assert!(writer.is_overtaken(on, Run(1)).await.unwrap());
    let refused = publish(&writer, on, Run(1)).await;
    assert!(matches!(refused, Err(PublishError::Fenced { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_broadcast_that_is_followed_by_another_is_taken_over_in_the_store() {
    let (world, [first, next]) = (World::new(), [broadcast(), broadcast()]);
    let [writer, standby] = [world.one_of("2"), world.one_of("2")];
    writer.begin(first).await.unwrap();
    assert_eq!(standby.begin(first).await.unwrap(), Begun::Theirs);
    world.claimed(first, &[1, 2, 3, 4, 5]).await;
    assert_eq!(writer.begin(next).await.unwrap(), Begun::Ours(Run(1)));

    let run = standby.take_over(first).await.unwrap();
    assert_eq!(run, Run(6));
    assert!(writer.is_overtaken(first, Run(1)).await.unwrap());
    standby.store(&place(first), &segment_op(run)).await.unwrap();
    let refused = publish(&standby, first, run).await;
    assert!(matches!(refused, Err(PublishError::Superseded { .. })), "{refused:?}");
    // The next goes on with the writer that it has.
    publish(&writer, next, Run(1)).await.unwrap();
    assert!(!writer.is_overtaken(next, Run(1)).await.unwrap());
}

#[tokio::test]
async fn of_two_transcoders_the_later_broadcast_of_the_other_fences_nobody() {
    let ends = [("480p".parse().unwrap(), Msn(1))];
    for (transcoders, is_fenced) in [("1", true), ("2", false)] {
        let (world, [first, next]) = (World::new(), [broadcast(), broadcast()]);
        let [one, other] = [world.one_of(transcoders), world.one_of(transcoders)];
        let run = one.claim_run(first).await.unwrap();
        let on = other.claim_run(next).await.unwrap();
        publish(&other, next, on).await.unwrap();
        for refused in [
            publish(&one, first, run).await,
            one.publish_end(&info(first), &ends).await,
            one.reclaim(first).await,
        ] {
            let as_told = match &refused {
                Err(PublishError::Fenced { .. }) => is_fenced,
                Err(PublishError::Superseded { .. }) => !is_fenced,
                _ => false,
            };
            assert!(as_told, "{transcoders}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn whose_end_is_told_has_the_lease_until_the_rest_of_it_is_taken_over() {
    let (world, on) = (World::new(), broadcast());
    let [writer, standby] = [world.one_of("2"), world.one_of("2")];
    let ends = [("480p".parse().unwrap(), Msn(1))];
    writer.begin(on).await.unwrap();
    writer.publish_end(&info(on), &ends).await.unwrap();
    // It may say so again, and does not lose the broadcast by it.
    writer.publish_end(&info(on), &ends).await.unwrap();
    assert!(!writer.is_overtaken(on, Run(1)).await.unwrap());
    assert!(!standby.is_stored_to_its_end(on).await.unwrap());

    let run = standby.take_over(on).await.unwrap();
    assert!(writer.is_overtaken(on, Run(1)).await.unwrap());
    let refused = writer.publish_end(&info(on), &ends).await;
    assert!(matches!(refused, Err(PublishError::Fenced { .. })), "{refused:?}");
    standby.store(&place(on), &segment_op(run)).await.unwrap();
    standby.publish_end(&info(on), &ends).await.unwrap();
}

#[tokio::test]
async fn a_standby_leaves_no_end_to_a_store_that_it_could_not_ask() {
    let (world, on) = (World::new(), broadcast());
    let [writer, services] = [world.one_of("2"), world.one_of("2")];
    writer.begin(on).await.unwrap();
    let rung = RenditionInfo {
        name: place(on).rendition,
        kind: RenditionKind::Video { width: 854, height: 480 },
        codecs: String::new(),
        timescale: 90_000,
        bandwidth: 1,
        average_bandwidth: 1,
    };
    let info = BroadcastInfo { renditions: vec![rung], ..info(on) };
    writer.publish_end(&info, &[(place(on).rendition, Msn(1))]).await.unwrap();
    let facts = Open {
        broadcast: on,
        nonce: Uuid::new_v4(),
        key_id: "abcd".parse().unwrap(),
        started_ms: 0,
        resumed: false,
    };
    let mut standby = Standby::new(&services, &world.config("TRANSCODE_REDUNDANCY", "2"), facts);
    standby.take(Event::Video(VideoFrame {
        dts: Ticks::ZERO,
        pts: Ticks::ZERO,
        step: Ticks::from_ms(40),
        keyframe: true,
        arrival_ms: 0,
        payload: Bytes::from_static(b"picture"),
        restart: None,
    }));
    world.take_store();
    let before = Takeovers::default();
    let (is_ended, ()) = tokio::join!(standby.is_ended_by_the_writer(&before), async {
        // Longer than it looks.
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.give_store();
    });
    assert!(!is_ended, "nobody has stored it");
}

#[tokio::test]
async fn what_an_earlier_broadcast_owes_is_not_forgotten_however_many_come_after_it() {
    let nowhere = [
        ("STREAM_ID", "events.keynote"),
        ("KAFKA_BROKERS", "127.0.0.1:9"),
        ("REDIS_URL", "redis://127.0.0.1:9"),
        ("OBJECT_STORE_URL", "file:///nowhere"),
    ];
    let process = connect(&Arc::new(Config::read(&Env::from_pairs(nowhere)).unwrap()));
    let [owes, last] = [1, 10].map(|number| BroadcastId(Uuid::from_u128(number)));
    process.leave(owes);
    for number in 2..10 {
        let over = BroadcastId(Uuid::from_u128(number));
        process.leave(over);
        process.bring_away(over);
    }
    assert!(process.is_left(owes) && process.owes_before(last));
    process.bring_away(owes);
    assert!(!process.owes_before(last));
}
