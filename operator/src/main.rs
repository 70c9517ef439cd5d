//! `millrace-operator`: reads the command line, sets up logs and signals.

use std::process::ExitCode;

use clap::Parser;
use millrace_operator::cli::Cli;
use millrace_platform::config::{ConfigError, Env, TelemetryConfig};
use millrace_platform::{exit, shutdown, telemetry, tls};

#[tokio::main]
async fn main() -> ExitCode {
    exit::with(run().await)
}

async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let logs = TelemetryConfig::read(&Env::from_process()).map_err(ConfigError::from)?;
    telemetry::init(&logs);
    tls::install_provider();
    cli.run(shutdown::on_signal()?).await
}
