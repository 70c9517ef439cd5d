//! Waiting until every process answers its readiness probe, saying what is
//! waited for.

use std::time::{Duration, Instant};

use tracing::info;

use super::Running;
use super::supervise::State;

/// Time is up.
#[derive(Debug, thiserror::Error)]
#[error("not ready after {after:?}: {missing}")]
pub struct NotReady {
    after: Duration,
    missing: String,
}

/// Between two rounds of probes.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two lines that say the same.
const REPEAT: Duration = Duration::from_secs(5);

/// Wait until all are ready, at most `limit`.
pub(super) async fn wait(processes: &[Running], limit: Duration) -> Result<(), NotReady> {
    let began = Instant::now();
    let mut said: Option<(Vec<&str>, Instant)> = None;
    loop {
        let missing = missing(processes).await;
        if missing.is_empty() {
            info!(after = ?began.elapsed(), "everything is ready");
            return Ok(());
        }
        let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
        let reasons: Vec<_> =
            missing.iter().map(|(name, reason)| format!("{name} ({reason})")).collect();
        if began.elapsed() >= limit {
            return Err(NotReady { after: limit, missing: reasons.join(", ") });
        }
        let news = said.as_ref().is_none_or(|(last, at)| *last != names || at.elapsed() >= REPEAT);
        if news {
            info!("waiting for {}", reasons.join(", "));
            said = Some((names, Instant::now()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Who isn't ready, and why.
async fn missing(processes: &[Running]) -> Vec<(&str, String)> {
    let asked = processes.iter().map(|process| async move {
        let reason = match process.plan.ready.ask().await {
            Ok(()) => return None,
            Err(reason) => reason,
        };
        let state = process.state.borrow().clone();
        let reason = match state {
            State::Down(Some(ended)) => format!("down: {ended}"),
            _ => reason,
        };
        Some((process.plan.name.as_str(), reason))
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}
