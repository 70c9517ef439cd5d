//! An outbox and a topic of one test's own, and somebody who follows the topic.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use millrace_delivery::record::relay::{Relay, RelayMetrics};
use millrace_media::id::StreamId;
use millrace_platform::config::{DatabaseConfig, Env, Installation, KafkaConfig};
use millrace_platform::kafka::events::data::{EventData, ViewerJoined};
use millrace_platform::kafka::{Admin, Event, TopicSpec};
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::{Database, migrate};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const PARTITIONS: i32 = 4;

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

pub(crate) struct World {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) installation: Installation,
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    config: DatabaseConfig,
    kafka: KafkaConfig,
}

/// A relay of this process, until dropped.
pub(crate) struct Running {
    pub(crate) metrics: RelayMetrics,
    _stop: DropGuard,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(&variable("TEST_DATABASE_URL"), &variable("TEST_KAFKA_BROKERS")).await
    }

    /// On these servers.
    pub(crate) async fn on(server: &str, brokers: &str) -> Self {
        let unique = format!("t{}", &Uuid::new_v4().simple().to_string()[..16]);
        let mut admin = PgConnection::connect(server).await.unwrap();
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {unique}"))).await.unwrap();
        let url = format!("{}/{unique}", server.rsplit_once('/').unwrap().0);
        let pairs = [
            ("DATABASE_URL", url.as_str()),
            ("KAFKA_BROKERS", brokers),
            ("MILLRACE_INSTALLATION", &unique),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = Env::from_pairs(pairs.clone());
        let installation = Installation::read(&env).unwrap();
        let config = DatabaseConfig::read(&env).unwrap();
        let kafka = KafkaConfig::read(&env).unwrap();
        migrate(&config, PATIENCE).await.unwrap();
        let topic = TopicSpec::events(&installation, PARTITIONS, 1);
        Admin::open(&kafka).unwrap().ensure(&topic).await.unwrap();
        let database = Database::open(&config).unwrap();
        let outbox = Outbox::new(database.clone(), installation.clone());
        Self { pairs: pairs.into(), installation, database, outbox, config, kafka }
    }

    pub(crate) fn relay(&self) -> Running {
        let metrics = RelayMetrics::default();
        let stop = CancellationToken::new();
        let relay =
            Relay::open(&self.config, &self.kafka, &self.installation, metrics.clone()).unwrap();
        tokio::spawn(relay.run(stop.clone()));
        Running { metrics, _stop: stop.drop_guard() }
    }

    /// Commits one event for each of these numbers.
    pub(crate) async fn append(&self, stream: &str, numbers: std::ops::Range<u32>) {
        let events: Vec<_> = numbers.map(|number| numbered(stream, number)).collect();
        let mut transaction = self.database.begin().await.unwrap();
        self.outbox.append(&mut transaction, "delivery", &events).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Waits until nothing waits any more.
    pub(crate) async fn drained(&self) {
        let start = Instant::now();
        loop {
            let waiting = self.outbox.fetch(1).await;
            if waiting.is_ok_and(|waiting| waiting.is_empty()) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "events wait for ever");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn follower(&self) -> Follower {
        Follower::new(&self.kafka.brokers, &format!("{}.stream-events", self.installation))
    }
}

/// An event whose identity is its number.
pub(crate) fn numbered(stream: &str, number: u32) -> Event<EventData> {
    let data = ViewerJoined {
        broadcast: None,
        session: Uuid::from_u128(number.into()),
        source: "beacon",
        rendition: None,
    };
    let stream: StreamId = stream.parse().unwrap();
    Event::new(stream, 1_764_000_000_123, vec![number.to_string()], data)
}

/// A message as it is in the topic.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) data: serde_json::Value,
    pub(crate) partition: i32,
}

impl Told {
    pub(crate) fn id(&self) -> &str {
        self.headers.get("ce_id").unwrap()
    }

    /// The number of a [`numbered`] event.
    pub(crate) fn number(&self) -> u32 {
        let session: Uuid = self.data["session"].as_str().unwrap().parse().unwrap();
        u32::try_from(session.as_u128()).unwrap()
    }
}

/// Reads the topic from its beginning.
pub(crate) struct Follower {
    consumer: BaseConsumer,
    pub(crate) told: Vec<Told>,
}

impl Follower {
    fn new(brokers: &str, topic: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "test")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        Self { consumer, told: Vec::new() }
    }

    /// Reads until there are so many different events.
    pub(crate) fn until(&mut self, count: usize) {
        let start = Instant::now();
        let mut ids: HashSet<String> = self.told.iter().map(|told| told.id().to_owned()).collect();
        while ids.len() < count {
            assert!(start.elapsed() < PATIENCE, "{} of {count} events", ids.len());
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(200)) else {
                continue;
            };
            let headers = message.headers().unwrap();
            let headers = headers.iter().map(|header| {
                let value = String::from_utf8(header.value.unwrap().to_vec()).unwrap();
                (header.key.to_owned(), value)
            });
            let told = Told {
                key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
                headers: headers.collect(),
                data: serde_json::from_slice(message.payload().unwrap()).unwrap(),
                partition: message.partition(),
            };
            ids.insert(told.id().to_owned());
            self.told.push(told);
        }
    }

    /// The numbers of a stream's events, each where it came first.
    pub(crate) fn numbers(&self, stream: &str) -> Vec<u32> {
        let mut seen = HashSet::new();
        let of = self.told.iter().filter(|told| told.key == stream);
        of.map(Told::number).filter(|number| seen.insert(*number)).collect()
    }
}
