//! When to stop: SIGTERM (Kubernetes), SIGINT (a terminal), or, where
//! `EXIT_WITH_PARENT` asks for it, the end of the process that started this one.

mod parent;

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT, or with the parent
/// if the environment says `EXIT_WITH_PARENT=stdin`. A second signal ends the
/// process at once, for a stop that hangs.
///
/// # Errors
/// When the process can't take signals.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    parent::watch(token.clone())?;
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
