//! A stored LiveStream: its status is apart from its spec, and `kubectl get ls` shows it.

use kube::api::{Api, Patch, PatchParams, PostParams};
use millrace_operator::api::LiveStream;
use serde_json::json;

use super::support::{cluster, stream, streams};

#[tokio::test]
async fn who_writes_the_status_cannot_write_the_spec_nor_the_other_way_round() {
    let Some(cluster) = cluster().await else { return };
    let namespace = cluster.namespace("status").await.unwrap();
    let spec = json!({ "broadcaster": "acme" });
    let untyped = streams(cluster.client(), namespace.name());
    untyped.create(&PostParams::default(), &stream("keynote", &spec)).await.unwrap();
    let api: Api<LiveStream> = Api::namespaced(cluster.client(), namespace.name());
    let both = json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "spec": { "broadcaster": "acme", "suspend": true },
        "status": { "phase": "Live", "viewers": 3 },
    });
    let params = PatchParams::apply("test").force();

    let told = api.patch_status("keynote", &params, &Patch::Apply(&both)).await.unwrap();
    assert_eq!(told.metadata.generation, Some(1));
    assert!(!told.spec.suspend);
    assert_eq!(told.status.unwrap().viewers, Some(3));

    let unsaid = json!({ "spec": { "suspend": true }, "status": { "viewers": 4 } });
    let changed =
        api.patch("keynote", &PatchParams::default(), &Patch::Merge(&unsaid)).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    assert!(changed.spec.suspend);
    assert_eq!(changed.status.unwrap().viewers, Some(3));
}

#[tokio::test]
async fn kubectl_shows_a_stream_in_one_line() {
    let Some(cluster) = cluster().await else { return };
    let namespace = cluster.namespace("columns").await.unwrap();
    let api: Api<LiveStream> = Api::namespaced(cluster.client(), namespace.name());
    let spec = json!({ "broadcaster": "acme" });
    let untyped = streams(cluster.client(), namespace.name());
    untyped.create(&PostParams::default(), &stream("keynote", &spec)).await.unwrap();
    let status = json!({ "status": {
        "phase": "Live", "viewers": 12, "ingressBitrateKbps": 3100,
        "endpoints": { "hls": "https://video.example/hls/a.keynote/index.m3u8" },
    } });
    api.patch_status("keynote", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();

    for name in ["ls", "livestreams.millrace.dev", "streaming"] {
        let table = cluster.kubectl(&["-n", namespace.name(), "get", name]).await.unwrap();
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["NAME", "PHASE", "VIEWERS", "INGRESS", "URL", "AGE"], "{name}");
        let url = "https://video.example/hls/a.keynote/index.m3u8";
        let shown = rows[1][0].rsplit('/').next().unwrap();
        assert_eq!((shown, &rows[1][1..5]), ("keynote", &["Live", "12", "3100", url][..]));
    }
}
