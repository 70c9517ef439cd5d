//! Wrong keys in numbers: what they cost, what they tell, and that a right key
//! gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::publisher::{Answer, Publisher};
use crate::support::{Ingest, PATIENCE, World, tell};
use millrace_media::id::{KeyId, PublishKey};
use millrace_media::record::Record;
use millrace_platform::keys::generate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

const BCRYPT: &str = "millrace_ingest_key_checks_total{by=\"bcrypt\"}";
const WRONG: &str = "millrace_ingest_refused_total{reason=\"wrong_key\"}";

fn made_up() -> PublishKey {
    generate(&mut rand::rng()).unwrap()
}

fn with_id(id: &KeyId) -> PublishKey {
    PublishKey::new(id.clone(), made_up().secret().to_owned()).unwrap()
}

/// Offers a key; how long the refusal took.
async fn refused(ingest: &Ingest, key: &PublishKey) -> Duration {
    let start = Instant::now();
    match Publisher::ask(&ingest.rtmp, "live", &key.reveal()).await {
        Answer::Refused(code) => assert_eq!(code, "NetStream.Publish.BadName"),
        Answer::Accepted(_) => panic!("accepted"),
    }
    start.elapsed()
}

#[tokio::test]
async fn an_unknown_id_costs_no_bcrypt_and_a_proven_one_none_more() {
    let world = World::busy().await;
    let ingest = world.ingest(&[]);
    for _ in 0..5 {
        refused(&ingest, &made_up()).await;
    }
    assert_eq!(ingest.count(BCRYPT).await, 0);
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
    assert_eq!(ingest.count(BCRYPT).await, 1);
    for _ in 0..5 {
        refused(&ingest, &with_id(world.key.id())).await;
    }
    assert_eq!(ingest.count(BCRYPT).await, 1);
}

#[tokio::test]
async fn neither_answer_nor_time_tells_whether_an_id_exists() {
    let world = World::busy().await;
    let ingest = world.ingest(&[]);
    // Nothing proven, so that the known id costs bcrypt.
    let repeated = made_up();
    for kind in ["unknown", "unknown again", "known"] {
        let mut times = Vec::new();
        for _ in 0..7 {
            let key = match kind {
                "unknown" => made_up(),
                "unknown again" => repeated.clone(),
                _ => with_id(world.key.id()),
            };
            times.push(refused(&ingest, &key).await);
        }
        times.sort();
        eprintln!("{kind}: refused within {times:?}");
        // Held back far longer than any of the work takes, and all alike.
        assert!(times[0] >= Duration::from_millis(300), "{times:?}");
        let bcrypts = if kind == "known" { 7 } else { 0 };
        assert_eq!(ingest.count(BCRYPT).await, bcrypts);
    }
}

#[tokio::test]
async fn wrong_secrets_of_a_known_id_wait_in_turn_and_the_right_one_is_still_accepted() {
    let world = World::busy().await;
    let ingest = world.ingest(&[]);
    // Not proven yet: each costs bcrypt. First enough to be tired of it.
    let mut flood = Vec::new();
    for n in 0..50 {
        if n == 12 {
            ingest.metric(&format!("{WRONG} 12")).await;
        }
        let (address, key) = (ingest.rtmp.clone(), with_id(world.key.id()));
        flood.push(tokio::spawn(async move {
            matches!(Publisher::ask(&address, "live", &key.reveal()).await, Answer::Refused(_))
        }));
    }
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    world.records_when(|r| tell(r).contains(&"1 video key".to_owned())).await;
    for one in flood {
        assert!(one.await.unwrap());
    }
    assert!(ingest.count("millrace_ingest_key_checks_total{by=\"postgres_slow\"}").await > 0);
}

