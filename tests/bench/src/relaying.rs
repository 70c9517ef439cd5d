//! How fast events that wait in Postgres come to Kafka.

use std::time::Duration;

use anyhow::{Context, Result};
use millrace_delivery::record::relay::{Relay, RelayMetrics};
use millrace_media::id::StreamId;
use millrace_platform::config::{DatabaseConfig, Env, Installation, KafkaConfig};
use millrace_platform::kafka::events::data::ViewerJoined;
use millrace_platform::kafka::{Admin, Event, TopicSpec};
use millrace_platform::postgres::Database;
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::wall;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::report::{Row, decimals};

/// Events that wait when the relay begins.
const EVENTS: u32 = 50_000;
/// Streams they are of.
const STREAMS: u32 = 20;
/// Events written in one transaction.
const BATCH: u32 = 1_000;
/// Longest wait for all of them.
const PATIENCE: Duration = Duration::from_mins(2);

/// Writes events into the outbox of this environment and has them relayed.
pub(crate) async fn measure(environment: Vec<(String, String)>) -> Result<Row> {
    let env = Env::from_pairs(environment);
    let (config, kafka) = (DatabaseConfig::read(&env)?, KafkaConfig::read(&env)?);
    let installation = Installation::read(&env)?;
    Admin::open(&kafka)?.ensure(&TopicSpec::events(&installation, 4, 1)).await?;
    let database = Database::open(&config)?;
    let outbox = Outbox::new(database.clone(), installation.clone());
    for first in (0..EVENTS).step_by(usize::try_from(BATCH)?) {
        let events = (first..first + BATCH).map(event).collect::<Result<Vec<_>>>()?;
        let mut transaction = database.begin().await?;
        outbox.append(&mut transaction, "bench", &events).await?;
        transaction.commit().await?;
    }
    let (metrics, stop) = (RelayMetrics::default(), CancellationToken::new());
    let relay = Relay::open(&config, &kafka, &installation, metrics.clone())?;
    let relayed = async {
        while metrics.holds.get() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let begun = Instant::now();
        while metrics.relayed.get() < u64::from(EVENTS) {
            sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed()
    };
    let took = tokio::select! {
        took = timeout(PATIENCE, relayed) => took.context("not all events were relayed")?,
        ended = relay.run(stop) => { ended?; anyhow::bail!("the relay ended") }
    };
    let rate = f64::from(EVENTS) / took.as_secs_f64();
    Ok(Row::new(
        "events relayed",
        vec![decimals(rate, 0)],
        "of 50,000 that waited in Postgres, each acknowledged by Kafka and deleted",
    ))
}

fn event(number: u32) -> Result<Event<millrace_platform::kafka::events::data::EventData>> {
    let stream = StreamId::new("bench", &format!("s{}", number % STREAMS))?;
    let session = Uuid::from_u128(number.into());
    let data = ViewerJoined { broadcast: None, session, source: "beacon", rendition: None };
    Ok(Event::new(stream, wall::ms(), vec![session.to_string()], data))
}
