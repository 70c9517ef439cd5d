//! The events' way from Postgres to Kafka.
//!
//! One replica relays at a time ([`Singleton`]). It reads what waits in the
//! outbox in order, sends it, and deletes what Kafka has acknowledged: so an
//! event arrives at least once, and per stream in order. When the holder is
//! lost in between, the next one sends again what was not deleted; consumers
//! know an event again by its id.
//!
//! Kafka away: the batch that was sent is waited for, the rest stays in
//! Postgres. Postgres away: nothing to relay, and the place is lost with it.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use millrace_platform::config::{DatabaseConfig, Installation, KafkaConfig};
use millrace_platform::kafka::{
    Delivered, Delivery, Envelope, Events, KafkaError, Producer, ProducerLimits, SendError,
};
use millrace_platform::postgres::outbox::{Outbox, Waiting};
use millrace_platform::postgres::singleton::Singleton;
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::report::report;
use millrace_platform::wall;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The name of the place that the relay holds.
pub const PLACE: &str = "events-relay";
/// Most events read, sent and not yet deleted.
const BATCH: u32 = 500;
/// How often it is looked when nothing waits.
const PERIOD: Duration = Duration::from_millis(100);
/// How long a stopping process waits for Kafka to acknowledge what was sent.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often the backlog is counted, and the producer looked at.
const COUNT: Duration = Duration::from_secs(2);

/// What the relay counts. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct RelayMetrics {
    /// This process relays: 0 or 1.
    pub holds: Gauge,
    /// Events that Kafka has acknowledged.
    pub relayed: Counter,
    /// Events that Kafka will never take, given up.
    pub refused: Counter,
    /// Events that wait, counted up to 100,000; 0 where another relays.
    pub backlog: Gauge,
    /// Age of the oldest of them, seconds.
    pub oldest: Gauge,
}

impl RelayMetrics {
    /// Makes them known under `…_delivery_relay_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("delivery_relay");
        registry.register("holds", "Whether this process relays events", self.holds.clone());
        registry.register("events", "Events acknowledged by Kafka", self.relayed.clone());
        registry.register("refused", "Events given up", self.refused.clone());
        registry.register("backlog", "Events that wait in Postgres", self.backlog.clone());
        registry.register("oldest_seconds", "Age of the oldest of them", self.oldest.clone());
    }
}

