//! An ingest process of its own with a database, a topic and a key of its own,
//! on the servers that `make test` starts.

pub(crate) mod gate;
pub(crate) mod publisher;
pub(crate) mod tls;
mod turn;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_media::id::{PublishKey, StreamId};
use millrace_media::record::{Body, Reassembler, Record, split};
use millrace_platform::config::{
    DatabaseConfig, Env, Installation, KafkaConfig, RedisConfig, RolesConfig,
};
use millrace_platform::kafka::{Admin, LogReader, Producer, ProducerLimits, TopicSpec, Watermarks};
use millrace_platform::keys::{Hasher, KeyRing, Verdicts, generate};
use millrace_platform::log::Endings;
use millrace_platform::names::topics;
use millrace_platform::postgres::broadcasts::Broadcasts;
use millrace_platform::postgres::keys::{KeySource, Keys, NewKey};
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::{Database, grant_roles, migrate};
use millrace_platform::redis::Redis;
use sqlx::{Connection, Executor};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Everything one test has.
pub(crate) struct World {
    pub(crate) stream: StreamId,
    pub(crate) key: PublishKey,
    pub(crate) keys: Keys,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) outbox: Outbox,
    /// Of its database, as ingest logs in.
    pub(crate) database: String,
    /// Of the same, as its owner logs in.
    owner: String,
    pub(crate) verdicts: Verdicts,
    pub(crate) ring: KeyRing,
    environment: Vec<(String, String)>,
    kafka: KafkaConfig,
    topic: String,
    producer: Producer,
    _turn: turn::Turn,
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

/// The URL with which ingest logs in: as a worker, with no more than its grants.
async fn as_worker(owner: &DatabaseConfig, url: &str, unique: &str) -> String {
    let role = format!("{unique}_worker");
    let roles = RolesConfig::read(&Env::from_pairs([("DATABASE_ROLE_WORKER", &role)])).unwrap();
    grant_roles(owner, &roles).await.unwrap();
    url.replace("//postgres@", &format!("//{role}@"))
}

impl World {
    /// Makes database, topic and key.
    pub(crate) async fn new() -> Self {
        Self::on(&variable("TEST_DATABASE_URL"), &variable("TEST_REDIS_URL")).await
    }

    /// The same, for a test that leaves the processors to nobody else.
    pub(crate) async fn busy() -> Self {
        let servers = (variable("TEST_DATABASE_URL"), variable("TEST_REDIS_URL"));
        Self::make(&servers.0, &servers.1, turn::busy().await).await
    }

    /// The same, on these servers.
    pub(crate) async fn on(server: &str, redis: &str) -> Self {
        Self::make(server, redis, turn::quiet().await).await
    }

