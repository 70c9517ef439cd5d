//! The pages, the beacon and the administrators' listener.

use crate::support::World;
use serde_json::json;

#[tokio::test]
async fn pages_load_only_from_their_own_host() {
    let world = World::new();
    let replica = world.replica().await;
    for path in ["/", "/watch/events.keynote"] {
        let page = replica.get(path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!page.text.contains("http"), "{}", page.text);
        for asset in page.text.split('"').filter(|t| t.starts_with("/assets/")) {
            let file = replica.get(asset).await;
            assert_eq!(file.status, 200, "{asset}");
            assert!(file.header("cache-control").contains("immutable"));
        }
    }
    assert_eq!(replica.get("/watch/no-stream-id").await.status, 404);
    assert_eq!(replica.get("/assets/../Cargo.toml").await.status, 404);
}

#[tokio::test]
async fn beacons_are_counted_as_viewers() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let beacon = |body: String| {
        let url = format!("http://{}{}/beacon", replica.viewers, feed.stream_path());
        crate::support::answer(replica.client.post(url).body(body))
    };
    for viewer in ["a".repeat(32), "b".repeat(32), "a".repeat(32)] {
        let body = json!({"viewer": viewer, "rendition": "720p", "stalls": 0, "latencyMs": 900});
        assert_eq!(beacon(body.to_string()).await.status, 204);
    }
    let path = format!("/api/v1/streams/{}", world.stream);
    crate::support::until(async || replica.ask(&path).await["viewers"] == 2).await;
    assert_eq!(beacon("{}".to_owned()).await.status, 400);
    assert_eq!(beacon(json!({"viewer": "x".repeat(32)}).to_string()).await.status, 400);
    assert_eq!(beacon(" ".repeat(5_000)).await.status, 413);
}

#[tokio::test]
async fn a_streams_status_follows_its_broadcast() {
    let world = World::new();
    let replica = world.replica().await;
    let path = format!("/api/v1/streams/{}", world.stream);
    let offline = replica.ask(&path).await;
    assert_eq!((&offline["state"], &offline["broadcast"]), (&json!("offline"), &json!(null)));

    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    crate::support::until(async || replica.ask(&path).await["state"] == "live").await;
    let live = replica.ask(&path).await;
    assert_eq!(live["broadcast"], json!(feed.info.broadcast));
    assert_eq!(live["renditions"], json!(["480p", "720p", "audio"]));
    assert!(live["liveEdgeLatencySeconds"].is_number());

    feed.end(2).await;
    crate::support::until(async || replica.ask(&path).await["state"] == "ended").await;
}

#[tokio::test]
async fn the_streams_of_the_installation_are_listed() {
    let world = World::new();
    let _feed = world.feed().await;
    let replica = world.replica().await;
    assert_eq!(replica.ask("/api/v1/streams").await, json!(["events.keynote"]));
}
