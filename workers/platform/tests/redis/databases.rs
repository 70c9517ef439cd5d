//! The four databases: where they may be, and what they hold.

use millrace_media::id::{BroadcastId, PublishKey, StreamId};
use millrace_media::published::InitHash;
use millrace_platform::config::{Env, Installation, RedisConfig};
use millrace_platform::keys::{Announcements, Heard, Verdict, Verdicts};
use millrace_platform::redis::media::{Lease, MediaWriter};
use millrace_platform::redis::metrics::{Amiss, Counters, MetricsData, MetricsStore, Snapshot};
use millrace_platform::redis::viewers::{Report, Sign, Viewers};
use millrace_platform::redis::{Redis, RedisError};
use millrace_platform::tls;
use uuid::Uuid;

use crate::server::{Server, config, installation};
use crate::viewers::report;

fn stream() -> StreamId {
    "events.keynote".parse().unwrap()
}

/// Something in every database, through the modules.
async fn run_a_stream_through(config: &RedisConfig, installation: &Installation) {
    let open = |server, name| Redis::connect(server, name).unwrap();
    let key: PublishKey = "abcd1234_0123456789abcdef".parse().unwrap();
    let verdicts = Verdicts::new(open(&config.keys, "keys"), installation.clone());
    verdicts.put(key.id(), &Verdict::right(&key, stream(), None)).await.unwrap();
    verdicts.put(&"wrong".parse().unwrap(), &Verdict::Wrong).await.unwrap();

    let broadcast = BroadcastId(Uuid::now_v7());
    let lease = Lease { broadcast, run: millrace_media::id::Run(1), token: Uuid::new_v4() };
    let writer = MediaWriter::new(open(&config.media, "media"), installation, &stream(), lease);
    writer.claim().await.unwrap();
    let bytes = bytes::Bytes::from_static(b"init");
    writer.put_init(&InitHash::of(&bytes), &bytes).await.unwrap();
    crate::viewers::publish(&writer, broadcast, &stream()).await;

    let metrics = MetricsStore::new(open(&config.metrics, "metrics"), installation.clone());
    let counted = Counters { ingress_bytes: 7, ..Counters::default() };
    let counted = [(stream(), counted)];
    metrics.put_live("ingest-1", 1_000, &counted).await.unwrap();
    metrics.put_counters("delivery-1", 1_000, &counted).await.unwrap();
    let data = MetricsData {
        stream_id: stream(),
        concurrent_viewers: 0,
        ingress_bitrate_mbps: 0.0,
        egress_bitrate_mbps: 0.0,
        quality_distribution: [].into(),
        dropped_frames: 0,
        buffering_events: 0,
    };
    let told = Some(broadcast);
    let snapshot = Snapshot {
        second: 1_000,
        broadcast: told,
        data,
        turnover: None,
        log_lag_ms: None,
        amiss: Amiss::default(),
    };
    metrics.put_snapshots(&[snapshot]).await.unwrap();

    let viewers = Viewers::new(open(&config.viewers, "viewers"), installation.clone());
    let mut seen = report("somebody", broadcast, Some("720p"));
    seen.covers = Some("somebody-guessed".parse().unwrap());
    let left = Report { sign: Sign::Left, ..report("who-left", broadcast, None) };
    viewers.report(&stream(), &[seen, left], 1_000).await.unwrap();
    viewers.salt(&stream(), "salt").await.unwrap();
}

#[tokio::test]
async fn every_key_has_the_prefix_the_streams_tag_and_a_time_to_live() {
    let server = Server::start();
    run_a_stream_through(&config(&server), &installation()).await;
    let day = 24 * 60 * 60;
    let mut found = Vec::new();
    for database in 0..4 {
        let mut client = server.client(database).await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut client).await.unwrap();
        for key in keys {
            let life: i64 = redis::cmd("TTL").arg(&key).query_async(&mut client).await.unwrap();
            let kind = key.strip_prefix("blue:").unwrap_or_else(|| panic!("{key}: no prefix"));
            let kind = kind.split([':', '{']).next().unwrap().to_owned();
            let longest = match (database, kind.as_str()) {
                (0, "key") | (1, "broadcast" | "playlist" | "init" | "writer") | (3, "salt") => day,
                (1, "part" | "segment") => 600,
                (2, "metrics") => 5,
                (2, "metrics-live") => 10,
                (3, "viewers" | "visits" | "rungs" | "covered" | "left" | "turnover") => 60,
                other => panic!("{key}: {other:?} is not in docs/architecture.md"),
            };
            assert!((1..=longest).contains(&life), "{key} lives {life} s");
            let tagged = key.contains("{events.keynote}");
            assert_eq!(tagged, !matches!(kind.as_str(), "key" | "metrics-live"), "{key}");
            found.push(kind);
        }
    }
    found.sort();
    found.dedup();
    let all = [
        "broadcast",
        "covered",
        "init",
        "key",
        "left",
        "metrics",
        "metrics-live",
        "part",
        "playlist",
        "rungs",
        "salt",
        "segment",
        "turnover",
        "viewers",
        "visits",
        "writer",
    ];
    assert_eq!(found, all);
}

