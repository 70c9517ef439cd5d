//! What the API tells.

use millrace_media::id::BroadcastId;
use millrace_platform::postgres::metrics::Second;
use millrace_platform::wall;
use serde_json::{Value, json};

use super::Office;
use crate::support::until;

#[tokio::test]
async fn a_streams_status_follows_its_broadcast() {
    let office = Office::open().await;
    let offline = office.read("/streams/events.keynote").await;
    assert_eq!((&offline["state"], &offline["broadcast"]), (&json!("offline"), &json!(null)));

    let mut feed = office.world.feed().await;
    feed.segments(0..2).await;
    let state = async |wanted| office.read("/streams/events.keynote").await["state"] == wanted;
    until(async || state("live").await).await;
    let live = office.read("/streams/events.keynote").await;
    assert_eq!(live["broadcast"], json!(feed.info.broadcast));
    assert_eq!(live["startedAt"], json!(wall::rfc3339(feed.info.started_ms)));
    assert_eq!(live["renditions"], json!(["480p", "720p", "audio"]));
    assert!(live["liveEdgeLatencySeconds"].is_number());
    let qualities = office.read("/streams/events.keynote/qualities").await;
    let names: Vec<_> = qualities["items"].as_array().unwrap().iter().map(|q| &q["name"]).collect();
    assert_eq!(names, ["720p", "480p", "audio"]);

    feed.end(2).await;
    until(async || state("ended").await).await;
}

#[tokio::test]
async fn streams_are_listed_a_page_at_a_time() {
    let office = Office::open().await;
    for name in ["charlie", "alpha", "bravo"] {
        let stream = millrace_media::id::StreamId::new("events", name).unwrap();
        office.world.feed_of(&stream).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = office.read(&format!("/streams?limit=2{after}")).await;
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["streamId"].as_str().unwrap().to_owned()));
        assert!(items.iter().all(|item| item["state"] == "live"), "{page}");
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ["events.alpha", "events.bravo", "events.charlie"]);
    let other = office.read("/streams?namespace=other").await;
    assert_eq!(other, json!({"items": [], "next": null}));
}

#[tokio::test]
async fn broadcasts_are_told_as_the_record_has_them() {
    let office = Office::open().await;
    let broadcast = BroadcastId(uuid::Uuid::now_v7());
    office.world.tables().begin(&office.world.stream, broadcast).await;
    let list = office.read("/streams/events.keynote/broadcasts").await;
    let one = office.read(&format!("/streams/events.keynote/broadcasts/{broadcast}")).await;
    assert_eq!(list["items"], json!([one]));
    assert_eq!(one["id"], json!(broadcast));
    assert_eq!((&one["status"], &one["epoch"]), (&json!("PENDING_INGEST"), &json!(1)));
    assert_eq!(one["startedAt"], "2025-11-24T16:00:00.000Z");
    let elsewhere = format!("/streams/events.other/broadcasts/{broadcast}");
    assert_eq!(office.get(&elsewhere).await.status, 404);
    assert_eq!(office.get("/streams/events.keynote/broadcasts/x").await.status, 404);
}

#[tokio::test]
async fn figures_over_time_are_averages_and_sums_and_null_where_nothing_was() {
    let office = Office::open().await;
    let second = |at_s, viewers: u32| Second {
        stream: office.world.stream.clone(),
        broadcast: None,
        at_s,
        viewers,
        ingress_kbps: 1_000,
        egress_kbps: 2_000,
        quality: [("720p".parse().unwrap(), viewers)].into(),
        dropped_frames: 3,
        buffering_events: 1,
    };
    let day = 1_764_000_000;
    let seconds = [second(day, 1), second(day + 1, 2), second(day + 20, 8)];
    office.world.tables().metrics.insert(&seconds).await.unwrap();
    let (from, to) = (wall::rfc3339(day * 1_000), wall::rfc3339((day + 30) * 1_000));
    let path = format!("/streams/events.keynote/metrics/range?from={from}&to={to}&points=3");
    let told = office.read(&path).await;
    assert_eq!((&told["from"], &told["stepSeconds"]), (&json!(from), &json!(10)));
    let points = told["points"].as_array().unwrap();
    let of = |name: &str| points.iter().map(|point| point[name].clone()).collect::<Vec<Value>>();
    assert_eq!(of("viewers"), [json!(1.5), json!(null), json!(8.0)]);
    assert_eq!(of("droppedFrames"), [json!(6), json!(null), json!(3)]);
    assert_eq!(of("quality"), [json!({"720p": 1.5}), json!(null), json!({"720p": 8.0})]);
    assert_eq!(office.get("/streams/events.keynote/metrics").await.status, 404);
}

#[tokio::test]
async fn presets_and_empty_lists_are_told() {
    let office = Office::open().await;
    let presets = office.read("/qualities").await;
    let first = json!({"name": "480p", "height": 480, "bitrateKbps": 1_500});
    assert_eq!(presets["items"][0], first);
    for list in ["broadcasts", "keys", "sessions", "sessions?watching=true"] {
        let none = office.read(&format!("/streams/events.keynote/{list}")).await;
        assert_eq!(none, json!({"items": [], "next": null}), "{list}");
    }
    assert_eq!(office.get("/streams/events.keynote/events").await.status, 503);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_by_field() {
    let office = Office::open().await;
    for (path, field) in [
        ("/streams?limit=0", "limit"),
        ("/streams?limit=201", "limit"),
        ("/streams?limit=many", "limit"),
        ("/streams?after=x", "after"),
        ("/streams?namespace=No", "namespace"),
        ("/streams/events.keynote/keys?after=x", "after"),
        ("/streams/events.keynote/sessions?watching=2", "watching"),
        ("/streams/events.keynote/metrics/range?points=0", "points"),
        ("/streams/events.keynote/metrics/range?from=yesterday", "from"),
        ("/streams/events.keynote/metrics/range?from=2020-01-01T00:00:00Z", "from"),
    ] {
        let answer = office.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{path}: {}", answer.text);
    }
    for path in ["/", "/nothing", "/streams/No", "/streams/events.keynote/nothing", "/streams/a.b/"]
    {
        let answer = office.get(path).await;
        assert_eq!((answer.status, &answer.json()["status"]), (404, &json!(404)), "{path}");
    }
    let url = format!("http://{}/api/v1/streams", office.replica.admin);
    let deleted = crate::support::answer(office.replica.client.delete(url)).await;
    assert_eq!((deleted.status, &deleted.json()["status"]), (405, &json!(405)));
}
