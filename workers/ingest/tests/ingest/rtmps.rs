//! RTMPS: publishers behind TLS, certificates that change, and strangers.

use std::process::Command;
use std::time::{Duration, Instant};

use millrace_harness::certificate::{Certificate, Mount};
use millrace_media::record::Record;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Ingest, PATIENCE, World, tell, tls};

/// An ingest that speaks TLS, its certificate, and the folder of that.
struct Secure {
    world: World,
    ingest: Ingest,
    certificate: Certificate,
    mount: Mount,
}

impl Secure {
    async fn new() -> Self {
        Self::with(&Certificate::new(30).unwrap(), &[]).await
    }

    async fn with(certificate: &Certificate, settings: &[(&str, &str)]) -> Self {
        let (world, certificate) = (World::new().await, certificate.clone());
        let mount = Mount::new(&certificate).unwrap();
        let [cert, key] = ["tls.crt", "tls.key"].map(|n| mount.path(n).display().to_string());
        let files = [("RTMPS_CERT_FILE", cert.as_str()), ("RTMPS_KEY_FILE", &key)];
        let ingest = world.ingest(&[&files, settings].concat());
        Self { world, ingest, certificate, mount }
    }

    /// Shows another certificate from now on.
    fn show(&mut self, certificate: &Certificate) {
        self.mount.show(&certificate.certificate, &certificate.key).unwrap();
    }

