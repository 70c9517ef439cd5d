//! Media: where it comes from and how it is sent.

use crate::support::feed::{init, part_bytes, segment_bytes};
use crate::support::wire::Wire;
use crate::support::{Replica, World};
use millrace_delivery::metrics::{Layer, LayerLabels};

fn found(replica: &Replica, layer: Layer) -> u64 {
    replica.metrics.lookups.get_or_create(&LayerLabels { layer }).get()
}

#[tokio::test]
async fn media_is_sent_with_its_type_and_for_ever() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let init_name = format!("init-{}.mp4", init().as_str());
    for (rendition, name, content_type, text) in [
        ("720p", "0.3-1.m4s", "video/mp4", part_bytes(&"720p".parse().unwrap(), 0, 3)),
        ("audio", "0-1.m4s", "audio/mp4", segment_bytes(&"audio".parse().unwrap(), 0)),
        ("720p", &init_name, "video/mp4", "init".into()),
    ] {
        let media = replica.get(&feed.path(rendition, name)).await;
        assert_eq!((media.status, media.text.as_bytes()), (200, text.as_ref()), "{name}");
        assert_eq!(media.header("content-type"), content_type);
        assert_eq!(media.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(media.header("access-control-allow-origin"), "*");
        assert_eq!(media.header("accept-ranges"), "bytes");
    }
}

#[tokio::test]
async fn ranges_and_heads_are_answered() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let path = feed.path("720p", "0-1.m4s");
    let whole = segment_bytes(&"720p".parse().unwrap(), 0);
    let part = replica.get_with(&path, &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status, part.text.as_bytes()), (206, &whole[5..10]));
    assert_eq!(part.header("content-range"), format!("bytes 5-9/{}", whole.len()));
    assert_eq!(replica.get_with(&path, &[("range", "bytes=9999-")]).await.status, 416);
    let head = replica.client.head(format!("http://{}{path}", replica.viewers));
    let head = crate::support::answer(head).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), whole.len().to_string());
}

#[tokio::test]
async fn many_requests_for_a_part_read_redis_once() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let path = feed.path("720p", "0.1-1.m4s");
    let all: Vec<_> = (0..40).map(|_| replica.spawn_get(&path)).collect();
    for one in all {
        assert_eq!(one.await.unwrap().status, 200);
    }
    assert_eq!(found(&replica, Layer::redis), 1);
}

#[tokio::test]
async fn a_hinted_part_is_sent_when_it_is_published() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    feed.part(1, 0).await;
    let replica = world.replica().await;
    let playlist = replica.get(&feed.path("720p", "media.m3u8")).await;
    let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.1-1.m4s\"";
    assert!(playlist.text.contains(hint), "{}", playlist.text);
    let waiting = replica.spawn_get(&feed.path("720p", "1.1-1.m4s"));
    replica.until_waiters(1).await;
    feed.part(1, 1).await;
    let part = waiting.await.unwrap();
    assert_eq!(part.text.as_bytes(), part_bytes(&"720p".parse().unwrap(), 1, 1));
}

#[tokio::test]
async fn what_redis_has_lost_comes_from_the_object_store() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..3).await;
    world.forget_redis().await;
    let replica = world.replica().await;
    let index = replica.get(&format!("{}/index.m3u8", feed.stream_path())).await;
    assert_eq!(index.status, 200, "{}", index.text);
    let playlist = replica.get(&feed.path("720p", "media.m3u8")).await;
    assert!(playlist.text.contains("\n2-1.m4s"), "{}", playlist.text);
    let segment = replica.get(&feed.path("720p", "2-1.m4s")).await;
    assert_eq!(segment.text.as_bytes(), segment_bytes(&"720p".parse().unwrap(), 2));
    assert_eq!(found(&replica, Layer::store), 1);
}

#[tokio::test]
async fn a_watched_stream_goes_on_when_redis_forgets_it() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..3).await;
    let replica = world.replica().await;
    replica.get(&feed.path("720p", "media.m3u8")).await;
    world.forget_redis().await;
    let waiting = replica.spawn_get(&feed.path("720p", "media.m3u8?_HLS_msn=3&_HLS_part=0"));
    replica.until_waiters(1).await;
    feed.claim_again().await;
    feed.part(3, 0).await;
    let playlist = waiting.await.unwrap();
    assert_eq!(playlist.status, 200);
    assert!(playlist.text.contains("\n0-1.m4s"), "it shows what it showed: {}", playlist.text);
    assert_eq!(replica.get(&feed.path("720p", "1-1.m4s")).await.status, 200);
}

#[tokio::test]
async fn a_part_outlives_redis_in_memory() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let path = feed.path("720p", "0.2-1.m4s");
    replica.get(&path).await;
    world.forget("part:*:0.2-1").await;
    assert_eq!(replica.get(&path).await.status, 200);
    assert_eq!(found(&replica, Layer::memory), 1);
}

#[tokio::test]
async fn without_redis_a_stream_goes_on_from_the_object_store() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..3).await;
    let wire = Wire::to(world.redis_address()).await;
    let replica = world.replica_with(world.settings(&format!("redis://{}", wire.address))).await;
    assert_eq!(replica.get(&feed.path("720p", "media.m3u8")).await.status, 200);

    wire.cut();
    crate::support::until(async || replica.metrics.degraded.get() == 1).await;
    feed.store_segment(3).await;
    let playlist = replica.get(&feed.path("720p", "media.m3u8?_HLS_msn=3")).await;
    assert!(playlist.text.contains("\n3-1.m4s"), "{} {}", playlist.status, playlist.text);
    let segment = replica.get(&feed.path("720p", "3-1.m4s")).await;
    assert_eq!(segment.text.as_bytes(), segment_bytes(&"720p".parse().unwrap(), 3));
    let hinted = replica.get(&feed.path("720p", "media.m3u8?_HLS_msn=4&_HLS_part=0")).await;
    assert_eq!(hinted.status, 503, "parts come with Redis alone");

    wire.mend();
    crate::support::until(async || replica.metrics.degraded.get() == 0).await;
    feed.part(4, 0).await;
    let playlist = replica.get(&feed.path("720p", "media.m3u8?_HLS_msn=4&_HLS_part=0")).await;
    assert_eq!(playlist.status, 200, "{}", playlist.text);
    assert!(playlist.text.contains("\n0-1.m4s"), "it shows what it showed: {}", playlist.text);
}
