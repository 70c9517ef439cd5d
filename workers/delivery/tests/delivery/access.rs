//! Who may watch a broadcast that is not for everybody.

use millrace_delivery::settings::Settings;
use millrace_harness::certificate::Certificate;
use millrace_platform::config::Env;
use millrace_platform::playback::sign::Signer;
use millrace_platform::playback::{Claims, OneOrMany};
use millrace_platform::wall;
use tempfile::TempDir;

use crate::support::socket::Client;
use crate::support::{Answer, Replica, World, answer, until};

/// A folder with the file of keys, and replicas that read it.
struct Door {
    world: World,
    folder: TempDir,
}

impl Door {
    fn new() -> Self {
        Self { world: World::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn show(&self, entries: &[String]) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, format!("{{\"keys\":[{}]}}", entries.join(","))).unwrap();
        std::fs::rename(new, self.folder.path().join("keys.json")).unwrap();
    }

    async fn replica(&self, more: &[(&'static str, &str)]) -> Replica {
        let mut variables = self.world.variables(self.world.redis_url());
        let file = self.folder.path().join("keys.json").display().to_string();
        variables.push(("PLAYBACK_KEYS_FILE", file));
        variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let settings = Settings::read(&Env::from_pairs(variables)).unwrap();
        self.world.replica_with(settings).await
    }
}

fn now() -> i64 {
    wall::ms() / 1_000
}

/// For the stream, an hour.
fn claims() -> Claims {
    Claims { exp: now() + 3_600, sub: Some("events.keynote".to_owned()), ..Claims::default() }
}

fn secret(kid: &str) -> Signer {
    Signer::generate(kid).unwrap()
}

fn pair(kid: &str) -> Signer {
    Signer::parse(Certificate::new(1).unwrap().key.as_bytes(), Some(kid)).unwrap()
}

/// With the token in the URL.
async fn show(replica: &Replica, path: &str, token: &str) -> Answer {
    let sign = if path.contains('?') { '&' } else { '?' };
    replica.get(&format!("{path}{sign}token={token}")).await
}

#[tokio::test]
async fn with_a_token_of_either_algorithm_one_comes_from_the_playlist_to_the_media() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..2).await;
    let signers = [secret("hs"), pair("es")];
    door.show(&signers.each_ref().map(|signer| signer.entry(None).unwrap()));
    let replica = door.replica(&[]).await;
    let index = format!("{}/index.m3u8", feed.stream_path());
    for signer in &signers {
        let token = signer.sign(&claims()).unwrap();
        let playlist = show(&replica, &index, &token).await;
        assert_eq!(playlist.status, 200, "{}", playlist.text);
        assert_eq!(playlist.header("cache-control"), "private, max-age=0");
        let named: Vec<_> = playlist.text.lines().filter(|l| l.contains("media.m3u8")).collect();
        assert_eq!(named.len(), 3, "{}", playlist.text);
        for uri in named {
            let uri = uri.split("URI=\"").nth(1).unwrap_or(uri).trim_end_matches('"');
            let path = format!("{}/{uri}", feed.stream_path());
            let media = replica.get(&path).await;
            assert_eq!(media.status, 200, "{path}: {}", media.text);
            assert!(!media.text.contains("token"), "equal for all: {}", media.text);
        }
        let blocking = feed.path("720p", "media.m3u8?_HLS_msn=1");
        let told = show(&replica, &blocking, &token).await;
        assert_eq!(told.header("cache-control"), "private, max-age=12");
    }
    let segment = replica.get(&feed.path("720p", "1-1.m4s")).await;
    assert_eq!(segment.status, 200, "its name is known to those who were let in");
    assert!(segment.header("cache-control").contains("public"));
}

#[tokio::test]
async fn a_token_in_the_header_does_too_and_changes_no_uri() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..2).await;
    let signer = secret("hs");
    door.show(&[signer.entry(None).unwrap()]);
    let replica = door.replica(&[]).await;
    let bearer = format!("Bearer {}", signer.sign(&claims()).unwrap());
    let shown = [("authorization", bearer.as_str())];
    let index = replica.get_with(&format!("{}/index.m3u8", feed.stream_path()), &shown).await;
    assert_eq!(index.status, 200);
    assert!(!index.text.contains("token"), "{}", index.text);
    assert_eq!(replica.get_with(&feed.path("720p", "media.m3u8"), &shown).await.status, 200);
}