    /// Waits until new handshakes show this one.
    async fn shows(&self, certificate: &Certificate) {
        let start = Instant::now();
        while !tls::shows(&self.ingest.rtmp, certificate).await {
            assert!(start.elapsed() < PATIENCE, "it is not shown");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn keyframes(&self, epoch: u64, count: usize) {
        let word = format!("{epoch} video key");
        let enough = |r: &[Record]| tell(r).iter().filter(|w| **w == word).count() >= count;
        self.world.records_when(enough).await;
    }
}

#[tokio::test]
async fn ffmpeg_publishes_over_rtmps_and_no_plain_port_is_open() {
    let secure = Secure::new().await;
    let url = format!("rtmps://{}/live/{}", secure.ingest.rtmp, secure.world.key.reveal());
    let output = tokio::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"])
        .args(["-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-f", "flv", &url])
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("ffmpeg hangs").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    secure.keyframes(1, 3).await;
    let log = secure.ingest.log();
    assert!(log.contains("rtmps=") && !log.contains(" rtmp="), "{log}");
    assert!(!log.contains(secure.world.key.secret()), "{log}");
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let secure = Secure::with(&Certificate::new(30).unwrap(), &[("TAKEOVER", "Always")]).await;
    let key = secure.world.key.reveal();
    for (epoch, version, expected) in
        [(1, &TLS12, ProtocolVersion::TLSv1_2), (2, &TLS13, ProtocolVersion::TLSv1_3)]
    {
        let (mut publisher, spoken) =
            tls::publish(&secure.ingest.rtmp, &secure.certificate, &[version], &key).await;
        assert_eq!(spoken, expected);
        publisher.configs().await;
        publisher.gops(0, 20).await;
        secure.keyframes(epoch, 20).await;
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_next_and_the_live_connection_stays() {
    let mut secure = Secure::new().await;
    let key = secure.world.key.reveal();
    let (mut publisher, _) =
        tls::publish(&secure.ingest.rtmp, &secure.certificate, &[&TLS13], &key).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    secure.keyframes(1, 1).await;
    let new = Certificate::new(60).unwrap();
    secure.show(&new);
    secure.shows(&new).await;
    assert!(!tls::shows(&secure.ingest.rtmp, &secure.certificate).await);
    publisher.gops(1, 2).await;
    secure.keyframes(1, 3).await;
    secure.ingest.line("a new certificate is in use");
    secure.ingest.metric("millrace_ingest_certificate_reloads_total 1").await;
}

#[tokio::test]
async fn a_changed_certificate_is_seen_although_nobody_connects() {
    let mut secure = Secure::new().await;
    let name = "millrace_ingest_certificate_expiry_timestamp_seconds";
    let before = secure.ingest.count(name).await;
    secure.show(&Certificate::new(60).unwrap());
    let start = Instant::now();
    while secure.ingest.count(name).await < before + 29 * 24 * 3_600 {
        assert!(start.elapsed() < PATIENCE, "it is not seen");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_broken_pair_keeps_the_old_certificate_and_is_told_once() {
    let mut secure = Secure::new().await;
    let (old, new) = (secure.certificate.clone(), Certificate::new(60).unwrap());
    let half = &new.certificate[..new.certificate.len() / 2];
    let failures = "millrace_ingest_certificate_reload_failures_total";
    for (count, certificate, key, says) in [
        (1, half, &new.key, "tls.crt holds no certificate"),
        (2, &new.certificate, &old.key, "is not that of the certificate in"),
        (3, &new.certificate, &"nothing".to_owned(), "tls.key holds no private key"),
    ] {
        secure.mount.show(certificate, key).unwrap();
        // Seen by the look before a handshake, and seen again.
        let start = Instant::now();
        while secure.ingest.count(failures).await < count {
            assert!(start.elapsed() < PATIENCE, "{}", secure.ingest.log());
            assert!(tls::shows(&secure.ingest.rtmp, &old).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let line = secure.ingest.line("the certificate stays the old one");
        assert!(line.contains(says), "{line}");
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert!(tls::shows(&secure.ingest.rtmp, &old).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(secure.ingest.count(failures).await, 3);
    secure.show(&new);
    secure.shows(&new).await;
    assert!(!secure.ingest.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_warned_of() {
    let secure = Secure::with(&Certificate::new(6).unwrap(), &[]).await;
    assert!(secure.ingest.log().contains("the RTMPS certificate expires within"));
}

#[tokio::test]
async fn a_certificate_that_is_good_for_longer_is_not() {
    let secure = Secure::with(&Certificate::new(8).unwrap(), &[]).await;
    assert!(!secure.ingest.log().contains("expires"), "{}", secure.ingest.log());
}

#[tokio::test]
async fn what_is_no_tls_is_closed_and_told_and_the_publisher_goes_on() {
    let secure = Secure::new().await;
    let key = secure.world.key.reveal();
    let (mut publisher, _) =
        tls::publish(&secure.ingest.rtmp, &secure.certificate, &[&TLS13], &key).await;
    publisher.configs().await;
    // The first bytes of RTMP, and a browser's.
    for said in [vec![3; 1_537], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()] {
        let mut socket = TcpStream::connect(&secure.ingest.rtmp).await.unwrap();
        socket.write_all(&said).await.unwrap();
        closed(&mut socket).await;
    }
    secure.ingest.metric("millrace_ingest_faults_total{reason=\"tls_plain\"} 2").await;
    let line = secure.ingest.line("the peer speaks no TLS");
    assert!(line.contains("INFO") && line.contains("rtmps://"), "{line}");
    // Who trusts another certificate says so.
    let other = Certificate::new(30).unwrap();
    assert!(tls::connect(&secure.ingest.rtmp, &other, &[&TLS12]).await.is_err());
    secure.ingest.line("the peer refuses TLS");
    // Many fill no log.
    for _ in 0..30 {
        let mut socket = TcpStream::connect(&secure.ingest.rtmp).await.unwrap();
        socket.write_all(&[3; 1_537]).await.unwrap();
        closed(&mut socket).await;
    }
    secure.ingest.metric("millrace_ingest_faults_total{reason=\"tls_plain\"} 32").await;
    let told = |line: &&str| line.contains("speaks no TLS") && !line.contains("DEBUG");
    assert!(secure.ingest.log().lines().filter(told).count() <= 10);
    assert!(!secure.ingest.log().contains("rustls"), "the library tells of it too");
    publisher.gops(0, 1).await;
    secure.keyframes(1, 1).await;
}

#[tokio::test]
async fn who_says_nothing_before_or_behind_tls_is_closed() {
    let secure = Secure::new().await;
    let address = &secure.ingest.rtmp;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut inside = TcpStream::connect(address).await.unwrap();
    // The header of a hello that never comes.
    inside.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let mut behind = tls::connect(address, &secure.certificate, &[&TLS13]).await.unwrap();
    tokio::join!(closed(&mut silent), closed(&mut inside), closed(&mut behind));
    secure.ingest.metric("millrace_ingest_faults_total{reason=\"tls_timeout\"} 2").await;
    secure.ingest.metric("millrace_ingest_faults_total{reason=\"handshake_timeout\"} 1").await;
    secure.ingest.metric("millrace_ingest_connections 0").await;
}

#[tokio::test]
async fn silent_tls_connections_do_not_keep_a_publisher_out() {
    let secure = Secure::with(&Certificate::new(30).unwrap(), &[("TAKEOVER", "Always")]).await;
    let (address, key) = (&secure.ingest.rtmp, secure.world.key.reveal());
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    secure.ingest.metric("millrace_ingest_connections 64").await;
    let (_first, _) = tls::publish(address, &secure.certificate, &[&TLS13], &key).await;
    let mut behind = Vec::new();
    for _ in 0..70 {
        behind.push(tls::connect(address, &secure.certificate, &[&TLS13]).await.unwrap());
    }
    let (mut second, _) = tls::publish(address, &secure.certificate, &[&TLS13], &key).await;
    second.configs().await;
    second.gops(0, 1).await;
    secure.keyframes(2, 1).await;
}

#[tokio::test]
async fn a_stopping_process_tells_a_publisher_behind_tls_why() {
    let secure = Secure::new().await;
    let key = secure.world.key.reveal();
    let (mut publisher, _) =
        tls::publish(&secure.ingest.rtmp, &secure.certificate, &[&TLS13], &key).await;
    publisher.configs().await;
    assert_eq!(secure.ingest.terminate().await, 0);
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Failed"));
}

#[test]
fn files_that_can_not_be_used_end_the_process_with_their_names() {
    let certificate = Certificate::new(30).unwrap();
    let other = Certificate::new(30).unwrap();
    let mount = Mount::new(&Certificate { key: other.key, ..certificate }).unwrap();
    let said = |cert: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_millrace-ingest"))
            .env_clear()
            .envs([("STREAM_ID", "a.b"), ("KAFKA_BROKERS", "127.0.0.1:1")])
            .envs([("DATABASE_URL", "postgres://x@127.0.0.1:1/x"), ("HEALTH_PORT", "0")])
            .envs([("REDIS_URL", "redis://127.0.0.1:1"), ("LISTEN_ADDRESS", "127.0.0.1")])
            .env("RTMPS_CERT_FILE", mount.path(cert))
            .env("RTMPS_KEY_FILE", mount.path("tls.key"))
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let missing = said("no.crt");
    assert!(missing.contains("RTMPS_CERT_FILE") && missing.contains("no.crt"), "{missing}");
    let mismatch = said("tls.crt");
    assert!(mismatch.contains("is not that of the certificate in"), "{mismatch}");
}

/// Reads until the server has closed the connection.
async fn closed(socket: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut buffer = [0; 4096];
    let read = async { while socket.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("the connection stays open");
}
