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

/// Waits until the API server answers, and says that its nodes are ready.
pub(crate) async fn ready() -> Result<()> {
    eventually("the nodes", Duration::from_mins(2), async || {
        kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=10s"]).await?;
        Ok(())
    })
    .await
}

async fn command(place: &Place, command: &str, program: &str) -> Result<()> {
    let script = place.node_programs.as_deref().context("E2E_NODE_PROGRAMS is not set")?;
    run(script, &[command, program]).await
}
