//! Who is refused, what they are told, and that nobody else is harmed.

use std::time::Duration;

use crate::support::publisher::{Answer, Publisher};
use crate::support::{Ingest, World, tell};
use millrace_media::id::PublishKey;
use millrace_media::record::Record;
use millrace_platform::keys::generate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn refused(ingest: &Ingest, app: &str, name: &str) -> String {
    match Publisher::ask(&ingest.rtmp, app, name).await {
        Answer::Refused(reason) => reason,
        Answer::Accepted(_) => panic!("accepted"),
    }
}

fn with_other_secret(key: &PublishKey) -> PublishKey {
    PublishKey::new(key.id().clone(), generate(&mut rand::rng()).unwrap().secret().to_owned())
        .unwrap()
}

#[tokio::test]
async fn a_wrong_key_is_refused_counted_and_not_logged() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let wrong = with_other_secret(&world.key);
    let unknown = generate(&mut rand::rng()).unwrap();
    for name in [wrong.reveal(), unknown.reveal(), "hello".to_owned(), String::new()] {
        assert_eq!(refused(&ingest, "live", &name).await, "NetStream.Publish.BadName");
    }
    ingest.metric("millrace_ingest_refused_total{reason=\"wrong_key\"} 4").await;
    ingest.line("The stream key is wrong");
    // A wrong secret locks nobody out.
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    let log = ingest.log();
    for secret in [wrong.secret(), unknown.secret(), world.key.secret()] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn an_unknown_application_is_refused_with_the_right_one() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let reason = refused(&ingest, &world.key.reveal(), "x").await;
    assert!(reason.contains("/live/<stream key>"), "{reason}");
    ingest.metric("millrace_ingest_faults_total{reason=\"unknown_app\"} 1").await;
    assert!(!ingest.log().contains(world.key.secret()));
}

#[tokio::test]
async fn a_key_of_another_stream_is_refused() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let other = generate(&mut rand::rng()).unwrap();
    world.store(&other, &"events.other".parse().unwrap()).await;
    // The second time by the cached verdict, if there is one.
    for _ in 0..2 {
        assert_eq!(refused(&ingest, "live", &other.reveal()).await, "NetStream.Publish.BadName");
    }
    ingest.metric("millrace_ingest_refused_total{reason=\"other_stream\"} 2").await;
}

#[tokio::test]
async fn a_revoked_key_is_refused() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    world.keys.revoke(world.key.id()).await.unwrap();
    assert_eq!(refused(&ingest, "live", &world.key.reveal()).await, "NetStream.Publish.BadName");
    ingest.metric("millrace_ingest_refused_total{reason=\"revoked_key\"} 1").await;
}

#[tokio::test]
async fn revoking_the_key_of_a_publisher_ends_its_broadcast() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    world.keys.revoke(world.key.id()).await.unwrap();
    world.verdicts.revoke(world.key.id()).await.unwrap();
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.BadName"));
    let records = world.records_when(|r| tell(r).last().unwrap().contains("end")).await;
    assert_eq!(tell(&records).last().unwrap(), "1 end KeyRevoked");
}

#[tokio::test]
async fn a_cached_verdict_admits_and_postgres_ends_what_it_should_not_have() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
    ingest.line("broadcast ended");
    // Nobody announces it.
    world.keys.revoke(world.key.id()).await.unwrap();
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.BadName"));
    assert_eq!(refused(&ingest, "live", &world.key.reveal()).await, "NetStream.Publish.BadName");
}

