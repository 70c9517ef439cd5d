//! What playlists say, and when.

use crate::support::World;
use crate::support::feed::PARTS;

const MSN: &str = "#EXT-X-MEDIA-SEQUENCE:";

#[tokio::test]
async fn a_multivariant_playlist_names_every_rendition_of_the_broadcast() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let index = replica.get(&format!("{}/index.m3u8", feed.stream_path())).await;
    assert_eq!(index.status, 200);
    assert_eq!(index.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(index.header("access-control-allow-origin"), "*");
    for rendition in ["480p", "720p", "audio"] {
        let url = format!("{}/{rendition}/media.m3u8", feed.info.broadcast);
        assert!(index.text.contains(&url), "{url} in {}", index.text);
    }
}

#[tokio::test]
async fn every_name_in_a_media_playlist_can_be_fetched() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..3).await;
    feed.part(3, 0).await;
    let replica = world.replica().await;
    let playlist = replica.get(&feed.path("720p", "media.m3u8")).await;
    assert_eq!(playlist.status, 200);
    let mut names = 0;
    for line in playlist.text.lines().filter(|l| !l.contains("PRELOAD-HINT")) {
        let quoted = line.split("URI=\"").nth(1).and_then(|l| l.split('"').next());
        let name = quoted.unwrap_or(line);
        if [".m4s", ".mp4"].iter().any(|end| name.ends_with(end)) {
            names += 1;
            assert_eq!(replica.get(&feed.path("720p", name)).await.status, 200, "{name}");
        }
    }
    assert!(names > 3 + 1, "{}", playlist.text);
}

#[tokio::test]
async fn a_blocking_reload_answers_when_its_part_is_published() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    let waiting = replica.spawn_get(&feed.path("720p", "media.m3u8?_HLS_msn=2&_HLS_part=1"));
    replica.until_waiters(1).await;
    feed.part(2, 0).await;
    feed.part(2, 1).await;
    let playlist = waiting.await.unwrap();
    assert_eq!(playlist.status, 200);
    assert!(playlist.text.contains("\"2.1-1.m4s\""), "{}", playlist.text);
}

#[tokio::test]
async fn waiters_for_one_change_share_one_rendering() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    let path = feed.path("720p", "media.m3u8?_HLS_msn=2&_HLS_part=0");
    let waiting: Vec<_> = (0..50).map(|_| replica.spawn_get(&path)).collect();
    replica.until_waiters(50).await;
    let before = replica.metrics.renders.get();
    feed.part(2, 0).await;
    for one in waiting {
        assert_eq!(one.await.unwrap().status, 200);
    }
    // Each rendition's entry may come as a change of its own.
    assert!(replica.metrics.renders.get() - before <= 3);
}

#[tokio::test]
async fn a_request_beyond_the_last_part_of_a_segment_waits_for_the_next_segment() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    let query = format!("media.m3u8?_HLS_msn=1&_HLS_part={PARTS}");
    let waiting = replica.spawn_get(&feed.path("720p", &query));
    replica.until_waiters(1).await;
    feed.part(2, 0).await;
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_request_too_far_ahead_or_not_understood_is_refused() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    for query in ["_HLS_msn=9", "_HLS_msn=2&_HLS_part=99", "_HLS_part=1", "_HLS_msn=x"] {
        let answer = replica.get(&feed.path("720p", &format!("media.m3u8?{query}"))).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_not_published_in_time_is_503() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let answer = replica.get(&feed.path("720p", "media.m3u8?_HLS_msn=1")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn what_does_not_exist_is_404_with_a_reason() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let older = "00000000-0000-7000-8000-000000000000";
    for path in [
        "/hls/events.nobody/index.m3u8".to_owned(),
        "/hls/nodot/index.m3u8".to_owned(),
        format!("{}/{older}/720p/media.m3u8", feed.stream_path()),
        feed.path("360p", "media.m3u8"),
        feed.path("720p", "other.txt"),
        feed.path("720p", "0-2.m4s"),
        feed.path("720p", "77-1.m4s"),
    ] {
        let answer = replica.get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text.len() > 10, "{path}: {:?}", answer.text);
    }
}

#[tokio::test]
async fn an_unchanged_playlist_is_not_sent_again() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    for path in [format!("{}/index.m3u8", feed.stream_path()), feed.path("720p", "media.m3u8")] {
        let first = replica.get(&path).await;
        let again = replica.get_with(&path, &[("if-none-match", first.header("etag"))]).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
    }
}

