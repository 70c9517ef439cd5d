//! Puts the parts together: two listeners over one set of followed streams.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::archive::Archive;
use crate::audience::Audience;
use crate::fetch::Fetch;
use crate::http::state::{Delivery, Shared};
use crate::http::{serve, viewers};
use crate::live::streams::Streams;
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::settings::Settings;
use crate::socket::hub::Sockets;

/// Connections to the administrators' listener.
const ADMIN_CONNECTIONS: usize = 256;

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Delivery before it serves: its listeners are open.
#[derive(Debug)]
pub struct Server {
    viewers: TcpListener,
    admin: TcpListener,
    shared: Shared,
    max_connections: usize,
    shutdown: CancellationToken,
}

impl Server {
    /// Opens both listeners; port 0 takes a free one.
    pub async fn bind(
        settings: &Settings,
        origin: Origin,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, ListenError> {
        let limits = settings.limits;
        let streams = Streams::new(
            origin.clone(),
            metrics.clone(),
            limits.max_streams,
            shutdown.child_token(),
        );
        let sockets = Sockets::new(
            limits.sockets,
            settings.pace,
            streams.clone(),
            &origin,
            metrics.clone(),
            shutdown.child_token(),
        );
        let shared = Shared::from(Delivery {
            streams,
            archive: Archive::new(origin.clone()),
            fetch: Fetch::new(origin.clone(), metrics.clone(), limits.cache_bytes),
            audience: Audience::new(limits.arrivals, metrics.clone()),
            sockets,
            waiters: Arc::new(Semaphore::new(limits.max_waiters)),
            proxies: settings.proxies.clone(),
            access: Access::open(&settings.playback, metrics.clone()).await,
            cdn: settings.cdn.clone(),
            origin,
            metrics,
        });
        Ok(Self {
            viewers: listen(settings.viewers).await?,
            admin: listen(settings.admin).await?,
            shared,
            max_connections: limits.max_connections,
            shutdown,
        })
    }

    /// Where viewers and administrators connect.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.viewers.local_addr()?, self.admin.local_addr()?))
    }

    /// What the handlers share, for health and metrics.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Serves until the shutdown, then lets requests end. `routes` are those
    /// of the administrators' listener.
    pub async fn run(self, routes: Router) {
        let Self { viewers, admin, shared, max_connections, shutdown } = self;
        tokio::join!(
            serve::serve(
                viewers,
                viewers::router(shared.clone()),
                max_connections,
                shared.metrics.connections.clone(),
                shutdown.clone()
            ),
            serve::serve(admin, routes, ADMIN_CONNECTIONS, Gauge::default(), shutdown.clone()),
        );
        // Not connections the listener knows, once upgraded.
        shared.sockets.drain().await;
        shared.streams.drain().await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}
