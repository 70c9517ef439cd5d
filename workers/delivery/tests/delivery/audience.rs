//! Who watches: beacons, CMCD, guesses, over several replicas, and what is
//! recorded of it.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_delivery::settings::Settings;
use millrace_media::id::RenditionName;
use millrace_platform::config::Env;
use millrace_platform::postgres::sessions::{Session, SessionSource};
use millrace_platform::redis::viewers::Audience;
use serde_json::{Value, json};

use crate::support::feed::Feed;
use crate::support::live::seconds;
use crate::support::wire::Wire;
use crate::support::{Replica, World, answer, until};

async fn beacon(replica: &Replica, feed: &Feed, mut body: Value, viewer: char) {
    let name = json!(viewer.to_string().repeat(32));
    body.as_object_mut().unwrap().insert("viewer".to_owned(), name);
    let url = format!("http://{}{}/beacon", replica.viewers, feed.stream_path());
    let answer = answer(replica.client.post(url).body(body.to_string())).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

async fn audience(world: &World) -> Audience {
    let streams = std::slice::from_ref(&world.stream);
    world.origin().viewers.audiences(streams, seconds()).await.unwrap().remove(0)
}

async fn until_watched(world: &World, viewers: u32, by_rung: &[(&str, u32)]) {
    let by_rung: BTreeMap<RenditionName, u32> =
        by_rung.iter().map(|(name, n)| (name.parse().unwrap(), *n)).collect();
    until(async || {
        let found = audience(world).await;
        (found.viewers, &found.by_rung) == (viewers, &by_rung)
    })
    .await;
}

fn rung(name: &str) -> RenditionName {
    name.parse().unwrap()
}

#[tokio::test]
async fn viewers_are_counted_exactly_over_two_replicas() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let (one, two) = (world.replica().await, world.replica().await);
    let on = |rung: &str| json!({"event": "heartbeat", "rendition": rung});
    for (viewer, rung) in [('a', "720p"), ('b', "480p"), ('c', "720p")] {
        beacon(&one, &feed, on(rung), viewer).await;
    }
    beacon(&two, &feed, on("720p"), 'a').await;
    beacon(&two, &feed, on("audio"), 'd').await;
    until_watched(&world, 4, &[("480p", 1), ("720p", 2)]).await;
    beacon(&two, &feed, on("480p"), 'a').await;
    until_watched(&world, 4, &[("480p", 2), ("720p", 1)]).await;
    beacon(&one, &feed, json!({"event": "leave"}), 'a').await;
    until_watched(&world, 3, &[("480p", 1), ("720p", 1)]).await;
}

#[tokio::test]
async fn a_visit_is_recorded_with_its_events() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let tables = world.tables();
    beacon(&replica, &feed, json!({"event": "join", "rendition": "720p"}), 'a').await;
    until(async || tables.sessions().await.len() == 1).await;
    let heartbeat =
        json!({"rendition": "480p", "stalls": 2, "droppedFrames": 30, "watchMs": 9_000});
    beacon(&replica, &feed, heartbeat, 'a').await;
    until(async || tables.sessions().await[0].rung_changes == 1).await;
    beacon(&replica, &feed, json!({"event": "leave", "stalls": 3, "watchMs": 9_500}), 'a').await;
    until(async || tables.sessions().await[0].left_ms.is_some()).await;

    let [session] = &tables.sessions().await[..] else { panic!() };
    let Session { viewer, source, stalls, dropped_frames, watch_ms, .. } = session;
    assert_eq!((viewer.as_str(), *source), (&*"a".repeat(32), SessionSource::Beacon));
    assert_eq!(session.rendition, Some(rung("480p")));
    assert_eq!((*stalls, *dropped_frames), (3, 30));
    assert_eq!(*watch_ms, 9_500);
    let broadcast = json!(feed.info.broadcast);
    let expected = [
        (
            "ViewerJoined",
            json!({"broadcast": broadcast, "session": session.id,
            "source": "beacon", "rendition": "720p"}),
        ),
        (
            "QualityChanged",
            json!({"broadcast": broadcast, "session": session.id,
            "from": "720p", "to": "480p"}),
        ),
        (
            "ViewerLeft",
            json!({"broadcast": broadcast, "session": session.id,
            "rendition": "480p", "watchMs": 9_500, "stalls": 3, "droppedFrames": 30}),
        ),
    ];
    let expected = expected.map(|(kind, data)| (kind.to_owned(), data));
    assert_eq!(tables.events().await, expected);
}

