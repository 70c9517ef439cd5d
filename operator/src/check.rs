//! `millrace-operator check`: asks addresses whether they answer, for
//! `helm test`.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use millrace_platform::report::report;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::api;

/// One answer may take this long.
const TIMEOUT: Duration = Duration::from_secs(5);
/// One that fails is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Addresses that have to answer with a status of 200 to 299
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// How long all of them have together
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    patience: api::duration::Duration,
}

/// Ask one after the other, each until it answers.
pub(crate) async fn run(args: CheckArgs) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let deadline = Instant::now() + args.patience.get();
    for url in &args.urls {
        loop {
            let answer = client.get(url).send().await;
            let answer = answer.and_then(reqwest::Response::error_for_status);
            let Err(error) = answer else { break };
            if Instant::now() >= deadline {
                return Err(error).with_context(|| format!("{url} does not answer as it should"));
            }
            warn!(url, error = report(&error), "asking again");
            tokio::time::sleep(AGAIN).await;
        }
        info!(url, "answers");
    }
    Ok(())
}
