//! From nothing to viewers.

use std::fs;
use std::time::Duration;

use millrace_harness::publisher::{Publisher, Source};
use millrace_harness::recorder::Mode;
use millrace_harness::{clip, repo};

use crate::livestream::{self, KEYNOTE};
use crate::on_air::RUNGS;
use crate::place::{OWN_HOST, Place, SHARED_HOST};
use crate::{office, pod_publisher, release, socket, watching};

const LONG_ENOUGH: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn from_nothing_to_viewers_from_a_pod_and_from_outside() {
    let place = Place::of_environment().unwrap();
    let http = place.http().unwrap();
    let clip = clip::looping(|_| {}).await.unwrap();
    release::begin(&place).await.unwrap();
    livestream::apply_example().await.unwrap();
    KEYNOTE.ready().await.unwrap();

    // From a pod, by the local name; watched on the installation's host.
    let shared = format!("http://{SHARED_HOST}/hls/{}/index.m3u8", KEYNOTE.id());
    assert_eq!(KEYNOTE.endpoint("hls", "http://").await.unwrap(), shared);
    pod_publisher::start(&place, &clip).await.unwrap();
    let recorder = watching::record(&http, &shared, Mode::LowLatency).await.unwrap();
    let mut viewer = watching::join(&http, &shared).await.unwrap();
    watching::watch(&mut viewer, LONG_ENOUGH).await.unwrap();
    watching::wait_far_ahead(&http, &viewer).await.unwrap();
    println!("{}", KEYNOTE.live_with_viewers().await.unwrap().join(" "));
    let socket = KEYNOTE.endpoint("websocket", "ws://").await.unwrap();
    socket::hear_of_viewers(place.ingress, &socket).await.unwrap();
    office::audit(KEYNOTE).await.unwrap();
    pod_publisher::check().await.unwrap();
    pod_publisher::stop().await.unwrap();
    let report = recorder.until_ended(Duration::from_mins(2)).await.unwrap();
    watching::assert_sound(&report, RUNGS);
    KEYNOTE.not_live().await.unwrap();

    // From outside, through a node's port; watched on the stream's own host as well.
    let own = format!("http://{OWN_HOST}/hls/{}/index.m3u8", KEYNOTE.id());
    let spec = format!(
        r#"{{"ingest":{{"service":{{"type":"NodePort"}}}},"playback":{{"hostname":"{OWN_HOST}"}}}}"#
    );
    KEYNOTE.patch(&spec).await.unwrap();
    KEYNOTE.ready().await.unwrap();
    assert_eq!(KEYNOTE.endpoint("hls", &format!("http://{OWN_HOST}")).await.unwrap(), own);
    let rtmp = KEYNOTE.rtmp(&place).await.unwrap();
    let key = KEYNOTE.key().await.unwrap();
    let logs = repo::root().join("target/test/deployed");
    fs::create_dir_all(&logs).unwrap();
    let log = logs.join("publisher.log");
    let mut publisher = Publisher::start(&Source::Loop(clip), &rtmp, &key, &log).unwrap();
    let mut recorders = Vec::new();
    for index in [&shared, &own] {
        let mut viewer = watching::join(&http, index).await.unwrap();
        recorders.push(watching::record(&http, index, Mode::LowLatency).await.unwrap());
        watching::watch(&mut viewer, LONG_ENOUGH).await.unwrap();
    }
    publisher.check().unwrap();
    publisher.stop().await;
    for recorder in recorders {
        let report = recorder.until_ended(Duration::from_mins(2)).await.unwrap();
        watching::assert_sound(&report, RUNGS);
    }

    println!("{}", release::test().await.unwrap());
}