#[tokio::test]
async fn a_visit_that_is_over_gets_its_broadcast_when_that_has_a_row() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let (replica, tables) = (world.replica().await, world.tables());
    beacon(&replica, &feed, json!({"event": "join", "rendition": "720p"}), 'a').await;
    until(async || tables.sessions().await.len() == 1).await;
    beacon(&replica, &feed, json!({"event": "leave"}), 'a').await;
    until(async || tables.sessions().await[0].left_ms.is_some()).await;
    assert_eq!(tables.sessions().await[0].broadcast, None);
    tables.begin(&world.stream, feed.info.broadcast).await;
    until(async || tables.sessions().await[0].broadcast == Some(feed.info.broadcast)).await;
    let left = tables.events().await.into_iter().filter(|(kind, _)| kind == "ViewerLeft");
    assert_eq!(left.count(), 1);
}

#[tokio::test]
async fn a_visit_over_two_replicas_is_one_row_that_joined_once() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let (one, two) = (world.replica().await, world.replica().await);
    let tables = world.tables();
    beacon(&one, &feed, json!({"event": "join", "rendition": "720p", "stalls": 1}), 'a').await;
    until(async || tables.sessions().await.len() == 1).await;
    beacon(&two, &feed, json!({"rendition": "480p", "stalls": 2}), 'a').await;
    until(async || tables.sessions().await[0].stalls == 2).await;
    beacon(&one, &feed, json!({"event": "leave", "rendition": "480p", "stalls": 2}), 'a').await;
    until(async || tables.sessions().await[0].left_ms.is_some()).await;
    assert_eq!(tables.sessions().await.len(), 1);
    let kinds: Vec<_> = tables.events().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["ViewerJoined", "QualityChanged", "ViewerLeft"]);
}

#[tokio::test]
async fn players_that_speak_cmcd_are_counted_by_session_with_rung_and_stalls() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let (one, two) = (world.replica().await, world.replica().await);
    let part = feed.path("720p", "0.1-1.m4s");
    let ask = async |replica: &Replica, path: &str, cmcd: &str| {
        let url = format!("{path}?CMCD={cmcd}");
        assert_eq!(replica.get(&url).await.status, 200, "{url}");
    };
    ask(&one, &part, "bl%3D1200,br%3D3000,ot%3Dv,sf%3Dh,sid%3D%22one%22,st%3Dl,su").await;
    ask(&two, &part, "ot%3Dv,sid%3D%22one%22").await;
    ask(&two, &feed.path("audio", "0.1-1.m4s"), "bs,ot%3Da,sid%3D%22one%22").await;
    ask(&two, &feed.path("480p", "media.m3u8"), "ot%3Dm,sid%3D%22two%22").await;
    // Not readable: the media comes all the same, and nobody is counted.
    ask(&one, &part, "sid%3Dnone").await;
    until_watched(&world, 2, &[("480p", 1), ("720p", 1)]).await;
    assert_eq!(one.metrics.cmcd_malformed.get(), 1);
    ask(&one, &part, "bs,ot%3Dv,sid%3D%22one%22").await;

    let tables = world.tables();
    until(async || {
        let sessions = tables.sessions().await;
        sessions.len() >= 2 && sessions.iter().any(|s| s.stalls == 1)
    })
    .await;
    let sessions = tables.sessions().await;
    assert_eq!(sessions.len(), 2);
    for session in sessions {
        assert_eq!(session.source, SessionSource::Cmcd);
        assert!(session.viewer.starts_with("c-"), "{}", session.viewer);
        let one = session.stalls == 1;
        assert_eq!(session.rendition, Some(rung(if one { "720p" } else { "480p" })));
    }
}

#[tokio::test]
async fn a_player_that_says_nothing_is_a_viewer_after_ten_seconds_unless_known_by_name() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let part = feed.path("720p", "0.1-1.m4s");
    let began = seconds();
    let agent = [("user-agent", "a player")];
    until(async || {
        assert_eq!(replica.get_with(&part, &agent).await.status, 200);
        audience(&world).await.viewers == 1
    })
    .await;
    assert!(seconds() - began >= 9, "one look is no viewer");
    let tables = world.tables();
    until(async || tables.sessions().await.len() == 1).await;
    let [session] = &tables.sessions().await[..] else { panic!() };
    assert_eq!(session.source, SessionSource::Guess);
    assert_eq!(session.rendition, Some(rung("720p")));
    assert!(session.viewer.starts_with("g-"), "{}", session.viewer);

    // It was one of ours all the time: the same address and agent.
    let body = json!({"viewer": "a".repeat(32), "rendition": "480p"}).to_string();
    let url = format!("http://{}{}/beacon", replica.viewers, feed.stream_path());
    let beacon = replica.client.post(url).header("user-agent", "a player").body(body);
    assert_eq!(answer(beacon).await.status, 204);
    until_watched(&world, 1, &[("480p", 1)]).await;
}

