//! The programs that make a machine a node.

use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::http::eventually;
use millrace_harness::process::run;

use crate::command::kubectl;
use crate::place::Place;

/// Ends one at once.
pub(crate) async fn kill(place: &Place, program: &str) -> Result<()> {
    command(place, "kill", program).await
}

/// Starts one on what its predecessor left.
pub(crate) async fn start(place: &Place, program: &str) -> Result<()> {
    command(place, "start", program).await
}

/// Waits until the API server answers, and says that all its nodes are ready.
pub(crate) async fn ready() -> Result<()> {
    eventually("the nodes", Duration::from_mins(2), async || {
        kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=10s"]).await?;
        Ok(())
    })
    .await
}

/// Another node, where there is a script to make it.
#[derive(Debug)]
pub(crate) struct Second<'a> {
    script: &'a str,
}

impl<'a> Second<'a> {
    /// As Kubernetes has it.
    pub(crate) const NAME: &'static str = "millrace-node-2";

    /// Not there yet.
    pub(crate) fn of(place: &'a Place) -> Option<Self> {
        Some(Self { script: place.node_programs.as_deref()? })
    }

    /// Starts it, with the images of the first, and waits until it is ready.
    pub(crate) async fn join(&self) -> Result<()> {
        self.command("up").await
    }

    /// Pulls its network.
    pub(crate) async fn cut(&self) -> Result<()> {
        self.command("cut").await
    }

    /// Puts that back.
    pub(crate) async fn mend(&self) -> Result<()> {
        self.command("mend").await
    }

    /// Ends it and forgets it.
    pub(crate) async fn leave(&self) -> Result<()> {
        self.command("down").await
    }

    async fn command(&self, command: &str) -> Result<()> {
        run("env", &["NODE=second", self.script, command]).await
    }
}

async fn command(place: &Place, command: &str, program: &str) -> Result<()> {
    let script = place.node_programs.as_deref().context("E2E_NODE_PROGRAMS is not set")?;
    run(script, &[command, program]).await
}
