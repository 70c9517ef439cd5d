//! The rungs of a broadcast, as its transcoder decides them.

use std::time::Duration;

use millrace_operator::api::status::Phase;
use serde_json::json;

use super::support::World;
use super::workers::Workers;

#[tokio::test]
async fn the_rungs_in_use_are_those_that_the_source_is_high_enough_for() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    let rung = |name, height| json!({ "name": name, "height": height, "bitrateKbps": height });
    let spec = json!({
        "broadcaster": "acme",
        "ladder": [rung("low", 180), rung("mid", 360), rung("high", 720)],
        "transcode": { "preset": "ultrafast" },
    });
    world.create("keynote", spec).await;
    assert_eq!(world.ready("keynote").await.rungs, [""; 0]);

    let workers = Workers::start(&world, "keynote").await;
    let mut publisher = workers.publish(&world, "keynote", "640x360").await;
    world.until_phase("keynote", Phase::Live).await;
    let status = world.until("keynote", "with rungs", |status| !status.rungs.is_empty()).await;
    assert_eq!(status.rungs, ["low", "mid"]);

    publisher.stop(Duration::from_secs(5)).await;
    let ended = |status: &millrace_operator::api::status::LiveStreamStatus| {
        status.phase == Some(Phase::Ready) && status.rungs.is_empty()
    };
    world.until("keynote", "without rungs", ended).await;
    operator.stop().await;
}