#[tokio::test]
async fn a_playlist_comes_packed_to_those_who_take_it_so_under_a_tag_of_its_own() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    for path in [format!("{}/index.m3u8", feed.stream_path()), feed.path("720p", "media.m3u8")] {
        let plain = replica.get(&path).await;
        let packed = replica.get_with(&path, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(plain.header("content-encoding"), "");
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert_eq!(packed.text, plain.text);
        for answer in [&plain, &packed] {
            let mut vary = answer.headers.get_all("vary").iter();
            assert!(vary.any(|name| name == "accept-encoding"), "{answer:?}");
        }
        assert_ne!(packed.header("etag"), plain.header("etag"));
        let tag = packed.header("etag");
        let again = [("accept-encoding", "gzip"), ("if-none-match", tag)];
        assert_eq!(replica.get_with(&path, &again).await.status, 304);
        assert_eq!(replica.get_with(&path, &[("if-none-match", tag)]).await.status, 200);
    }
}

#[tokio::test]
async fn a_delta_update_skips_what_is_old() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..20).await;
    let replica = world.replica().await;
    let full = replica.get(&feed.path("720p", "media.m3u8")).await;
    let delta = replica.get(&feed.path("720p", "media.m3u8?_HLS_skip=YES")).await;
    assert!(delta.text.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS="), "{}", delta.text);
    assert!(delta.text.len() < full.text.len());
}

#[tokio::test]
async fn two_replicas_give_the_same_bytes_and_tags() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let early = world.replica().await;
    // This one follows from here, the other reads everything at once later.
    early.get(&feed.path("720p", "media.m3u8")).await;
    feed.segments(2..5).await;
    feed.part(5, 0).await;
    let late = world.replica().await;
    for query in ["", "&_HLS_skip=YES"] {
        let path = feed.path("720p", &format!("media.m3u8?_HLS_msn=5&_HLS_part=0{query}"));
        let path_audio = feed.path("audio", &format!("media.m3u8?_HLS_msn=5&_HLS_part=0{query}"));
        // Until the last rendition's entry is with both.
        early.get(&path_audio).await;
        late.get(&path_audio).await;
        let (one, other) = (early.get(&path).await, late.get(&path).await);
        assert_eq!(one.text, other.text);
        assert_eq!(one.header("etag"), other.header("etag"));
    }
}

#[tokio::test]
async fn a_replica_that_starts_lists_from_the_index_what_redis_no_longer_has() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segment(0).await;
    let early = world.replica().await;
    early.get(&feed.path("audio", "media.m3u8")).await;
    // It keeps a number; where segments are short, the list has more.
    feed.kept = 20;
    // Those before the last are in a chunk of the index.
    for msn in 1..152 {
        feed.segment(msn).await;
    }
    feed.part(152, 0).await;
    let late = world.replica().await;
    for rendition in ["audio", "480p"] {
        let path = feed.path(rendition, "media.m3u8?_HLS_msn=152&_HLS_part=0");
        let (one, other) = (early.get(&path).await, late.get(&path).await);
        assert!(one.text.contains("#EXT-X-MEDIA-SEQUENCE:92\n"), "{}", one.text);
        assert_eq!(one.text, other.text);
    }
}

#[tokio::test]
async fn a_new_broadcast_appears_under_the_same_index_and_the_old_one_is_final() {
    let world = World::new();
    let mut old = world.feed().await;
    old.segments(0..2).await;
    let replica = world.replica().await;
    let index = format!("{}/index.m3u8", old.stream_path());
    assert!(replica.get(&index).await.text.contains(&old.info.broadcast.to_string()));
    old.end(2).await;
    let mut new = world.feed().await;
    new.segments(0..1).await;
    // A player that has learned of it elsewhere finds it here at once.
    assert_eq!(replica.get(&new.path("720p", "media.m3u8")).await.status, 200);
    assert!(replica.get(&index).await.text.contains(&new.info.broadcast.to_string()));
    let last = replica.get(&old.path("720p", "media.m3u8")).await;
    assert!(last.text.contains("#EXT-X-ENDLIST"), "{}", last.text);
    // A replica that never saw it live has it from the object store.
    let late = world.replica().await;
    let last = late.get(&old.path("720p", "media.m3u8")).await;
    assert!(last.text.contains("#EXT-X-ENDLIST") && last.text.contains(MSN), "{}", last.text);
}

#[tokio::test]
async fn a_waiter_is_released_by_the_end() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    let waiting = replica.spawn_get(&feed.path("720p", "media.m3u8?_HLS_msn=2&_HLS_part=0"));
    replica.until_waiters(1).await;
    feed.end(2).await;
    let playlist = waiting.await.unwrap();
    assert!(playlist.text.contains("#EXT-X-ENDLIST"), "{} {}", playlist.status, playlist.text);
}
