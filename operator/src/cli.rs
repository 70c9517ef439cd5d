//! The command line: one subcommand each, thin.

use std::io::Write;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::crd;
use crate::local::{self, args::LocalArgs};

/// Millrace: live video on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "millrace-operator", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the CustomResourceDefinition of LiveStream as YAML
    Crd,
    Local(LocalArgs),
}

impl Cli {
    /// Run the subcommand until it is done or `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        match self.command {
            Command::Crd => {
                let yaml = crd::yaml().context("can't print the CRD")?;
                std::io::stdout().write_all(yaml.as_bytes()).context("can't write to stdout")
            }
            Command::Local(args) => Ok(local::run(args, stop).await?),
        }
    }
}