    async fn make(server: &str, redis: &str, turn: turn::Turn) -> Self {
        let unique = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
        let mut admin = sqlx::PgConnection::connect(server).await.unwrap();
        admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {unique}"))).await.unwrap();
        let owner = format!("{}/{unique}", server.rsplit_once('/').unwrap().0);
        let config = DatabaseConfig::read(&Env::from_pairs([("DATABASE_URL", &owner)])).unwrap();
        migrate(&config, PATIENCE).await.unwrap();
        let database = as_worker(&config, &owner, &unique).await;
        let environment: Vec<(String, String)> = [
            ("DATABASE_URL", database.as_str()),
            ("REDIS_URL", redis),
            ("KAFKA_BROKERS", &variable("TEST_KAFKA_BROKERS")),
            ("MILLRACE_INSTALLATION", &unique),
            ("STREAM_ID", "events.keynote"),
            ("LISTEN_ADDRESS", "127.0.0.1"),
            ("RTMP_PORT", "0"),
            ("RTMPS_PORT", "0"),
            ("HEALTH_PORT", "0"),
            ("RECONNECT_WINDOW_SECONDS", "60"),
            ("RUST_LOG", "info,millrace_ingest=debug"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let env = Env::from_pairs(environment.clone());
        let installation = Installation::read(&env).unwrap();
        let url = database;
        let database = Database::open(&config).unwrap();
        let redis = Redis::connect(&RedisConfig::read(&env).unwrap().keys, "keys").unwrap();
        let kafka = KafkaConfig::read(&env).unwrap();
        let stream: StreamId = "events.keynote".parse().unwrap();
        let topic = topics::frames_topic(&installation, &stream);
        let spec = TopicSpec::frames(&installation, &stream, Duration::from_mins(15), 1);
        Admin::open(&kafka).unwrap().ensure(&spec).await.unwrap();
        let keys = Keys::new(database.clone(), installation.clone());
        let verdicts = Verdicts::new(redis, installation.clone());
        let world = Self {
            key: generate(&mut rand::rng()).unwrap(),
            ring: KeyRing::new(keys.clone(), verdicts.clone(), Hasher::new(4, 1)),
            keys,
            broadcasts: Broadcasts::new(database.clone(), installation.clone()),
            outbox: Outbox::new(database, installation),
            database: url,
            owner,
            verdicts,
            producer: Producer::open(&kafka, ProducerLimits::default()).unwrap(),
            kafka,
            topic,
            stream,
            environment,
            _turn: turn,
        };
        world.store(&world.key, &world.stream).await;
        world
    }

    /// Stores a key for a stream.
    pub(crate) async fn store(&self, key: &PublishKey, stream: &StreamId) {
        let hash = Hasher::new(4, 1).hash(key).await.unwrap();
        self.keys
            .upsert(&NewKey {
                id: key.id().clone(),
                stream: stream.clone(),
                name: "main".to_owned(),
                broadcaster: "acme".to_owned(),
                hash,
                source: KeySource::Spec,
                expires_ms: None,
            })
            .await
            .unwrap();
    }

    /// Does something to its database that ingest may not do.
    pub(crate) async fn execute(&self, statement: &'static str) {
        let mut connection = sqlx::PgConnection::connect(&self.owner).await.unwrap();
        connection.execute(statement).await.unwrap();
    }

    /// The events that wait, once there are so many: name, epoch and reason.
    pub(crate) async fn events(&self, count: usize) -> Vec<String> {
        let start = tokio::time::Instant::now();
        loop {
            let rows = self.outbox.fetch(100).await.unwrap();
            let words = |row: &millrace_platform::postgres::outbox::Waiting| {
                let data: serde_json::Value = serde_json::from_str(&row.data).unwrap();
                let reason = data["reason"].as_str().map_or(String::new(), |r| format!(" {r}"));
                format!("{} {}{reason}", row.kind.rsplit('.').next().unwrap(), data["epoch"])
            };
            let told: Vec<_> = rows.iter().map(words).collect();
            if told.len() >= count {
                return told;
            }
            assert!(start.elapsed() < PATIENCE, "only {told:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts an ingest process with these settings changed.
    pub(crate) fn ingest(&self, settings: &[(&str, &str)]) -> Ingest {
        let mut environment = self.environment.clone();
        for (name, value) in settings {
            environment.retain(|(n, _)| n != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        Ingest::start(&environment)
    }

    /// Ends broadcasts from outside.
    pub(crate) fn endings(&self) -> Endings {
        let installation = Installation::read(&Env::from_pairs(self.environment.clone())).unwrap();
        Endings::open(&self.kafka, &installation).unwrap()
    }

    /// Writes to the log as another process would.
    pub(crate) async fn append(&self, record: &Record) {
        for message in split(record).unwrap() {
            let sent = self.producer.send(&self.topic, self.stream.as_str(), &message);
            sent.unwrap().wait().await.unwrap();
        }
    }

    /// Every record in the log.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let Watermarks { low, high } = self.producer.watermarks(&self.topic).await.unwrap();
        let mut records = Reassembler::default();
        let mut all = Vec::new();
        let range = LogReader::read_range(&self.kafka, &self.topic, low, high, PATIENCE);
        for message in range.await.unwrap() {
            all.extend(records.push(&message.payload).unwrap());
        }
        all
    }

    /// The records, once they satisfy `enough`.
    pub(crate) async fn records_when(&self, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let start = tokio::time::Instant::now();
        loop {
            let records = self.records().await;
            if enough(&records) {
                return records;
            }
            assert!(start.elapsed() < PATIENCE, "the log has {:#?}", tell(&records));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Each record in a few words.
pub(crate) fn tell(records: &[Record]) -> Vec<String> {
    let word = |record: &Record| match &record.body {
        Body::Open(_) => "open".to_owned(),
        Body::Facts(_) => "facts".to_owned(),
        Body::End(end) => format!("end {:?}", end.reason),
        Body::Frame(f) => {
            let mut word = format!("{:?}", f.track).to_lowercase();
            for (on, text) in [(f.config, " config"), (f.repeated, " again"), (f.keyframe, " key")]
            {
                word += if on { text } else { "" };
            }
            word
        }
    };
    records.iter().map(|r| format!("{} {}", r.epoch, word(r))).collect()
}

/// A running process.
pub(crate) struct Ingest {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    /// Where publishers connect, behind TLS or not.
    pub(crate) rtmp: String,
    pub(crate) health: String,
}

impl Ingest {
    fn start(environment: &[(String, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_millrace-ingest"))
            .env_clear()
            .envs(environment.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        let log = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = without_colours(&line);
                let mut copy = copy.lock().unwrap();
                copy.push_str(&line);
                copy.push('\n');
                drop(copy);
                let _ = sender.send(line);
            }
        });
        let mut ingest = Self { child, lines, log, rtmp: String::new(), health: String::new() };
        let line = ingest.line("listening");
        let address = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}="))?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        ingest.rtmp = address("rtmp").or_else(|| address("rtmps")).unwrap();
        ingest.health = address("health").unwrap();
        ingest
    }

    /// Waits for a line with this text.
    pub(crate) fn line(&self, text: &str) -> String {
        let start = std::time::Instant::now();
        while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("no line with {text:?} in:\n{}", self.log());
    }

    /// All it has written.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it where it is, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it as Kubernetes does; the exit code.
    pub(crate) async fn terminate(mut self) -> i32 {
        self.signal("-TERM");
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// GET on the health port: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(&self.health).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The value of a metric now; 0 when it was never counted.
    pub(crate) async fn count(&self, name: &str) -> u64 {
        let (_, metrics) = self.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until a line of the metrics reads so.
    pub(crate) async fn metric(&self, line: &str) {
        let start = tokio::time::Instant::now();
        loop {
            let (_, metrics) = self.get("/metrics").await;
            if metrics.lines().any(|l| l == line) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "no {line} in\n{metrics}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("ingest wrote:\n{}", self.log());
        }
    }
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}
