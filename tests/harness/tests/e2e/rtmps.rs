//! RTMPS, as ffmpeg speaks it, with a certificate of the manifest's file.

use std::time::Duration;

use millrace_harness::certificate::Certificate;
use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::until_it_ends;

use crate::stage::Stage;

#[tokio::test]
async fn a_stream_with_a_certificate_takes_rtmps_and_nothing_else() {
    let certificate = Some(Certificate::new(30).unwrap());
    let stage = Stage::open_beside(&Manifest { certificate, ..Manifest::new("rtmps") }).await;
    let to = stage.endpoints().clone();
    assert!(to.rtmp.starts_with("rtmps://"), "{}", to.rtmp);
    let plain = to.rtmp.replace("rtmps://", "rtmp://");
    let limit = Duration::from_secs(20);
    let outcome = until_it_ends(stage.clip(), &plain, &to.key, limit).await.unwrap();
    assert!(!outcome.status.success(), "plain RTMP is accepted");

    let publisher = stage.publish();
    stage.viewer().await;
    publisher.stop().await;
    let (_, secret) = to.key.split_once('_').unwrap();
    let logs = stage.logs();
    assert!(logs.contains("the peer speaks no TLS") && !logs.contains(secret), "{logs}");
    stage.close().await;
}
