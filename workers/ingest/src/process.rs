//! The process: its tasks, in the order in which they start and stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use millrace_platform::backoff::Backoff;
use millrace_platform::health::{self, Check, Health};
use millrace_platform::kafka::{KafkaError, Producer, ProducerLimits};
use millrace_platform::keys::{Announcements, Verdicts};
use millrace_platform::log::Tail;
use millrace_platform::names::topics;
use millrace_platform::postgres::broadcasts::Broadcasts;
use millrace_platform::postgres::keys::Keys as KeyTable;
use millrace_platform::postgres::{Database, DatabaseError, check_schema_min};
use millrace_platform::redis::metrics::{Live, MetricsStore};
use millrace_platform::redis::{Redis, RedisError};
use millrace_platform::supervise::{SuperviseError, Supervisor};
use millrace_platform::telemetry;
use tokio_util::sync::CancellationToken;
use tracing::{field, info, warn};

use crate::clock::Clock;
use crate::config::{Config, Entrance};
use crate::keys::Keys;
use crate::log::{Log, writer};
use crate::metrics::Metrics;
use crate::rows::Rows;
use crate::seat::Seat;
use crate::stream::Stream;
use crate::tls::{Tls, TlsError, TlsMetrics};
use crate::window::Window;
use crate::{live, server, window};
use millrace_platform::report::report;

/// How long a stopping process may take: publishers are told, the log and the
/// rows get what is left.
const FAREWELL: Duration = Duration::from_secs(20);
/// Between looks at whether Kafka can be reached.
const PROBE: Duration = Duration::from_secs(5);
/// The oldest schema this program can write to.
const SCHEMA: i64 = 2;

