//! The command line: one subcommand each, thin.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use millrace_platform::config::Env;
use millrace_platform::kafka::EventType;

use crate::api;
use crate::check::{self, CheckArgs};
use crate::controller;
use crate::crd;
use crate::local::{self, args::LocalArgs};
use crate::playback::{self, PlaybackKeyArgs, PlaybackTokenArgs};
use crate::reconcile::status::table;
use crate::release::{self, ReleaseArgs};
use crate::schema::Schema;
use crate::token::{self, TokenArgs};

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
    Crd {
        /// Print it for people, as Markdown
        #[arg(long)]
        docs: bool,
    },
    /// Write the JSON Schemas of the events into a folder
    #[command(hide = true)]
    EventSchemas {
        /// docs/events of the repository
        folder: PathBuf,
    },
    Local(LocalArgs),
    /// Print docs/conditions.md
    #[command(hide = true)]
    Conditions,
    /// Let all LiveStreams go, so that they can be deleted without an operator
    ///
    /// For before it is uninstalled: takes its finalizer off those that
    /// WATCH_NAMESPACES says, when no operator works any more.
    Release(ReleaseArgs),
    PlaybackKey(PlaybackKeyArgs),
    PlaybackToken(PlaybackTokenArgs),
    /// Ask whether addresses answer
    Check(CheckArgs),
    Token(TokenArgs),
    /// Look after the LiveStreams of a cluster
    ///
    /// The API server is that of the Pod it runs in or of KUBECONFIG. Replicas
    /// elect a leader; the others wait.
    Run,
    /// Bring the database of DATABASE_URL to this version's schema
    ///
    /// May run as often and as often at once as one likes. A database of a
    /// newer version is refused. Roles named by DATABASE_ROLE_CONTROL,
    /// DATABASE_ROLE_WORKER and DATABASE_ROLE_VIEWER are made where they are
    /// missing, with the password in the variable of that name and _PASSWORD,
    /// and given what their programs need.
    Migrate {
        /// How long to wait for the server
        #[arg(long, value_name = "DURATION", default_value = "60s")]
        patience: api::duration::Duration,
        /// Leave a database of a newer version as it is, instead of refusing
        /// it: for a rollback, as each version works with the next one's schema
        #[arg(long)]
        allow_newer: bool,
    },
}

impl Cli {
    /// Run the subcommand until it is done or `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        match self.command {
            Command::Crd { docs } => {
                let text = if docs {
                    crd::docs::markdown().context("can't print the CRD's reference")?
                } else {
                    crd::yaml().context("can't print the CRD")?
                };
                print(&text)
            }
            Command::EventSchemas { folder } => {
                for (name, schema) in EventType::ALL.map(EventType::schema_file) {
                    let path = folder.join(name);
                    std::fs::write(&path, schema)
                        .with_context(|| format!("can't write {}", path.display()))?;
                }
                Ok(())
            }
            Command::Migrate { patience, allow_newer } => {
                let env = Env::from_process();
                let schema = Schema::read(&env, "DATABASE_URL");
                env.report()?;
                let schema = schema?;
                let work = schema.bring_up(patience.get(), allow_newer);
                tokio::select! {
                    done = work => Ok(done?),
                    () = stop.cancelled() => anyhow::bail!("told to stop before it was done"),
                }
            }
            Command::Conditions => print(&table::markdown()),
            Command::Release(args) => release::run(args, stop).await,
            Command::PlaybackKey(args) => playback::key(&args),
            Command::PlaybackToken(args) => playback::token(&args),
            Command::Check(args) => check::run(args).await,
            Command::Token(args) => token::run(args).await,
            Command::Run => Box::pin(controller::run(stop)).await,
            Command::Local(args) => Ok(local::run(args, stop).await?),
        }
    }
}

/// What was asked for goes to stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("can't write to stdout")
}
