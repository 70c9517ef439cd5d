//! A cache in front: a real one, and what it must be told.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use millrace_delivery::settings::Settings;
use millrace_harness::playlist::{Media, resolve};
use millrace_platform::config::Env;

use crate::support::feed::{Feed, PARTS};
use crate::support::nginx::{Nginx, Seen};
use crate::support::{Answer, Replica, World, answer, until};

const SECRET: &str = "0123456789abcdef";
const VIEWERS: usize = 8;

fn settings(world: &World, more: &[(&'static str, &str)]) -> Settings {
    let mut variables = world.variables(world.redis_url());
    variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Settings::read(&Env::from_pairs(variables)).unwrap()
}

/// A player of the 720p rendition that says in CMCD who it is.
struct Player {
    client: reqwest::Client,
    name: String,
    asked: usize,
    had: BTreeSet<String>,
}

impl Player {
    async fn get(&mut self, url: &str) -> Answer {
        self.asked += 1;
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}CMCD=ot%3Dv%2Csid%3D%22{}%22", self.name);
        answer(self.client.get(url)).await
    }

    /// Media that it did not have yet.
    async fn fetch(&mut self, playlist: &str, uri: &str) {
        let url = resolve(playlist, uri).unwrap();
        if self.had.insert(url.clone()) {
            assert_eq!(self.get(&url).await.status, 200, "{url}");
        }
    }

    /// From the multivariant playlist to the end of the broadcast.
    async fn play(mut self, index: String, media: String) -> Self {
        assert_eq!(self.get(&index).await.status, 200);
        let mut text = self.get(&media).await.text;
        loop {
            let list = Media::parse(&text).unwrap();
            for segment in &list.segments {
                self.fetch(&media, segment.map.as_ref().unwrap()).await;
                self.fetch(&media, &segment.uri).await;
            }
            for part in &list.open_parts {
                self.fetch(&media, &part.uri).await;
            }
            if list.ended {
                return self;
            }
            let (msn, part) = list.next().unwrap();
            let next = format!("{media}?_HLS_msn={msn}&_HLS_part={part}");
            text = self.get(&next).await.text;
        }
    }
}

/// Publishes two segments, a part as soon as somebody waits for it, and ends.
async fn publish(feed: &mut Feed, replica: &Replica) {
    for msn in 2..4 {
        for part in 0..PARTS {
            until(async || replica.metrics.waiters.get() > 0).await;
            feed.part(msn, part).await;
        }
        feed.segment(msn).await;
    }
    feed.end(4).await;
}

/// What is asked for, without who asks.
fn object(seen: &Seen) -> String {
    let (path, query) = seen.uri.split_once('?').unwrap();
    let directives: Vec<_> = query.split('&').filter(|p| p.starts_with("_HLS_")).collect();
    format!("{path}?{}", directives.join("&"))
}

#[tokio::test]
async fn behind_a_cache_each_object_is_asked_of_us_once_however_many_watch() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica_with(settings(&world, &[("ORIGIN_SECRET", SECRET)])).await;
    let nginx = Nginx::before(replica.viewers, SECRET).await;
    let here = |path: &str| format!("http://{}{path}", nginx.address);
    let index = here(&format!("{}/index.m3u8", feed.stream_path()));
    let media = here(&feed.path("720p", "media.m3u8"));
    let players = (0..VIEWERS).map(|n| Player {
        client: reqwest::Client::new(),
        name: format!("viewer-{n}"),
        asked: 0,
        had: BTreeSet::new(),
    });
    let plays = join_all(players.map(|player| player.play(index.clone(), media.clone())));
    let (played, ()) = tokio::join!(plays, publish(&mut feed, &replica));

    for player in &played {
        for msn in 0..4 {
            let segment = here(&feed.path("720p", &format!("{msn}-1.m4s")));
            assert!(player.had.contains(&segment), "{} lacks {segment}", player.name);
        }
    }
    let seen = nginx.seen(played.iter().map(|player| player.asked).sum()).await;
    let asked: Vec<_> = seen.iter().filter(|seen| seen.upstream.is_some()).collect();
    let requests: u64 = count_requests(&replica);
    assert_eq!(u64::try_from(asked.len()).unwrap(), requests, "what it tells is what reached us");
    let mut times: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for seen in asked {
        times.entry(object(seen)).or_default().push(&seen.cache);
    }
    for (object, times) in &times {
        // What changes is asked for again when it is no longer fresh, and only then.
        let changes = object.ends_with("m3u8?");
        let again = times.iter().filter(|why| !["EXPIRED", "REVALIDATED"].contains(why)).count();
        assert!(again == 1 && (changes || times.len() == 1), "{object}: {times:?}");
    }
    // The last segments' parts came one by one, to each of the viewers.
    assert!(times.keys().filter(|object| object.contains("_HLS_part")).count() > 10, "{times:?}");
    assert!(seen.len() > times.len() * VIEWERS / 2, "{} for {}", seen.len(), times.len());
}

