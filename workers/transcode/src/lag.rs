//! How far the reader and the checkpoint are behind the log's end, for metrics.

use std::convert::Infallible;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// How often the log's end is asked for.
const PERIOD: Duration = Duration::from_secs(5);

/// Asks until `stop`. While Kafka does not answer the figures stay.
pub async fn run(services: Services, stop: CancellationToken) -> Result<(), Infallible> {
    while !stop.is_cancelled() {
        // The writer moves it; whoever stands by can only ask.
        if services.metrics.is_standing_by()
            && let Err(error) = services.checkpoint().await
        {
            tracing::debug!(%error, "the checkpoint is not known");
        }
        // A Kafka that is away takes its time to answer.
        let Some(log) = stop.run_until_cancelled(services.log_holds()).await else { break };
        match log {
            Ok(log) => services.metrics.log_holds(log),
            Err(error) => tracing::debug!(%error, "the log's end is not known"),
        }
        stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await;
    }
    Ok(())
}
