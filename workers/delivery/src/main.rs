//! The delivery process.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use millrace_delivery::background;
use millrace_delivery::http::api;
use millrace_delivery::http::api::auth::kubernetes;
use millrace_delivery::metrics::Metrics;
use millrace_delivery::observe::Observer;
use millrace_delivery::origin::Origin;
use millrace_delivery::record::relay::{Relay, RelayMetrics};
use millrace_delivery::server::Server;
use millrace_delivery::settings::Settings;
use millrace_platform::config::Env;
use millrace_platform::health::{self, Health};
use millrace_platform::postgres::Database;
use millrace_platform::supervise::Supervisor;
use millrace_platform::{exit, shutdown, telemetry, tls};

/// Longer than the listeners give their requests.
const STOP_WITHIN: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    exit::with(run().await)
}

async fn run() -> anyhow::Result<()> {
    tls::install_provider();
    let settings = Settings::read(&Env::from_process())?;
    telemetry::init(&settings.telemetry);
    let stop = shutdown::on_signal().context("taking signals")?;
    let (registry, health) = (telemetry::Metrics::default(), Health::default());
    let metrics = Metrics::default();
    let relayed = RelayMetrics::default();
    registry.with(|registry| {
        metrics.register(registry);
        relayed.register(registry);
    });

    let origin = Origin::open(&settings, &metrics)?;
    let server = Server::bind(&settings, origin, metrics, stop.clone()).await?;
    let (viewers, admin) = server.addresses()?;
    tracing::info!(%viewers, %admin, "delivery listens");

    let database = settings.database.as_ref().map(Database::open).transpose()?;
    let kubernetes = kubernetes::in_cluster()?;
    let state = api::state::Api::open(
        &settings,
        server.shared(),
        database.as_ref(),
        kubernetes,
        health.clone(),
    )?;
    let observer = Observer::new(server.shared().clone(), database.clone(), &health);
    let mut tasks = Supervisor::new(stop.clone());
    if let (Some(database), Some(kafka)) = (&settings.database, &settings.kafka) {
        let relay = Relay::open(database, kafka, &settings.installation, relayed)?;
        let stop = stop.clone();
        tasks.spawn("events relay", relay.run(stop));
    }
    let token = stop.clone();
    tasks.spawn("observer", async move {
        let _: () = Box::pin(observer.run(token)).await;
        anyhow::Ok(())
    });
    for (name, task) in background::tasks(&settings, database, server.shared(), &stop)? {
        tasks.spawn(name, async move {
            let _: () = task.await;
            anyhow::Ok(())
        });
    }
    let routes = api::router(state).merge(health::router(health, registry));
    tasks.spawn("listeners", async move {
        let _: () = server.run(routes).await;
        anyhow::Ok(())
    });
    tasks.run(STOP_WITHIN).await?;
    Ok(())
}
