//! `millrace-transcode`: transcodes one stream. Settings come from the
//! environment; see docs/architecture.md.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use millrace_platform::breaker::BreakerMetrics;
use millrace_platform::config::Env;
use millrace_platform::health::{self, Health};
use millrace_platform::redis::Redis;
use millrace_platform::redis::metrics::{Amiss, Counters, Live, MetricsStore};
use millrace_platform::supervise::Supervisor;
use millrace_platform::telemetry::{self, Metrics};
use millrace_platform::{exit, shutdown, tls};
use millrace_transcode::config::Config;
use millrace_transcode::metrics::TranscodeMetrics;
use millrace_transcode::services::{OBJECT_STORE, Services};
use millrace_transcode::{encoder, lag, supervise, worker};

/// Follows a stream's log in Kafka, encodes it with ffmpeg, and publishes
/// low-latency HLS parts and segments to Redis and the object store.
///
/// All settings are environment variables: STREAM_ID, KAFKA_BROKERS, REDIS_URL
/// and OBJECT_STORE_URL are required; docs/architecture.md lists the others.
#[derive(Debug, Parser)]
#[command(name = "millrace-transcode", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Commands>,
    /// Ends with the process that started it.
    #[arg(long, hide = true)]
    supervised: bool,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Starts itself as a child, without `supervise`, and again whenever that
    /// dies: for a container, whose first process this is.
    Supervise,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Commands::Supervise) => first_process(),
        None => worker_process(arguments.supervised),
    }
}

/// One thread: a worker that is to end with its parent ends with the thread
/// that started it.
fn first_process() -> ExitCode {
    let run = || {
        let program = std::env::current_exe()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(supervise::run(&program))
    };
    run().unwrap_or_else(|error| exit::with(Err(format!("keeping a worker running: {error}"))))
}

#[tokio::main]
async fn worker_process(supervised: bool) -> ExitCode {
    let overtaken = Arc::new(AtomicBool::new(false));
    let code = exit::with(run(supervised, overtaken.clone()).await);
    if overtaken.load(Ordering::Relaxed) { ExitCode::from(supervise::OVERTAKEN) } else { code }
}

async fn run(supervised: bool, overtaken: Arc<AtomicBool>) -> anyhow::Result<()> {
    if supervised {
        supervise::end_with_parent().context("ending with the parent")?;
    }
    encoder::hide_from_ffmpeg().context("closing this process to ffmpeg")?;
    let config = Arc::new(Config::read(&Env::from_process())?);
    telemetry::init(&config.telemetry);
    tls::install_provider();
    let (health, metrics) = (Health::default(), Metrics::default());
    let breakers = BreakerMetrics::default();
    metrics.with(|registry| breakers.register(registry));
    let services = Services::connect(&config, TranscodeMetrics::register(&metrics), &health)
        .context("connecting to the outside services")?;
    let counters = Redis::connect(&config.redis.metrics, "metrics")?;
    let counters = MetricsStore::new(counters, config.installation.clone());
    let live = Live::new(counters, config.stream.clone(), "transcode", &breakers);
    worker::check_ffmpeg(&config).await?;
    let stop = shutdown::on_signal()?;
    let listener = health::bind(config.health).await?;
    tracing::info!(stream = %config.stream, health = %config.health, "transcode starts");
    let log = health.needed("log");
    let checks = health.clone();
    let mut supervisor = Supervisor::new(stop.clone());
    supervisor.spawn("health", health::serve(listener, health, metrics, stop.clone()));
    supervisor.spawn("lag", lag::run(services.clone(), stop.clone()));
    let (on_air, told) = (services.on_air.clone(), stop.clone());
    let read = services.metrics.clone();
    supervisor.spawn("live", async move {
        let open = || {
            let broadcast = Some((*on_air.borrow())?);
            let amiss = Amiss {
                store_away: checks.fails(OBJECT_STORE),
                gop_too_long: read.is_gop_too_long(),
            };
            let log_lag_ms = read.take_lag();
            Some(Counters { broadcast, log_lag_ms, amiss, ..Counters::default() })
        };
        let _: () = live.run(open, told).await;
        anyhow::Ok(())
    });
    supervisor.spawn("worker", async move {
        tokio::select! {
            // What is not finished is replayed by the next process.
            () = stop.cancelled() => Ok(()),
            error = worker::run(services, config, log) => {
                overtaken.store(error.is_fenced(), Ordering::Relaxed);
                Err(error)
            }
        }
    });
    supervisor.run(Duration::from_secs(5)).await?;
    Ok(())
}
