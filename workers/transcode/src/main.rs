//! `millrace-transcode`: transcodes one stream. Settings come from the
//! environment; see docs/architecture.md.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use millrace_platform::breaker::BreakerMetrics;
use millrace_platform::config::Env;
use millrace_platform::health::{self, Health};
use millrace_platform::redis::Redis;
use millrace_platform::redis::metrics::{Counters, Live, MetricsStore};
use millrace_platform::supervise::Supervisor;
use millrace_platform::telemetry::{self, Metrics};
use millrace_platform::{exit, shutdown, tls};
use millrace_transcode::config::Config;
use millrace_transcode::metrics::TranscodeMetrics;
use millrace_transcode::services::Services;
use millrace_transcode::{encoder, lag, worker};

/// Follows a stream's log in Kafka, encodes it with ffmpeg, and publishes
/// low-latency HLS parts and segments to Redis and the object store.
///
/// All settings are environment variables: STREAM_ID, KAFKA_BROKERS, REDIS_URL
/// and OBJECT_STORE_URL are required; docs/architecture.md lists the others.
#[derive(Debug, Parser)]
#[command(name = "millrace-transcode", version)]
struct Arguments {}

#[tokio::main]
async fn main() -> ExitCode {
    exit::with(run().await)
}

async fn run() -> anyhow::Result<()> {
    Arguments::parse();
    encoder::hide_from_ffmpeg().context("closing this process to ffmpeg")?;
    let config = Arc::new(Config::read(&Env::from_process())?);
    telemetry::init(&config.telemetry);
    tls::install_provider();
    let (health, metrics) = (Health::default(), Metrics::default());
    let breakers = BreakerMetrics::default();
    metrics.with(|registry| breakers.register(registry));
    let services = Services::connect(&config, TranscodeMetrics::register(&metrics))
        .context("connecting to the outside services")?;
    let counters = Redis::connect(&config.redis.metrics, "metrics")?;
    let counters = MetricsStore::new(counters, config.installation.clone());
    let live = Live::new(counters, config.stream.clone(), "transcode", &breakers);
    worker::check_ffmpeg(&config).await?;
    let stop = shutdown::on_signal()?;
    let listener = health::bind(config.health).await?;
    tracing::info!(stream = %config.stream, health = %config.health, "transcode starts");
    let log = health.needed("log");
    let mut supervisor = Supervisor::new(stop.clone());
    supervisor.spawn("health", health::serve(listener, health, metrics, stop.clone()));
    supervisor.spawn("lag", lag::run(services.clone(), stop.clone()));
    let (on_air, told) = (services.on_air.clone(), stop.clone());
    supervisor.spawn("live", async move {
        let open = || {
            let broadcast = Some((*on_air.borrow())?);
            Some(Counters { broadcast, ..Counters::default() })
        };
        let _: () = live.run(open, told).await;
        anyhow::Ok(())
    });
    supervisor.spawn("worker", async move {
        tokio::select! {
            // What is not finished is replayed by the next process.
            () = stop.cancelled() => Ok(()),
            error = worker::run(services, config, log) => Err(error),
        }
    });
    supervisor.run(Duration::from_secs(5)).await?;
    Ok(())
}
