//! A server on the way to delivery, at an address of its own.

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running one; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Before {
    /// The multivariant playlist, seen through it.
    pub(crate) index: String,
    task: JoinHandle<()>,
}

impl Drop for Before {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Before {
    /// One before the multivariant playlist at `index`; `router` is told `http://host:port` of that.
    ///
    /// # Errors
    /// When there is no free port.
    pub(crate) async fn start(index: &str, router: impl FnOnce(&str) -> Router) -> Result<Self> {
        let path = index.find("/hls/").with_context(|| format!("no /hls/ in {index}"))?;
        let (origin, path) = index.split_at(path);
        let router = router(origin);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let index = format!("http://{}{path}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            // It ends when this is dropped.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { index, task })
    }
}
