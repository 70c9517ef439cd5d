//! When to stop: SIGTERM (Kubernetes) or SIGINT (a terminal).

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends
/// the process at once, for a stop that hangs.
///
/// # Errors
/// When the process can't take signals.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    // Lives as long as the process: it owns nothing that must be released.
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if stop.is_cancelled() {
                tracing::warn!(signal = name, "told to stop a second time, stopping at once");
                std::process::exit(130);
            }
            tracing::info!(signal = name, "told to stop");
            stop.cancel();
        }
    });
    Ok(token)
}
