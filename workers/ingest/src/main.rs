//! `millrace-ingest`: RTMP to the log, one process per stream.

use std::process::ExitCode;

use millrace_ingest::config::Config;
use millrace_platform::config::Env;
use millrace_platform::{exit, shutdown, telemetry, tls};

#[tokio::main]
async fn main() -> ExitCode {
    exit::with(run().await)
}

async fn run() -> anyhow::Result<()> {
    let config = Config::read(&Env::from_process())?;
    telemetry::init(&config.telemetry);
    tls::install_provider();
    let stop = shutdown::on_signal()?;
    Ok(millrace_ingest::run(config, stop).await?)
}
