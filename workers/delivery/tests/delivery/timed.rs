//! Segments by their time, as they grow and when they are whole.

use crate::support::feed::{PARTS, part_bytes, segment_bytes};
use crate::support::{World, answer};

#[tokio::test]
async fn a_segment_that_grows_is_sent_part_by_part_as_they_come() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    feed.part(1, 0).await;
    let replica = world.replica().await;
    let url = format!("http://{}{}", replica.viewers, feed.path("720p", "at-180000.m4s"));
    let mut response = replica.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("content-length"), None);
    assert_eq!(header("content-type"), Some("video/mp4"));
    // Of bytes that are not all there.
    assert_eq!(header("etag"), None);
    assert_eq!(header("cache-control"), Some("public, max-age=31536000, immutable"));
    let name = "720p".parse().unwrap();
    assert_eq!(response.chunk().await.unwrap(), Some(part_bytes(&name, 1, 0)));
    replica.until_waiters(1).await;
    for part in 1..PARTS {
        feed.part(1, part).await;
        assert_eq!(response.chunk().await.unwrap(), Some(part_bytes(&name, 1, part)));
    }
    feed.segment(1).await;
    assert_eq!(response.chunk().await.unwrap(), None);
    replica.until_waiters(0).await;
}

#[tokio::test]
async fn what_is_left_of_a_segment_comes_from_the_whole_when_its_parts_are_not_listed() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    feed.part(1, 0).await;
    let replica = world.replica().await;
    let growing = replica.spawn_get(&feed.path("720p", "at-180000.m4s"));
    replica.until_waiters(1).await;
    feed.segment(1).await;
    let answer = growing.await.unwrap();
    assert_eq!(answer.text.as_bytes(), segment_bytes(&"720p".parse().unwrap(), 1));
}

#[tokio::test]
async fn an_encoder_that_is_started_again_goes_on_in_the_same_body() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    feed.part(1, 0).await;
    let replica = world.replica().await;
    let path = feed.path("480p", "at-180000.m4s");
    let growing = replica.spawn_get(&path);
    replica.until_waiters(1).await;
    feed.restart().await;
    for part in 1..PARTS {
        feed.part(1, part).await;
    }
    feed.segment(1).await;
    let whole = segment_bytes(&"480p".parse().unwrap(), 1);
    assert_eq!(growing.await.unwrap().text.as_bytes(), whole);
    assert_eq!(replica.get(&path).await.text.as_bytes(), whole);
}

#[tokio::test]
async fn a_segment_that_is_made_again_breaks_off_what_was_sent_of_it() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    feed.part(1, 0).await;
    let replica = world.replica().await;
    let url = format!("http://{}{}", replica.viewers, feed.path("720p", "at-180000.m4s"));
    let response = replica.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    feed.segment_made_again(1).await;
    response.bytes().await.expect_err("it does not end as a whole one does");
    replica.until_waiters(0).await;
    let again = replica.get(&feed.path("720p", "at-180000.m4s")).await;
    assert_eq!(again.text, "made again");
}

#[tokio::test]
async fn a_range_of_a_segment_that_grows_waits_for_all_of_it() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    feed.part(1, 0).await;
    let replica = world.replica().await;
    let url = format!("http://{}{}", replica.viewers, feed.path("audio", "at-96000.m4s"));
    let request = replica.client.get(url).header("range", "bytes=2-6");
    let waiting = tokio::spawn(answer(request));
    replica.until_waiters(1).await;
    feed.segment(1).await;
    let answer = waiting.await.unwrap();
    let whole = segment_bytes(&"audio".parse().unwrap(), 1);
    assert_eq!((answer.status, answer.text.as_bytes()), (206, &whole[2..7]));
    assert_eq!(answer.header("content-range"), format!("bytes 2-6/{}", whole.len()));
}

#[tokio::test]
async fn a_segment_that_left_the_list_just_now_is_still_there() {
    let world = World::new();
    let mut feed = world.feed().await;
    // Two minutes are listed.
    feed.segments(0..65).await;
    let replica = world.replica().await;
    let playlist = replica.get(&feed.path("720p", "media.m3u8")).await.text;
    let first = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    let first: u64 = first.unwrap().parse().unwrap();
    assert!(first > 3, "{first}");
    for (msn, status) in [(first, 200), (first - 1, 200), (first - 3, 200), (first - 4, 404)] {
        let path = feed.path("720p", &format!("at-{}.m4s", msn * 180_000));
        assert_eq!(replica.get(&path).await.status, status, "{msn} of {first}");
    }
}

#[tokio::test]
async fn a_segment_that_comes_next_is_waited_for_and_others_are_404() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    for name in ["at-90000.m4s", "at-180001.m4s", "at-18000000.m4s", "at-18446744073709551615.m4s"]
    {
        assert_eq!(replica.get(&feed.path("720p", name)).await.status, 404, "{name}");
    }
    let waiting = replica.spawn_get(&feed.path("720p", "at-360000.m4s"));
    replica.until_waiters(1).await;
    feed.segments(2..3).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.text.as_bytes(), segment_bytes(&"720p".parse().unwrap(), 2));
    let known = [("if-none-match", "\"2-1.m4s\"")];
    let path = feed.path("720p", "at-360000.m4s");
    assert_eq!(replica.get_with(&path, &known).await.status, 304);
    assert_eq!(replica.get(&path).await.header("content-length"), answer.text.len().to_string());
    feed.end(3).await;
    crate::support::until(async || {
        replica.get(&feed.path("720p", "at-540000.m4s")).await.status == 404
    })
    .await;
}
