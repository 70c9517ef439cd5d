//! A stream is suspended while it is live.

use std::time::Duration;

use millrace_media::id::{Epoch, StreamId};
use millrace_media::record::{Body, EndReason};
use millrace_operator::api::status::{LiveStreamStatus, Phase};
use millrace_platform::config::{DatabaseConfig, Env, Installation, RedisConfig};
use millrace_platform::postgres::Database;
use millrace_platform::postgres::broadcasts::{BroadcastStatus, Broadcasts, Opened, end_reason};
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::MediaReader;
use serde_json::json;

use super::live::publisher;
use super::publisher::Publisher;
use super::support::{World, condition};
use super::workers::Workers;

fn over(status: &LiveStreamStatus) -> bool {
    condition(status, "Live").reason == "NoBroadcast"
}

async fn deployments(world: &World) -> Vec<String> {
    let all = world.children().await;
    let names = all.iter().filter_map(|child| child.strip_prefix("Deployment "));
    names.filter_map(|name| Some(name.rsplit_once('-')?.1.to_owned())).collect()
}

struct Rows {
    database: Database,
    broadcasts: Broadcasts,
}

impl Rows {
    fn of(world: &World) -> Self {
        let env = Env::from_pairs(world.servers.pairs());
        let database = Database::open(&DatabaseConfig::read(&env).unwrap()).unwrap();
        let installation = Installation::read(&env).unwrap();
        Self { broadcasts: Broadcasts::new(database.clone(), installation), database }
    }

    /// As ingest writes it, once media came.
    async fn publish(&self, world: &World, publisher: &Publisher) {
        self.open(world, publisher).await;
        let (broadcast, epoch) = (publisher.broadcast, Epoch(publisher.epoch));
        let mut transaction = self.database.begin().await.unwrap();
        self.broadcasts.activate(&mut transaction, broadcast, epoch, 1_000).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// As ingest writes it, before any media.
    async fn open(&self, world: &World, publisher: &Publisher) {
        let (broadcast, epoch) = (publisher.broadcast, Epoch(publisher.epoch));
        let opened = Opened {
            broadcast,
            stream: StreamId::new(world.streams.name(), "keynote").unwrap(),
            epoch,
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 1_000,
        };
        let mut transaction = self.database.begin().await.unwrap();
        self.broadcasts.open(&mut transaction, &opened).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_live_stream_that_is_suspended_is_ended_and_keeps_its_transcoder_until_it_is() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let mut publisher = publisher(&world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    let rows = Rows::of(&world);
    rows.publish(&world, &publisher).await;
    world.until_phase("keynote", Phase::Live).await;

    world.patch("keynote", json!({ "spec": { "suspend": true } })).await;
    let status = world.until("keynote", "over", over).await;
    assert_eq!(status.phase, Some(Phase::Suspended));
    assert_eq!(condition(&status, "Degraded").reason, "AsExpected");
    assert!(status.broadcast.unwrap().ended.is_some());
    assert_eq!(deployments(&world).await, ["transcode"], "viewers need the end");
    let row = || async { rows.broadcasts.find(publisher.broadcast).await.unwrap().unwrap() };
    let ended = || async { row().await.status == BroadcastStatus::Ended };
    world.eventually("ended in its row", ended).await;
    assert_eq!(row().await.end_reason.as_deref(), Some(end_reason(EndReason::Administrator)));

    // A process that comes meanwhile does the same.
    operator.stop().await;
    let operator = world.operator().await;
    // It lingers a minute.
    tokio::time::sleep(Duration::from_secs(50)).await;
    let gone = || async { deployments(&world).await.is_empty() };
    world.eventually("without a transcoder", gone).await;

    world.patch("keynote", json!({ "spec": { "suspend": false } })).await;
    world.ready("keynote").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_broadcast_without_a_picture_that_is_suspended_has_failed() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let publisher = publisher(&world, "keynote");
    // As an encoder begins that has nothing to send yet.
    publisher.append(Body::Open(publisher.facts())).await;
    let rows = Rows::of(&world);
    rows.open(&world, &publisher).await;
    world.until_phase("keynote", Phase::Live).await;
    world.patch("keynote", json!({ "spec": { "suspend": true } })).await;
    world.until("keynote", "over", over).await;
    let row = || async { rows.broadcasts.find(publisher.broadcast).await.unwrap().unwrap() };
    let failed = || async { row().await.status == BroadcastStatus::Error };
    world.eventually("failed in its row", failed).await;
}

/// The workers are real: what they are told by the log is seen by viewers.
#[tokio::test]
async fn for_viewers_of_a_stream_that_is_suspended_the_broadcast_ends() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    let spec = json!({
        "broadcaster": "acme",
        "ladder": [{ "name": "low", "height": 180, "bitrateKbps": 200 }],
        "transcode": { "preset": "ultrafast" },
    });
    world.create("keynote", spec).await;
    world.ready("keynote").await;
    let mut workers = Workers::start(&world, "keynote").await;
    let mut publisher = workers.publish(&world, "keynote", "320x180").await;
    world.until_phase("keynote", Phase::Live).await;
    let env = Env::from_pairs(world.servers.pairs());
    let redis = Redis::connect(&RedisConfig::read(&env).unwrap().media, "media").unwrap();
    let media = MediaReader::new(redis, Installation::read(&env).unwrap());
    let stream = [StreamId::new(world.streams.name(), "keynote").unwrap()];
    let described = || async { media.get_broadcasts(&stream).await.unwrap().into_values().next() };
    let ended = |ended: bool| {
        let described = &described;
        move || async move { described().await.is_some_and(|info| info.ended == ended) }
    };
    world.eventually("shown", ended(false)).await;

    // The pod goes with its Deployment, and ends nothing.
    world.patch("keynote", json!({ "spec": { "suspend": true } })).await;
    workers.end_ingest().await;
    publisher.stop(Duration::from_secs(5)).await;
    world.until("keynote", "over", over).await;
    world.eventually("over for viewers", ended(true)).await;
    operator.stop().await;
}