/// What a publisher says before it is accepted, all at once.
fn script(key: &PublishKey) -> Vec<u8> {
    fn text(amf: &mut Vec<u8>, text: &str) {
        amf.push(2);
        amf.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        amf.extend(text.as_bytes());
    }
    fn number(amf: &mut Vec<u8>, number: f64) {
        amf.push(0);
        amf.extend(number.to_be_bytes());
    }
    fn message(bytes: &mut Vec<u8>, stream: u8, amf: &[u8]) {
        assert!(amf.len() <= 128, "one chunk");
        bytes.extend([3, 0, 0, 0, 0, 0, u8::try_from(amf.len()).unwrap(), 20, stream, 0, 0, 0]);
        bytes.extend(amf);
    }
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    let mut connect = Vec::new();
    text(&mut connect, "connect");
    number(&mut connect, 1.0);
    connect.push(3);
    connect.extend([0, 3]);
    connect.extend(b"app");
    text(&mut connect, "live");
    connect.extend([0, 0, 9]);
    message(&mut bytes, 0, &connect);
    let mut create = Vec::new();
    text(&mut create, "createStream");
    number(&mut create, 2.0);
    create.push(5);
    message(&mut bytes, 0, &create);
    let mut publish = Vec::new();
    text(&mut publish, "publish");
    number(&mut publish, 3.0);
    publish.push(5);
    text(&mut publish, &key.reveal());
    text(&mut publish, "live");
    message(&mut bytes, 1, &publish);
    bytes
}

/// Publishes from an address that has many connections; nothing if it was ended
/// before it had said its key: such an address has little time for that, too
/// little for a test on a busy machine.
async fn pushes_in(ingest: &Ingest, key: &PublishKey) -> Option<Publisher> {
    let (address, key) = (ingest.rtmp.clone(), key.reveal());
    let ask = tokio::spawn(async move { Publisher::ask(&address, "live", &key).await });
    match ask.await {
        Ok(Answer::Accepted(publisher)) => Some(*publisher),
        Ok(Answer::Refused(reason)) => panic!("refused: {reason}"),
        // The connection ended in the middle of it.
        Err(_) => None,
    }
}