/// Why the relay does not start, or gives its place up for a while.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox can't be read or cleared.
    #[error("{}", report(.0))]
    Postgres(#[from] DatabaseError),
    /// Kafka does not take an event now.
    #[error("{}", report(.0))]
    Kafka(#[from] KafkaError),
    /// The producer will take nothing more: this process must end.
    #[error("the producer is broken: {0}")]
    Broken(String),
}

/// Relays events.
#[derive(Debug, Clone)]
pub struct Relay {
    place: Singleton,
    outbox: Outbox,
    events: Events,
    metrics: RelayMetrics,
}

impl Relay {
    /// From this installation's outbox to its topic. Asks no server.
    ///
    /// # Errors
    /// When a setting can't be used.
    pub fn open(
        database: &DatabaseConfig,
        kafka: &KafkaConfig,
        installation: &Installation,
        metrics: RelayMetrics,
    ) -> Result<Self, RelayError> {
        let place = Singleton::new(database, installation, PLACE)?;
        // One to relay with, one to count with.
        let pool = Database::open(&DatabaseConfig { max_connections: 2, ..database.clone() })?;
        let producer = Producer::open(kafka, ProducerLimits::default())?;
        let events = Events::new(producer, installation);
        Ok(Self { place, outbox: Outbox::new(pool, installation.clone()), events, metrics })
    }

    /// Relays whenever this process holds the place, until `stop`.
    ///
    /// # Errors
    /// `Broken` alone; all else is tried again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RelayError> {
        tokio::select! {
            () = self.place.run(stop, |stop| self.clone().hold(stop)) => Ok(()),
            reason = self.broken() => Err(RelayError::Broken(reason)),
        }
    }

    async fn broken(&self) -> String {
        loop {
            if let Some(reason) = self.events.fatal_error() {
                return reason;
            }
            sleep(COUNT).await;
        }
    }

    /// Relays while the place is held.
    async fn hold(self, stop: CancellationToken) -> Result<(), RelayError> {
        let _holding = Holding::new(&self.metrics);
        tokio::select! {
            done = self.relay(&stop) => done,
            failed = self.count() => failed,
        }
    }

    async fn relay(&self, stop: &CancellationToken) -> Result<(), RelayError> {
        while !stop.is_cancelled() {
            let batch = self.outbox.fetch(BATCH).await?;
            if batch.is_empty() {
                stop.run_until_cancelled(sleep(PERIOD)).await;
                continue;
            }
            let mut sending = std::pin::pin!(self.send(batch));
            tokio::select! {
                sent = &mut sending => sent?,
                // Not while Kafka is away: then they are sent again by the next.
                () = stop.cancelled() => drop(timeout(FAREWELL, sending).await),
            }
        }
        Ok(())
    }

    /// Sends a batch, waits for Kafka, and deletes what it has.
    async fn send(&self, batch: Vec<Waiting>) -> Result<(), RelayError> {
        let mut sent = Vec::with_capacity(batch.len());
        for event in &batch {
            match self.events.send_envelope(envelope(event)) {
                Ok(delivery) => sent.push(Ok(delivery)),
                Err(SendError::Refused(refusal)) => sent.push(Err(refusal)),
                // The rest comes with the next batch.
                Err(SendError::QueueFull) => break,
            }
        }
        if sent.is_empty() {
            sleep(PERIOD).await;
            return Ok(());
        }
        let wait = async |sent: Result<Delivery, KafkaError>| sent?.wait().await;
        let answers = join_all(sent.into_iter().map(wait)).await;
        let (done, refusal) = self.judge(&batch, answers);
        self.outbox.delete(&done).await?;
        refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// Which rows are done: acknowledged, or never to be taken. After one that
    /// was not, its stream's later ones are sent again too, to keep their order.
    fn judge(
        &self,
        batch: &[Waiting],
        answers: Vec<Result<Delivered, KafkaError>>,
    ) -> (Vec<i64>, Option<KafkaError>) {
        let (mut done, mut broken, mut refusal) = (Vec::new(), HashSet::new(), None);
        for (event, answer) in batch.iter().zip(answers) {
            match answer {
                _ if broken.contains(&event.stream) => {}
                Ok(_) => {
                    self.metrics.relayed.inc();
                    done.push(event.id);
                }
                Err(reason @ KafkaError::TooLarge { .. }) => {
                    let (id, kind) = (&event.event_id, &event.kind);
                    error!(id, kind, "an event is given up: {}", report(&reason));
                    self.metrics.refused.inc();
                    done.push(event.id);
                }
                Err(reason) => {
                    broken.insert(&event.stream);
                    refusal = Some(reason);
                }
            }
        }
        (done, refusal)
    }

    /// Keeps the figures of the backlog, also while Kafka is away.
    async fn count(&self) -> Result<(), RelayError> {
        loop {
            let backlog = self.outbox.backlog().await?;
            self.metrics.backlog.set(i64::try_from(backlog.events).unwrap_or(i64::MAX));
            let age = backlog.oldest_ms.map_or(0, |oldest| (wall::ms() - oldest).max(0) / 1_000);
            self.metrics.oldest.set(age);
            sleep(COUNT).await;
        }
    }
}

/// Shows that this process relays, as long as it does.
struct Holding<'a>(&'a RelayMetrics);

impl<'a> Holding<'a> {
    fn new(metrics: &'a RelayMetrics) -> Self {
        metrics.holds.set(1);
        Self(metrics)
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        for gauge in [&self.0.holds, &self.0.backlog, &self.0.oldest] {
            gauge.set(0);
        }
    }
}

fn envelope(event: &Waiting) -> Envelope<'_> {
    Envelope {
        id: &event.event_id,
        kind: &event.kind,
        source: &event.source,
        stream: &event.stream,
        time_ms: event.time_ms,
        data: event.data.as_bytes(),
    }
}