#[tokio::test]
async fn dash_leads_to_the_manifest_of_the_broadcast_with_the_token() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..2).await;
    let signer = secret("hs");
    door.show(&[signer.entry(None).unwrap()]);
    let replica = door.replica(&[]).await;
    let current = format!("/dash/{}/manifest.mpd", feed.info.stream);
    let own = format!("/dash/{}/{}.mpd", feed.info.stream, feed.info.broadcast);
    for path in [&current, &own] {
        assert_eq!(replica.get(path).await.status, 401, "{path}");
    }
    let token = signer.sign(&claims()).unwrap();
    // The client follows the redirect.
    let led = show(&replica, &current, &token).await;
    assert_eq!(led.status, 200, "{}", led.text);
    assert!(!led.text.contains("<Location>"), "{}", led.text);
    let asked = show(&replica, &own, &token).await;
    assert_eq!(asked.text, led.text);
    assert_eq!(asked.header("cache-control"), "private, max-age=0");
}

#[tokio::test]
async fn who_shows_no_right_token_is_told_why() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..1).await;
    let own = secret("hs");
    let theirs = secret("theirs");
    let streams = Some(vec!["other.*".to_owned()]);
    door.show(&[own.entry(None).unwrap(), theirs.entry(streams).unwrap()]);
    let replica = door.replica(&[]).await;
    let sign = |claims: Claims| own.sign(&claims).unwrap();
    let ip = |text: &str| Some(OneOrMany::One(text.to_owned()));
    let day = 86_400;
    for (token, status, word) in [
        (sign(claims()), 200, ""),
        (sign(Claims { exp: now() - 1, ..claims() }), 401, "over"),
        (sign(Claims { nbf: Some(now() + 60), ..claims() }), 401, "not yet"),
        (sign(Claims { exp: now() + 2 * day, ..claims() }), 401, "longer"),
        (sign(Claims { sub: Some("events.other".to_owned()), ..claims() }), 403, "stream"),
        (sign(Claims { ip: ip("192.0.2.1"), ..claims() }), 403, "address"),
        (sign(Claims { ip: ip("127.0.0.0/8"), ..claims() }), 200, ""),
        (sign(Claims { path: Some("/dash/".to_owned()), ..claims() }), 403, "path"),
        (theirs.sign(&claims()).unwrap(), 403, "stream"),
        (secret("hs").sign(&claims()).unwrap(), 401, "signature"),
        (secret("new").sign(&claims()).unwrap(), 401, "key"),
        ("x".repeat(5_000), 401, "not a token"),
        (String::new(), 401, "not a token"),
    ] {
        for path in [format!("{}/index.m3u8", feed.stream_path()), feed.path("720p", "media.m3u8")]
        {
            let told = show(&replica, &path, &token).await;
            assert_eq!(told.status, status, "{word}: {}", told.text);
            if status != 200 {
                assert!(told.text.contains(word), "{word}: {}", told.text);
                assert_eq!(told.header("cache-control"), "no-store");
            }
            let challenge = if status == 401 { "Bearer error=\"invalid_token\"" } else { "" };
            assert_eq!(told.header("www-authenticate"), challenge);
        }
    }
    let none = replica.get(&feed.path("720p", "media.m3u8")).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, "Bearer"));
}

#[tokio::test]
async fn beacons_and_websockets_need_one_too() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..1).await;
    let signer = secret("hs");
    door.show(&[signer.entry(None).unwrap()]);
    let replica = door.replica(&[]).await;
    let token = signer.sign(&claims()).unwrap();
    let body = serde_json::json!({"viewer": "a".repeat(32)}).to_string();
    for (query, status) in [(String::new(), 401), (format!("?token={token}"), 204)] {
        let url = format!("http://{}{}/beacon{query}", replica.viewers, feed.stream_path());
        assert_eq!(answer(replica.client.post(url).body(body.clone())).await.status, status);
    }
    let url =
        |query: &str| format!("ws://{}/ws/stream/{}{query}", replica.viewers, feed.info.stream);
    let refused = tokio_tungstenite::connect_async(url("")).await.unwrap_err();
    assert!(refused.to_string().contains("401"), "{refused}");
    tokio_tungstenite::connect_async(url(&format!("?token={token}"))).await.unwrap();
}