#[tokio::test]
async fn ten_thousand_wrong_keys_of_the_same_address_do_not_keep_a_right_one_out() {
    const FLOOD: u64 = 10_000;
    let world = World::busy().await;
    let ingest = world.ingest(&[("TAKEOVER", "Always")]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;

    let start = Instant::now();
    let address = ingest.rtmp.clone();
    let id = world.key.id().clone();
    let flood = tokio::spawn(async move {
        // More than ingest has places.
        let places = Arc::new(Semaphore::new(100));
        for n in 0..FLOOD {
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            let key = if n % 4 == 0 { with_id(&id) } else { made_up() };
            let address = address.clone();
            tokio::spawn(async move {
                let said = script(&key);
                if let Ok(mut socket) = TcpStream::connect(address).await {
                    let mut heard = Vec::new();
                    let _ = socket.write_all(&said).await;
                    let _ = socket.read_to_end(&mut heard).await;
                }
                drop(place);
            });
        }
        drop(places.acquire_many(100).await);
    });
    // The one who publishes goes on; others with the right key are accepted,
    // again and again.
    let (mut round, mut tries, mut slowest) = (0_u32, 0, Duration::ZERO);
    while !flood.is_finished() {
        let before = Instant::now();
        publisher = loop {
            tries += 1;
            if let Some(publisher) = pushes_in(&ingest, &world.key).await {
                break publisher;
            }
            assert!(before.elapsed() < PATIENCE, "pushed out for {:?}", before.elapsed());
        };
        slowest = slowest.max(before.elapsed());
        publisher.configs().await;
        publisher.gops(round, 1).await;
        round += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    flood.await.unwrap();
    eprintln!(
        "{FLOOD} wrong keys in {:?}; {round} right ones accepted meanwhile at {tries} tries, the slowest in {slowest:?}",
        start.elapsed()
    );
    assert!(round > 0);
    let epoch = format!("{} video key", u64::from(round) + 1);
    world.records_when(|r: &[Record]| tell(r).contains(&epoch)).await;
    // Those that were looked at; the connections in excess gave way.
    let (wrong, start) = (ingest.count(WRONG).await, Instant::now());
    eprintln!("{wrong} were counted as wrong keys");
    assert!(wrong > 10, "{wrong}");
    // The right one was proven before: no wrong one cost bcrypt.
    assert_eq!(ingest.count(BCRYPT).await, 1);
    assert!(start.elapsed() < PATIENCE);
    // And the log of the process is no longer than it has to be.
    let lines = ingest.log().matches("The stream key is wrong").count();
    eprintln!("{lines} lines of it in the log");
}

/// Connects from another address of this machine than everybody else's.
async fn connect_from_elsewhere(address: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.2:0".parse().unwrap())?;
    socket.connect(address.parse().unwrap()).await
}

/// Keeps many connections from one address that say this, until it is dropped;
/// counts those that the server ended.
struct Flood {
    work: tokio::task::JoinHandle<()>,
    ended: Arc<AtomicUsize>,
}

impl Flood {
    fn of(ingest: &Ingest, say: fn() -> Vec<u8>) -> Self {
        let (address, ended) = (ingest.rtmp.clone(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&ended);
        let work = tokio::spawn(async move {
            let mut peers = tokio::task::JoinSet::new();
            loop {
                while peers.len() < 300 {
                    let address = address.clone();
                    peers.spawn(async move {
                        let mut socket = connect_from_elsewhere(&address).await?;
                        socket.write_all(&say()).await?;
                        socket.read_to_end(&mut Vec::new()).await
                    });
                }
                peers.join_next().await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { work, ended }
    }

    /// Waits until so many were ended.
    async fn ended(&self, many: usize) {
        let start = Instant::now();
        while self.ended.load(Ordering::Relaxed) < many {
            assert!(start.elapsed() < PATIENCE, "only {:?} were ended", self.ended);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.work.abort();
    }
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_a_publisher_of_another_address_out() {
    let world = World::busy().await;
    let ingest = world.ingest(&[("TAKEOVER", "Always")]);
    let flood = Flood::of(&ingest, Vec::new);
    flood.ended(100).await;
    for _ in 0..3 {
        Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    }
    // Far more than could each have the time to say a key.
    flood.ended(5_000).await;
}

#[tokio::test]
async fn made_up_keys_that_nobody_can_check_do_not_keep_a_known_one_out() {
    let world = World::busy().await;
    let first = world.ingest(&[]);
    Publisher::connect(&first.rtmp, &world.key.reveal()).await.unpublish().await;
    first.line("broadcast ended");
    // A Postgres that takes connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://postgres@{}/postgres", mute.local_addr().unwrap());
    let ingest = world.ingest(&[("DATABASE_URL", &url), ("TAKEOVER", "Always")]);
    let flood = Flood::of(&ingest, || script(&made_up()));
    flood.ended(300).await;
    // At the first try, again and again.
    for epoch in 2..6 {
        let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
        publisher.configs().await;
        publisher.gops(0, 1).await;
        let picture = format!("{epoch} video key");
        world.records_when(|r| tell(r).contains(&picture)).await;
    }
}

#[tokio::test]
async fn a_proven_key_does_not_wait_behind_those_who_guess() {
    let world = World::busy().await;
    let ingest = world.ingest(&[]);
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
    ingest.line("broadcast ended");
    // Address and id are tired of these.
    for _ in 0..12 {
        refused(&ingest, &with_id(world.key.id())).await;
    }
    let slow = "millrace_ingest_key_checks_total{by=\"postgres_slow\"}";
    let before = ingest.count(slow).await;
    assert!(before > 0);
    // Nothing is cached any more.
    world.verdicts.changed(world.key.id()).await.unwrap();
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    assert_eq!(ingest.count(slow).await, before);
}