/// Why the process ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No RTMP.
    #[error(transparent)]
    Rtmp(#[from] server::ListenError),
    /// No certificate for RTMPS.
    #[error("RTMPS_CERT_FILE, RTMPS_KEY_FILE")]
    Tls(#[from] TlsError),
    /// No health and metrics.
    #[error(transparent)]
    Health(#[from] health::ListenError),
    /// A listener that has no address.
    #[error("asking a listener for its address")]
    Address(#[from] std::io::Error),
    /// `REDIS_URL`, `REDIS_KEYS_URL` or `REDIS_METRICS_URL`.
    #[error("REDIS_URL")]
    Redis(#[from] RedisError),
    /// `DATABASE_URL`.
    #[error("DATABASE_URL")]
    Database(#[from] DatabaseError),
    /// `KAFKA_BROKERS`.
    #[error("KAFKA_BROKERS")]
    Kafka(#[from] KafkaError),
    /// A task is lost.
    #[error(transparent)]
    Task(#[from] SuperviseError),
}

/// Serves one stream until `stop`.
///
/// # Errors
/// When a listener can't be had, a setting can't be used, or a task is lost.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), RunError> {
    let (health, registry, metrics) =
        (Health::default(), telemetry::Metrics::default(), Metrics::default());
    registry.with(|registry| metrics.register(registry));
    let tls = tls(&config, &registry)?;
    let listener = server::bind(&config.entrance)?;
    let health_listener = health::bind(config.health).await?;
    let address = listener.local_addr()?;
    info!(
        stream = %config.stream.stream,
        rtmp = tls.is_none().then(|| field::display(address)),
        rtmps = tls.is_some().then(|| field::display(address)),
        health = %health_listener.local_addr()?,
        "listening"
    );

    let redis = Redis::connect(&config.redis.keys, "keys")?;
    let probed = redis.clone();
    let announcements = Announcements::new(redis.clone(), &config.installation);
    let database = Database::open(&config.database)?;
    let topic = topics::frames_topic(&config.installation, &config.stream.stream);
    let producer = Producer::open(&config.kafka, ProducerLimits::default())?;
    let tail = Tail { kafka: config.kafka.clone(), topic, producer: producer.clone() };
    let stream = Arc::new(shared(&config, redis, &database, tail, metrics));

    let mut tasks = Supervisor::new(stop.clone());
    // What the last connections leave behind is written after them.
    let after = CancellationToken::new();
    let (log, last) = (Arc::clone(&stream.log), after.clone());
    tasks.spawn("log writer", writer::run(log, producer, last));
    let (rows, last) = (Arc::clone(&stream), after.clone());
    tasks.spawn("rows", done(async move { rows.rows.follow(last).await }));
    let (keys, token) = (stream.keys.clone(), stop.clone());
    tasks.spawn("announcements", done(async move { keys.listen(announcements, token).await }));
    tasks.spawn("reconnect window", done(window::run(Arc::clone(&stream), stop.clone())));
    let counters = Redis::connect(&config.redis.metrics, "metrics")?;
    let counters = MetricsStore::new(counters, config.installation.clone());
    let id = config.stream.stream.clone();
    let calls = Live::new(counters, id, "ingest", &stream.metrics.breakers);
    tasks.spawn("live", done(live::run(Arc::clone(&stream), calls, stop.clone())));
    let check = health.informative("postgres");
    tasks.spawn("postgres probe", done(probe_postgres(database, check, stop.clone())));
    let check = health.informative("redis");
    tasks.spawn("redis probe", done(probe_redis(probed, check, stop.clone())));
    let check = health.needed("kafka");
    tasks.spawn("kafka probe", done(probe_log(Arc::clone(&stream), check, stop.clone())));
    let serving = health::serve(health_listener, health, registry, stop.clone());
    tasks.spawn("health", serving);
    if let Some(tls) = tls.clone() {
        tasks.spawn("certificate", done(tls.watch(stop.clone())));
    }
    tasks.spawn(
        "rtmp",
        done(async move {
            server::accept(listener, tls, stream, stop).await;
            after.cancel();
        }),
    );
    tasks.run(FAREWELL).await?;
    info!("stopped");
    Ok(())
}

/// The certificate, where one is set.
fn tls(config: &Config, registry: &telemetry::Metrics) -> Result<Option<Arc<Tls>>, TlsError> {
    let Entrance::Rtmps(_, files) = &config.entrance else { return Ok(None) };
    let metrics = TlsMetrics::default();
    registry.with(|registry| metrics.register(registry));
    Ok(Some(Arc::new(Tls::open(files.clone(), metrics)?)))
}

fn shared(
    config: &Config,
    redis: Redis,
    database: &Database,
    tail: Tail,
    metrics: Metrics,
) -> Stream {
    let settings = config.stream.clone();
    let id = settings.stream.clone();
    let verdicts = Verdicts::new(redis, config.installation.clone());
    // A publisher does not wait for a connection that can't be had. The rows of
    // broadcasts must get through.
    let guarded = database.guarded(&metrics.breakers, "key_rows");
    let table = KeyTable::new(guarded, config.installation.clone());
    let broadcasts = Broadcasts::new(database.clone(), config.installation.clone());
    Stream {
        clock: Clock::start(),
        seat: Arc::new(Seat::new(settings.takeover)),
        keys: Keys::new(id.clone(), verdicts, table, metrics.clone()),
        log: Arc::new(Log::new(id.clone(), tail, settings.ring_bytes, metrics.clone())),
        window: Window::new(settings.reconnect_window),
        rows: Rows::new(id, database.clone(), broadcasts),
        opened: AtomicBool::new(false),
        metrics,
        settings,
    }
}

async fn done(work: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    work.await;
    Ok(())
}

/// Reads the log's tail at start, and arms the window of a broadcast that is
/// open there; then asks now and then whether Kafka can be reached.
async fn probe_log(stream: Arc<Stream>, kafka: Check, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(500), PROBE);
    let mut known = false;
    loop {
        let wait = match stream.log.look().await {
            Ok(()) => {
                kafka.ok();
                backoff.reset();
                if !known {
                    known = true;
                    stream.resume().await;
                }
                PROBE
            }
            Err(error) => {
                if backoff.attempts() == 0 {
                    warn!("KAFKA_BROKERS: the log can't be reached: {}", report(&error));
                }
                kafka.failing(report(&error));
                backoff.next_delay()
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Without Redis Postgres is asked about keys, so it only shows.
async fn probe_redis(redis: Redis, check: Check, stop: CancellationToken) {
    loop {
        match redis.ping().await {
            Ok(()) => check.ok(),
            Err(error) => check.failing(report(&error)),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PROBE) => {}
        }
    }
}

/// Postgres is not needed for a known key, so it only shows.
async fn probe_postgres(database: Database, check: Check, stop: CancellationToken) {
    let mut failing = false;
    loop {
        // Each time: somebody may have put an older one back.
        match check_schema_min(&database, SCHEMA).await {
            Ok(()) => {
                failing = false;
                check.ok();
            }
            Err(error) => {
                if !failing {
                    warn!("DATABASE_URL: {}", report(&error));
                }
                failing = true;
                check.failing(report(&error));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PROBE) => {}
        }
    }
}
