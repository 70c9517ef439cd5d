//! The pages and the beacon.

use crate::support::World;
use serde_json::json;

#[tokio::test]
async fn pages_load_only_from_their_own_host() {
    let world = World::new();
    let replica = world.replica().await;
    for path in ["/", "/watch/events.keynote", "/embed/events.keynote"] {
        let page = replica.get(path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let is_framed_by_others = !policy.contains("frame-ancestors 'self'");
        assert_eq!(is_framed_by_others, path.starts_with("/embed/"), "{policy}");
        assert!(!page.text.contains("http"), "{}", page.text);
        for asset in page.text.split('"').filter(|t| t.starts_with("/assets/")) {
            let file = replica.get(asset).await;
            assert_eq!(file.status, 200, "{asset}");
            assert!(file.header("cache-control").contains("immutable"));
        }
    }
    assert_eq!(replica.get("/watch/no-stream-id").await.status, 404);
    assert_eq!(replica.get("/embed/no-stream-id").await.status, 404);
    assert_eq!(replica.get("/assets/../Cargo.toml").await.status, 404);
}

#[tokio::test]
async fn the_dashboard_is_for_administrators_alone() {
    let world = World::new();
    let replica = world.replica().await;
    for path in ["/dashboard", "/dashboard/events.keynote"] {
        assert_eq!(replica.get(path).await.status, 404);
        let url = format!("http://{}{path}", replica.admin);
        let page = crate::support::answer(replica.client.get(url)).await;
        assert_eq!(page.status, 200);
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!page.text.contains("http"), "{}", page.text);
        for asset in page.text.split('"').filter(|t| t.starts_with("/assets/")) {
            let url = format!("http://{}{asset}", replica.admin);
            assert_eq!(crate::support::answer(replica.client.get(url)).await.status, 200);
        }
    }
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
    let (origin, now) = (world.origin(), millrace_platform::wall::second);
    let counted = async || origin.viewers.count(&world.stream, now()).await.unwrap() == 2;
    crate::support::until(counted).await;
    assert_eq!(beacon("{}".to_owned()).await.status, 400);
    assert_eq!(beacon(json!({"viewer": "x".repeat(32)}).to_string()).await.status, 400);
    assert_eq!(beacon(" ".repeat(5_000)).await.status, 413);
}
