//! Who watches.

use std::collections::BTreeMap;

use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::{
    BroadcastInfo, InitHash, PartInfo, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::MediaWriter;
use millrace_platform::redis::viewers::{
    Audience, Report, Settled, Sign, Turnover, Viewers, Visit,
};
use uuid::Uuid;

use crate::media::info;
use crate::server::{Server, config, installation};

/// A viewer who was seen.
pub(crate) fn report(viewer: &str, broadcast: BroadcastId, rung: Option<&str>) -> Report {
    Report {
        viewer: viewer.parse().unwrap(),
        sign: Sign::Seen,
        covers: None,
        seen_s: 1_000,
        joined_ms: 1_764_000_000_123,
        broadcast,
        rendition: rung.map(|name| name.parse().unwrap()),
        stalls: 0,
        more_stalls: 0,
        dropped_frames: 0,
        settled: Settled::default(),
    }
}

/// A description, a part and a segment.
pub(crate) async fn publish(writer: &MediaWriter, broadcast: BroadcastId, stream: &StreamId) {
    let rung = RenditionInfo {
        name: "720p".parse().unwrap(),
        kind: RenditionKind::Video { width: 1280, height: 720 },
        codecs: "avc1.64001f".to_owned(),
        timescale: 90_000,
        bandwidth: 1,
        average_bandwidth: 1,
    };
    let info = BroadcastInfo { renditions: vec![rung.clone()], ..info(stream, broadcast) };
    writer.put_broadcast(&info).await.unwrap();
    let bytes = bytes::Bytes::from_static(b"media");
    let init = InitHash::of(b"init");
    let part = PartInfo {
        msn: Msn(0),
        part: 0,
        run: Run(1),
        start: 0,
        duration: 180_000,
        bytes: 5,
        independent: true,
        discontinuities: 0,
        date_ms: 0,
        init: init.clone(),
        base: None,
    };
    writer.publish_part(&rung.name, &part, &bytes).await.unwrap();
    let segment = SegmentInfo {
        msn: Msn(0),
        run: Run(1),
        start: 0,
        duration: 180_000,
        bytes: 5,
        discontinuities: 0,
        date_ms: 0,
        init,
        gap: false,
        base: None,
    };
    let parts = [(0, Run(1))];
    writer.publish_segment(&rung.name, &segment, &bytes, &parts, Msn(0)).await.unwrap();
}

struct World {
    viewers: Viewers,
    stream: StreamId,
    broadcast: BroadcastId,
    server: Server,
}

impl World {
    fn new() -> Self {
        let server = Server::start();
        let redis = Redis::connect(&config(&server).viewers, "viewers").unwrap();
        Self {
            viewers: Viewers::new(redis, installation()),
            stream: "events.keynote".parse().unwrap(),
            broadcast: BroadcastId(Uuid::now_v7()),
            server,
        }
    }

    fn seen(&self, viewer: &str, rung: Option<&str>) -> Report {
        report(viewer, self.broadcast, rung)
    }

    async fn report(&self, report: Report, now: u64) -> Option<Visit> {
        let report = Report { seen_s: now, ..report };
        let visits = self.viewers.report(&self.stream, &[report], now).await.unwrap();
        let [visit] = &visits[..] else { panic!("{visits:?}") };
        visit.clone()
    }

    /// What is known of those who watch; who came and went must add up to it.
    async fn audience(&self, now: u64) -> (u32, BTreeMap<RenditionName, u32>) {
        let counted = self.viewers.audiences(std::slice::from_ref(&self.stream), now).await;
        let Audience { viewers, by_rung, turnover } = counted.unwrap().remove(0);
        let count = self.viewers.count(&self.stream, now).await.unwrap();
        assert_eq!(u64::from(viewers), count);
        assert_eq!(turnover.joined - turnover.left, count, "{turnover:?}");
        (viewers, by_rung)
    }

    async fn turnover(&self, now: u64) -> Turnover {
        let counted = self.viewers.audiences(std::slice::from_ref(&self.stream), now).await;
        counted.unwrap().remove(0).turnover
    }
}

fn audience(viewers: u32, by_rung: &[(&str, u32)]) -> (u32, BTreeMap<RenditionName, u32>) {
    let by_rung = by_rung.iter().map(|(name, count)| (name.parse().unwrap(), *count)).collect();
    (viewers, by_rung)
}

#[tokio::test]
async fn viewers_who_come_go_and_change_rungs_are_counted() {
    let world = World::new();
    let turnover = async |now| {
        let Turnover { since, joined, left, moved } = world.turnover(now).await;
        let moved =
            moved.iter().map(|moved| format!("{}>{} {}", moved.from, moved.to, moved.count));
        (since > 0, joined, left, moved.collect::<Vec<_>>())
    };
    assert_eq!(turnover(1_000).await, (false, 0, 0, vec![]));
    world.report(world.seen("viewer-1", Some("720p")), 1_000).await;
    world.report(world.seen("viewer-2", None), 1_000).await;
    // Its rung becomes known: no change.
    world.report(world.seen("viewer-2", Some("720p")), 1_001).await;
    world.report(world.seen("viewer-1", Some("480p")), 1_001).await;
    world.report(world.seen("viewer-2", Some("480p")), 1_001).await;
    // Several may stand behind a guess, each on a rung of its own.
    for rung in ["720p", "480p"] {
        let guess = Report { sign: Sign::Guessed, ..world.seen("guess-of-3", Some(rung)) };
        world.report(guess, 1_002).await;
    }
    assert_eq!(turnover(1_002).await, (true, 3, 0, vec!["720p>480p 2".to_owned()]));
    // One leaves, one without a word; a guess is found to be the third.
    let left = Report { sign: Sign::Left, ..world.seen("viewer-1", None) };
    world.report(left, 1_010).await;
    let covers = Some("guess-of-3".parse().unwrap());
    world.report(Report { covers, ..world.seen("viewer-2", None) }, 1_010).await;
    assert_eq!(turnover(1_010).await, (true, 3, 2, vec!["720p>480p 2".to_owned()]));
    assert_eq!(turnover(1_041).await, (true, 3, 3, vec!["720p>480p 2".to_owned()]));
}

#[tokio::test]
async fn counts_that_redis_lost_begin_anew_and_are_not_left_behind() {
    let world = World::new();
    world.report(world.seen("viewer-1", Some("720p")), 1_000).await;
    let first = world.turnover(1_000).await;
    let mut redis = world.server.client(3).await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*turnover:*").query_async(&mut redis).await.unwrap();
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let life: i64 = redis::cmd("TTL").arg(key).query_async(&mut redis).await.unwrap();
    assert!((1..=60).contains(&life), "{life}");
    redis::cmd("DEL").arg(key).query_async::<()>(&mut redis).await.unwrap();
    // Somebody is forgotten: a count made by that would have no end.
    assert_eq!(world.turnover(1_031).await, Turnover::default());
    world.report(world.seen("viewer-1", Some("720p")), 1_032).await;
    assert_eq!(world.turnover(1_032).await.after(&first), None);
}

#[tokio::test]
async fn a_viewer_is_counted_once_until_thirty_seconds_after_it_was_last_seen() {
    let world = World::new();
    let all = ["viewer-1", "viewer-2", "viewer-1"].map(|name| world.seen(name, Some("720p")));
    world.viewers.report(&world.stream, &all, 1_000).await.unwrap();
    assert_eq!(world.audience(1_000).await, audience(2, &[("720p", 2)]));
    world.report(world.seen("viewer-1", Some("480p")), 1_010).await;
    assert_eq!(world.audience(1_030).await, audience(2, &[("480p", 1), ("720p", 1)]));
    assert_eq!(world.audience(1_031).await, audience(1, &[("480p", 1)]));
    assert_eq!(world.audience(1_041).await, audience(0, &[]));
}

#[tokio::test]
async fn a_viewer_who_leaves_is_not_counted_and_comes_back_as_another_visit() {
    let world = World::new();
    world.report(world.seen("viewer-1", Some("720p")), 1_000).await;
    let mut left = world.seen("viewer-1", None);
    (left.sign, left.stalls) = (Sign::Left, 3);
    let visit = world.report(left, 1_001).await.unwrap();
    assert_eq!((visit.joined_ms, visit.new_stalls), (1_764_000_000_123, 3));
    assert_eq!(world.audience(1_001).await, audience(0, &[]));
    let mut again = world.seen("viewer-1", Some("720p"));
    again.joined_ms = 1_764_000_009_999;
    assert_eq!(world.report(again, 1_009).await.unwrap().joined_ms, 1_764_000_009_999);
}

#[tokio::test]
async fn the_leave_of_a_viewer_whom_nobody_saw_begins_no_visit() {
    let world = World::new();
    let gone = Report { sign: Sign::Gone, ..world.seen("viewer-1", None) };
    assert_eq!(world.report(gone.clone(), 1_000).await, None);
    world.report(world.seen("viewer-1", Some("720p")), 1_001).await;
    assert!(world.report(gone, 1_002).await.is_some(), "another replica saw it");
    assert_eq!(world.audience(1_002).await, audience(0, &[]));
}

#[tokio::test]
async fn a_sign_from_before_a_viewer_left_that_is_told_later_brings_it_not_back() {
    for sign in [Sign::Seen, Sign::Guessed] {
        let world = World::new();
        let seen = Report { sign, ..world.seen("viewer-1", Some("720p")) };
        world.report(seen.clone(), 1_000).await;
        let late = Report { seen_s: 1_004, ..seen.clone() };
        world.report(Report { sign: Sign::Left, ..seen.clone() }, 1_005).await;
        let told = world.viewers.report(&world.stream, &[late], 1_009).await.unwrap();
        assert_eq!((told, world.audience(1_009).await), (vec![None], audience(0, &[])));
        // What it does afterwards counts.
        assert!(world.report(seen, 1_010).await.is_some());
        assert_eq!(world.audience(1_010).await, audience(1, &[("720p", 1)]));
    }
}

#[tokio::test]
async fn replicas_agree_when_a_viewer_joined_and_what_it_did() {
    let world = World::new();
    let mut first = world.seen("viewer-1", Some("720p"));
    (first.stalls, first.dropped_frames) = (1, 10);
    let visit = world.report(first.clone(), 1_000).await.unwrap();
    assert_eq!((visit.rendition_before, visit.new_stalls, visit.new_dropped_frames), (None, 1, 10));
    // Another replica sees it for the first time.
    let mut second = world.seen("viewer-1", Some("480p"));
    (second.joined_ms, second.stalls, second.dropped_frames) = (1_764_000_005_000, 2, 15);
    let visit = world.report(second, 1_005).await.unwrap();
    assert_eq!(visit.joined_ms, first.joined_ms);
    assert_eq!(visit.rendition_before, Some("720p".parse().unwrap()));
    assert_eq!((visit.rung_changes, visit.stalls, visit.dropped_frames), (1, 2, 15));
    assert_eq!((visit.new_stalls, visit.new_dropped_frames), (1, 5));
    // Told again, nothing is new; what is seen beside the player's count adds up.
    let mut third = world.seen("viewer-1", None);
    (third.stalls, third.more_stalls, third.dropped_frames) = (2, 2, 15);
    let visit = world.report(third, 1_006).await.unwrap();
    assert_eq!((visit.rung_changes, visit.stalls, visit.new_stalls), (1, 4, 2));
    assert_eq!(visit.rendition, Some("480p".parse().unwrap()));
    assert_eq!(visit.new_dropped_frames, 0);
}

#[tokio::test]
async fn a_visit_that_redis_forgot_goes_on_where_it_was() {
    let world = World::new();
    let mut first = world.seen("viewer-1", Some("720p"));
    first.stalls = 1;
    world.report(first, 1_000).await;
    let mut second = world.seen("viewer-1", Some("480p"));
    (second.stalls, second.dropped_frames) = (2, 9);
    let known = world.report(second.clone(), 1_010).await.unwrap();
    let mut redis = world.server.client(3).await;
    redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.unwrap();

    second.settled = known.settled();
    let same = world.report(second.clone(), 1_020).await.unwrap();
    assert_eq!((same.new_stalls, same.new_dropped_frames, same.rung_changes), (0, 0, 1));
    assert_eq!(world.audience(1_020).await, audience(1, &[("480p", 1)]));
    redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.unwrap();
    (second.rendition, second.stalls) = (Some("720p".parse().unwrap()), 3);
    let more = world.report(second, 1_030).await.unwrap();
    assert_eq!((more.new_stalls, more.new_dropped_frames, more.rung_changes), (1, 0, 2));
    assert_eq!(more.rendition_before, known.rendition);
    assert_eq!(world.audience(1_030).await, audience(1, &[("720p", 1)]));
}

#[tokio::test]
async fn a_guess_is_not_counted_beside_the_viewer_it_stands_for() {
    let world = World::new();
    let mut guess = world.seen("guess-of-1", Some("720p"));
    guess.sign = Sign::Guessed;
    world.report(guess.clone(), 1_000).await.unwrap();
    assert_eq!(world.audience(1_000).await.0, 1);
    let mut named = world.seen("viewer-1", Some("720p"));
    named.covers = Some(guess.viewer.clone());
    world.report(named, 1_001).await.unwrap();
    assert_eq!(world.audience(1_001).await, audience(1, &[("720p", 1)]));
    assert_eq!(world.report(guess.clone(), 1_002).await, None);
    assert_eq!(world.audience(1_002).await.0, 1);
    assert!(world.report(guess, 1_032).await.is_some(), "nobody covers it any more");
}

#[tokio::test]
async fn another_broadcast_is_another_visit_and_a_replica_behind_opens_none() {
    let world = World::new();
    let old = world.seen("viewer-1", Some("720p"));
    world.report(old.clone(), 1_000).await;
    let mut new = old.clone();
    (new.broadcast, new.joined_ms) = (BroadcastId(Uuid::now_v7()), 1_764_000_001_000);
    let visit = world.report(new.clone(), 1_001).await.unwrap();
    assert_eq!((visit.broadcast, visit.joined_ms), (new.broadcast, new.joined_ms));
    let visit = world.report(old, 1_002).await.unwrap();
    assert_eq!((visit.broadcast, visit.joined_ms), (new.broadcast, new.joined_ms));
    assert_eq!(world.audience(1_002).await, audience(1, &[("720p", 1)]));
}

#[tokio::test]
async fn a_big_audience_is_counted_exactly() {
    let world = World::new();
    let rungs = ["480p", "720p", "1080p"];
    let all: Vec<_> =
        (0..3_000).map(|n| world.seen(&format!("viewer-{n}"), rungs.get(n % 3).copied())).collect();
    world.viewers.report(&world.stream, &all, 1_000).await.unwrap();
    let even = [("480p", 1_000), ("720p", 1_000), ("1080p", 1_000)];
    assert_eq!(world.audience(1_000).await, audience(3_000, &even));
    let again = |report| Report { seen_s: 1_020, ..report };
    let half: Vec<_> = all.into_iter().take(1_500).map(again).collect();
    world.viewers.report(&world.stream, &half, 1_020).await.unwrap();
    let even = [("480p", 500), ("720p", 500), ("1080p", 500)];
    assert_eq!(world.audience(1_031).await, audience(1_500, &even));
}

#[tokio::test]
async fn all_replicas_get_the_same_salt() {
    let world = World::new();
    assert_eq!(world.viewers.salt(&world.stream, "one").await.unwrap(), "one");
    assert_eq!(world.viewers.salt(&world.stream, "two").await.unwrap(), "one");
}