#[tokio::test]
async fn the_address_in_a_token_is_the_viewers_behind_trusted_proxies() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..1).await;
    let signer = secret("hs");
    door.show(&[signer.entry(None).unwrap()]);
    let replica = door.replica(&[("DELIVERY_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let ip = Some(OneOrMany::One("198.51.100.7".to_owned()));
    let token = signer.sign(&Claims { ip, ..claims() }).unwrap();
    let path = format!("{}/index.m3u8?token={token}", feed.stream_path());
    for (forwarded, status) in [
        ("198.51.100.7", 200),
        ("203.0.113.9, 198.51.100.7", 200),
        ("198.51.100.7, 203.0.113.9", 403),
    ] {
        let told = replica.get_with(&path, &[("x-forwarded-for", forwarded)]).await;
        assert_eq!(told.status, status, "{forwarded}: {}", told.text);
    }
}

#[tokio::test]
async fn keys_are_changed_without_a_restart_and_a_broken_file_changes_nothing() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..1).await;
    let index = format!("{}/index.m3u8", feed.stream_path());
    let (old, new) = (secret("old"), secret("new"));
    let tokens = [&old, &new].map(|signer| signer.sign(&claims()).unwrap());
    let [of_old, of_new] = &tokens;

    let replica = door.replica(&[]).await;
    let closed = show(&replica, &index, of_old).await;
    assert_eq!(closed.status, 403, "there is no file yet");
    assert!(closed.text.contains("no keys"), "{}", closed.text);

    door.show(&[old.entry(None).unwrap()]);
    until(async || show(&replica, &index, of_old).await.status == 200).await;
    assert_eq!(show(&replica, &index, of_new).await.status, 401);

    door.show(&[old.entry(None).unwrap(), new.entry(None).unwrap()]);
    until(async || show(&replica, &index, of_new).await.status == 200).await;
    assert_eq!(show(&replica, &index, of_old).await.status, 200);

    door.show(&[]);
    until(async || replica.metrics.playback_keys_unread.get() == 1).await;
    assert_eq!(show(&replica, &index, of_old).await.status, 200);
    assert_eq!(replica.metrics.playback_keys.get(), 2);

    door.show(&[new.entry(None).unwrap()]);
    until(async || show(&replica, &index, of_old).await.status == 401).await;
    assert_eq!(show(&replica, &index, of_new).await.status, 200);
    assert_eq!(replica.metrics.playback_keys_unread.get(), 0);
}

#[tokio::test]
async fn without_a_file_of_keys_nobody_watches_and_what_is_public_goes_on() {
    let world = World::new();
    let mut feed = world.closed_feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let index = format!("{}/index.m3u8", feed.stream_path());
    let token = secret("hs").sign(&claims()).unwrap();
    for path in [&index, &feed.path("720p", "media.m3u8")] {
        assert_eq!(show(&replica, path, &token).await.status, 403);
    }
    feed.end(1).await;
    let mut public = world.feed().await;
    public.segments(0..1).await;
    until(async || show(&replica, &index, "anything").await.status == 200).await;
    let playlist = show(&replica, &index, "anything").await;
    assert!(!playlist.text.contains("token"), "{}", playlist.text);
    // What was closed stays closed, from the object store too.
    assert_eq!(replica.get(&feed.path("720p", "media.m3u8")).await.status, 403);
    let late = world.replica().await;
    assert_eq!(late.get(&feed.path("720p", "media.m3u8")).await.status, 403);
}

#[tokio::test]
async fn a_websocket_from_when_all_could_watch_is_closed_before_it_hears_of_another_broadcast() {
    let door = Door::new();
    let mut open = door.world.feed().await;
    open.segments(0..1).await;
    let replica = door.replica(&[]).await;
    let mut client = Client::open(&replica, &door.world.stream).await.unwrap();
    assert_eq!(client.until("stream_status").await["state"], "live");
    open.end(1).await;
    assert_eq!(client.until("stream_status").await["state"], "ended");
    let mut closed = door.world.closed_feed().await;
    closed.segments(0..1).await;
    assert_eq!(client.end_unheard().await, 4401);
}

#[tokio::test]
async fn who_guesses_an_id_is_not_told_whether_it_is_too_high() {
    let door = Door::new();
    let mut feed = door.world.closed_feed().await;
    feed.segments(0..1).await;
    let mut settings = door.world.settings(door.world.redis_url());
    // One that waits needs the one place there is.
    settings.limits.max_waiters = 0;
    let replica = door.world.replica_with(settings).await;
    let own = feed.info.broadcast.0.as_u128();
    for guess in [own - 1, own + 1] {
        let guess = uuid::Uuid::from_u128(guess);
        let path = format!("{}/{guess}/720p/media.m3u8", feed.stream_path());
        let answer = replica.get(&path).await;
        assert_eq!(answer.status, 404, "{}", answer.text);
    }
    // One of a later time may be known to another replica already.
    let later = uuid::Uuid::from_u128(own + (1 << 80));
    let path = format!("{}/{later}/720p/media.m3u8", feed.stream_path());
    assert_eq!(replica.get(&path).await.status, 503);
}