#[tokio::test]
async fn one_address_brings_only_so_many_viewers_a_minute() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let mut variables = world.variables(world.redis_url());
    variables.push(("DELIVERY_NEW_VIEWERS_PER_MINUTE", "2".to_owned()));
    variables.push(("DELIVERY_TRUSTED_PROXIES", "127.0.0.0/8".to_owned()));
    let replica = world.replica_with(Settings::read(&Env::from_pairs(variables)).unwrap()).await;
    let url = format!("http://{}{}/beacon", replica.viewers, feed.stream_path());
    for (viewer, address) in
        [('a', "192.0.2.1"), ('b', "192.0.2.1"), ('c', "192.0.2.1"), ('d', "192.0.2.2")]
    {
        let body = json!({"viewer": viewer.to_string().repeat(32), "rendition": "720p"});
        let beacon = replica.client.post(&url).header("x-forwarded-for", address);
        assert_eq!(answer(beacon.body(body.to_string())).await.status, 204);
    }
    until_watched(&world, 3, &[("720p", 3)]).await;
    assert_eq!(replica.metrics.viewers_untracked.get(), 1);
}

#[tokio::test]
async fn who_goes_without_a_word_is_given_up_once() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let tables = world.tables();
    for viewer in ['a', 'b'] {
        beacon(&replica, &feed, json!({"event": "join", "rendition": "720p"}), viewer).await;
    }
    until(async || tables.sessions().await.len() == 2).await;
    tables.seen_before("a", Duration::from_mins(1)).await;
    tables.keeping().sweep().await.unwrap();
    tables.keeping().sweep().await.unwrap();
    for session in tables.sessions().await {
        assert_eq!(session.left_ms.is_some(), session.viewer.starts_with('a'), "{session:?}");
    }
    let left = tables.events().await.into_iter().filter(|(kind, _)| kind == "ViewerLeft");
    assert_eq!(left.count(), 1);
}

#[tokio::test]
async fn viewers_are_counted_again_when_redis_is_back_and_recorded_meanwhile() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let wire = Wire::to(world.redis_address()).await;
    let replica = world.replica_with(world.settings(&format!("redis://{}", wire.address))).await;
    beacon(&replica, &feed, json!({"event": "join", "rendition": "720p"}), 'a').await;
    until_watched(&world, 1, &[("720p", 1)]).await;

    wire.cut();
    beacon(&replica, &feed, json!({"event": "join", "rendition": "480p"}), 'b').await;
    let tables = world.tables();
    until(async || tables.sessions().await.len() == 2).await;
    assert_eq!(audience(&world).await.viewers, 1);

    wire.mend();
    until_watched(&world, 2, &[("480p", 1), ("720p", 1)]).await;
    assert_eq!(tables.sessions().await.len(), 2);
}

#[tokio::test]
async fn viewers_are_counted_again_after_redis_vanished_without_a_word() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let wire = Wire::to(world.redis_address()).await;
    let replica = world.replica_with(world.settings(&format!("redis://{}", wire.address))).await;
    beacon(&replica, &feed, json!({"event": "join", "rendition": "720p"}), 'a').await;
    until_watched(&world, 1, &[("720p", 1)]).await;

    wire.hush();
    beacon(&replica, &feed, json!({"event": "join", "rendition": "480p"}), 'b').await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(audience(&world).await.viewers, 1);

    // The connections that fell silent stay so.
    wire.mend();
    until_watched(&world, 2, &[("480p", 1), ("720p", 1)]).await;
}

#[tokio::test]
async fn what_viewers_did_while_postgres_was_away_is_recorded_when_it_is_back() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let (wire, settings) = world.postgres_by_wire().await;
    wire.cut();
    let replica = world.replica_with(settings).await;
    for viewer in ['a', 'b'] {
        beacon(&replica, &feed, json!({"event": "join", "rendition": "720p"}), viewer).await;
    }
    until_watched(&world, 2, &[("720p", 2)]).await;
    beacon(&replica, &feed, json!({"rendition": "480p"}), 'a').await;
    until_watched(&world, 2, &[("480p", 1), ("720p", 1)]).await;
    beacon(&replica, &feed, json!({"event": "leave"}), 'a').await;
    until_watched(&world, 1, &[("720p", 1)]).await;
    let playlist = replica.get(&feed.path("720p", "media.m3u8")).await;
    assert_eq!(playlist.status, 200, "video does not wait for Postgres");

    wire.mend();
    let tables = world.tables();
    until(async || tables.sessions().await.len() == 2).await;
    let mut kinds: Vec<_> = tables.events().await.into_iter().map(|(kind, _)| kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["QualityChanged", "ViewerJoined", "ViewerJoined", "ViewerLeft"]);
    assert_eq!(replica.metrics.sessions_lost.get(), 0);
}