#[tokio::test]
async fn each_database_may_be_a_server_of_its_own() {
    let servers = [Server::start(), Server::start(), Server::start(), Server::start()];
    let [keys, media, metrics, viewers] = &servers;
    let env = Env::from_pairs([
        ("REDIS_KEYS_URL", keys.url()),
        ("REDIS_MEDIA_URL", media.url()),
        ("REDIS_METRICS_URL", metrics.url()),
        ("REDIS_VIEWERS_URL", viewers.url()),
    ]);
    run_a_stream_through(&RedisConfig::read(&env).unwrap(), &installation()).await;
    for (server, kind) in servers.iter().zip(["key", "segment", "metrics", "viewers"]) {
        let mut client = server.client(0).await;
        let mine: Vec<String> = redis::cmd("KEYS")
            .arg(format!("blue:{kind}:*"))
            .query_async(&mut client)
            .await
            .unwrap();
        assert!(!mine.is_empty(), "{kind} is not where its URL says");
    }
}

#[tokio::test]
async fn a_password_is_given_and_a_wrong_one_is_refused_without_being_shown() {
    let server = Server::with_password("hunter2");
    run_a_stream_through(&config(&server), &installation()).await;
    let wrong = server.url().replace("hunter2", "hunter3");
    let wrong = RedisConfig::read(&Env::from_pairs([("REDIS_URL", wrong)])).unwrap();
    let error = Redis::connect(&wrong.keys, "keys").unwrap().ping().await.unwrap_err();
    assert!(matches!(error, RedisError::Refused { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
}

#[tokio::test]
async fn tls_works_with_the_ca_of_the_setting_and_not_without() {
    tls::install_provider();
    let Some(server) = Server::with_tls() else {
        eprintln!("this redis-server has no TLS: not tested");
        return;
    };
    let trusting =
        [("REDIS_URL", server.url()), ("REDIS_CA_FILE", server.ca_file().display().to_string())];
    let trusting = RedisConfig::read(&Env::from_pairs(trusting)).unwrap();
    run_a_stream_through(&trusting, &installation()).await;
    // What follows a playlist and what hears of revoked keys connect by themselves.
    let redis = Redis::connect(&trusting.keys, "keys").unwrap();
    let mut revoked = Announcements::new(redis, &installation());
    let heard = tokio::time::timeout(crate::server::PATIENCE, revoked.next()).await;
    assert_eq!(heard, Ok(Heard::Listening));

    let strange = RedisConfig::read(&Env::from_pairs([("REDIS_URL", server.url())])).unwrap();
    Redis::connect(&strange.keys, "keys").unwrap().ping().await.unwrap_err();

    let nowhere = [("REDIS_URL", server.url()), ("REDIS_CA_FILE", "/nowhere.pem".to_owned())];
    let nowhere = RedisConfig::read(&Env::from_pairs(nowhere)).unwrap();
    let error = Redis::connect(&nowhere.keys, "keys").unwrap_err();
    assert!(error.to_string().contains("REDIS_CA_FILE"), "{error}");
}

#[tokio::test]
async fn scripts_are_loaded_again_when_the_server_has_lost_them() {
    let server = Server::start();
    let config = config(&server);
    run_a_stream_through(&config, &installation()).await;
    let viewers = Viewers::new(Redis::connect(&config.viewers, "viewers").unwrap(), installation());
    viewers.audiences(&[stream()], 1_000).await.unwrap();
    let mut client = server.client(0).await;
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut client).await.unwrap();
    let counted = viewers.audiences(&[stream(), stream()], 1_000).await.unwrap();
    assert_eq!(counted.iter().map(|a| a.viewers).collect::<Vec<_>>(), [1, 1]);
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut client).await.unwrap();
    run_a_stream_through(&config, &installation()).await;
}