#[tokio::test]
async fn without_redis_postgres_decides_and_without_postgres_a_known_key_starts() {
    let world = World::new().await;
    let ingest = world.ingest(&[("REDIS_URL", "redis://127.0.0.1:1")]);
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
    drop(ingest);
    let ingest = world.ingest(&[]);
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
    drop(ingest);

    let away = "postgres://someone:hunter2@127.0.0.1:1/none";
    let ingest = world.ingest(&[("DATABASE_URL", away)]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    let unknown = generate(&mut rand::rng()).unwrap();
    assert_eq!(refused(&ingest, "live", &unknown.reveal()).await, "NetStream.Publish.Failed");
    let line = ingest.line("DATABASE_URL");
    assert!(line.contains("127.0.0.1:1"), "{line}");
    assert!(!ingest.log().contains("hunter2"));
}

#[tokio::test]
async fn without_kafka_it_says_so_is_not_ready_and_refuses_with_a_reason() {
    let world = World::new().await;
    let ingest = world.ingest(&[("KAFKA_BROKERS", "127.0.0.1:1")]);
    let line = ingest.line("KAFKA_BROKERS");
    assert!(line.contains("127.0.0.1:1"), "{line}");
    assert_eq!(ingest.get("/health/live").await.0, 200);
    let (status, body) = ingest.get("/health/ready").await;
    assert_eq!(status, 503, "{body}");
    let reason = refused(&ingest, "live", &world.key.reveal()).await;
    assert_eq!(reason, "NetStream.Publish.Failed");
}

#[tokio::test]
async fn a_peer_that_speaks_no_rtmp_is_closed_and_the_publisher_goes_on() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0x16; 3000], huge_message()] {
        let mut socket = TcpStream::connect(&ingest.rtmp).await.unwrap();
        socket.write_all(&garbage).await.unwrap();
        closed(&mut socket, Duration::from_secs(5)).await;
    }
    ingest.metric("millrace_ingest_faults_total{reason=\"handshake\"} 2").await;
    ingest.metric("millrace_ingest_faults_total{reason=\"malformed\"} 1").await;
    publisher.gops(0, 1).await;
    world.records_when(|r| tell(r).contains(&"1 video key".to_owned())).await;
}

#[tokio::test]
async fn a_peer_that_stops_inside_the_handshake_is_closed() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut socket = TcpStream::connect(&ingest.rtmp).await.unwrap();
    socket.write_all(&[3; 700]).await.unwrap();
    closed(&mut socket, Duration::from_secs(30)).await;
    ingest.metric("millrace_ingest_faults_total{reason=\"handshake_timeout\"} 1").await;
}

#[tokio::test]
async fn strangers_who_hold_every_connection_do_not_keep_a_publisher_out() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut strangers = Vec::new();
    for _ in 0..64 {
        strangers.push(TcpStream::connect(&ingest.rtmp).await.unwrap());
    }
    ingest.metric("millrace_ingest_connections 64").await;
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    world.records_when(|r| tell(r).contains(&"1 video key".to_owned())).await;
    // Nor do they push out who publishes.
    for _ in 0..70 {
        strangers.push(TcpStream::connect(&ingest.rtmp).await.unwrap());
    }
    publisher.gops(1, 1).await;
    let keys = |r: &[Record]| tell(r).iter().filter(|t| *t == "1 video key").count();
    world.records_when(|r| keys(r) >= 2).await;
}

#[tokio::test]
async fn enhanced_rtmp_is_refused_with_a_reason() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.video(0, b"\x90hvc1\x01\x02".to_vec()).await;
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Rejected"));
    ingest.line("H.264 video and AAC audio");
    ingest.metric("millrace_ingest_faults_total{reason=\"unsupported_codec\"} 1").await;
}

#[tokio::test]
async fn audio_alone_is_refused_after_a_while() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    let start = tokio::time::Instant::now();
    let mut number = 0;
    while start.elapsed() < Duration::from_secs(11) {
        publisher.audio(number * 500, vec![0xaf, 1, 2]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        number += 1;
    }
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Rejected"));
    ingest.metric("millrace_ingest_refused_total{reason=\"audio_only\"} 1").await;
}

#[tokio::test]
async fn a_missing_setting_ends_the_process_with_its_name() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_millrace-ingest"))
        .env_clear()
        .env("RTMP_PORT", "many")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for name in ["STREAM_ID", "DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS", "RTMP_PORT"] {
        assert!(said.contains(name), "{said}");
    }
}

/// A whole handshake and the header of a message of the largest length there
/// is, in chunks of 3 GB.
fn huge_message() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    bytes.extend([2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
    bytes.extend(3_000_000_000_u32.to_be_bytes());
    bytes.extend([4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0]);
    bytes
}

/// Reads until the server has closed the connection.
async fn closed(socket: &mut TcpStream, patience: Duration) {
    let mut buffer = [0; 4096];
    let read = async { while socket.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(patience, read).await.expect("the connection stays open");
}
