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
        match services.log_holds().await {
            Ok(log) => services.metrics.log_holds(log),
            Err(error) => tracing::debug!(%error, "the log's end is not known"),
        }
        stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await;
    }
    Ok(())
}