/// Requests that the replica counted.
fn count_requests(replica: &Replica) -> u64 {
    let mut registry = prometheus_client::registry::Registry::default();
    replica.metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("delivery_requests_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn who_goes_past_the_cdn_gets_no_media_and_no_playlist() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let previous = "fedcba9876543210";
    let secrets = [("ORIGIN_SECRET", SECRET), ("ORIGIN_SECRET_PREVIOUS", previous)];
    let replica = world.replica_with(settings(&world, &secrets)).await;
    for path in [
        format!("{}/index.m3u8", feed.stream_path()),
        feed.path("720p", "media.m3u8"),
        feed.path("720p", "0-1.m4s"),
        format!("/dash/{}/manifest.mpd", feed.info.stream),
    ] {
        let past = replica.get(&path).await;
        assert_eq!((past.status, past.header("cache-control")), (403, "no-store"), "{path}");
        assert_eq!(past.header("access-control-allow-origin"), "*");
        let wrong = [("x-millrace-origin-secret", "0123456789abcdeX")];
        assert_eq!(replica.get_with(&path, &wrong).await.status, 403, "{path}");
        for secret in [SECRET, previous] {
            let shown = [("x-millrace-origin-secret", secret)];
            assert_eq!(replica.get_with(&path, &shown).await.status, 200, "{path}");
        }
    }
    assert_eq!(replica.get("/watch/events.keynote").await.status, 200);

    let all = [("ORIGIN_SECRET", SECRET), ("ORIGIN_COVERS", "all")];
    let closed = world.replica_with(settings(&world, &all)).await;
    for path in ["/", "/watch/events.keynote", "/ws/stream/events.keynote"] {
        assert_eq!(closed.get(path).await.status, 403, "{path}");
    }
    let health = format!("http://{}/health/live", closed.admin);
    assert_eq!(answer(closed.client.get(health)).await.status, 200);
}

#[tokio::test]
async fn every_answer_tells_caches_how_long_it_is_good() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    feed.part(2, 0).await;
    let replica = world.replica().await;
    let current = "public, max-age=0, s-maxage=1";
    let media = |query: &str| feed.path("720p", &format!("media.m3u8{query}"));
    let forever = "public, max-age=31536000, immutable";
    let fleeting = "public, max-age=1";
    let dash = format!("/dash/{}", feed.info.stream);
    let older = "00000000-0000-7000-8000-000000000000";
    for (path, status, told) in [
        (format!("{}/index.m3u8", feed.stream_path()), 200, current),
        (media(""), 200, current),
        (media("?_HLS_skip=YES"), 200, current),
        (media("?_HLS_msn=2&_HLS_part=0"), 200, "public, max-age=12"),
        (media("?_HLS_msn=1&_HLS_skip=YES"), 200, "public, max-age=12"),
        (media("?_HLS_msn=99"), 400, fleeting),
        (media("?_HLS_msn=2"), 503, fleeting),
        (feed.path("720p", "1-1.m4s"), 200, forever),
        (feed.path("720p", "2.0-1.m4s"), 200, forever),
        (feed.path("720p", "77-1.m4s"), 404, fleeting),
        (format!("{}/{older}/720p/media.m3u8", feed.stream_path()), 404, fleeting),
        ("/hls/events.nobody/index.m3u8".to_owned(), 404, fleeting),
        (format!("{dash}/manifest.mpd"), 200, current),
        (format!("{dash}/{}.mpd", feed.info.broadcast), 200, current),
        (format!("{dash}/time"), 200, "no-store"),
        ("/".to_owned(), 200, "public, max-age=0, s-maxage=10"),
        ("/watch/events.keynote".to_owned(), 200, "public, max-age=0, s-maxage=10"),
        ("/watch/nodot".to_owned(), 404, fleeting),
        ("/assets/none.js".to_owned(), 404, fleeting),
        ("/nothing".to_owned(), 404, "no-store"),
        (format!("{}/beacon", feed.stream_path()), 405, "no-store"),
    ] {
        let answer = replica.get_with(&path, &[("origin", "https://other.example")]).await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, told), "{path}");
        assert!(!answer.headers.contains_key("set-cookie"), "{path}");
        for vary in answer.headers.get_all("vary") {
            assert_eq!(vary, "accept-encoding", "{path}");
        }
    }
    let beyond = replica.get_with(&feed.path("720p", "1-1.m4s"), &[("range", "bytes=9999-")]).await;
    assert_eq!((beyond.status, beyond.header("cache-control")), (416, "no-store"));
    feed.end(3).await;
    let media = feed.path("720p", "media.m3u8");
    until(async || replica.get(&media).await.header("cache-control") == "public, max-age=60").await;
    assert!(replica.get(&media).await.text.contains("ENDLIST"));
    let index = replica.get(&format!("{}/index.m3u8", feed.stream_path())).await;
    assert_eq!(index.header("cache-control"), current, "another broadcast may follow");
}
