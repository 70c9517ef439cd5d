//! Leader election by a Lease: one replica reconciles, and one that can't
//! renew its Lease ends, so that never two do.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::time::Instant;
use tracing::{info, warn};

use super::place::Place;

/// The Lease's name.
const NAME: &str = "millrace-operator";
/// Another replica takes over when the Lease was not renewed for this long.
const DURATION_SECONDS: u64 = 15;
/// It is renewed this long before that, and may be late by as much.
const GRACE_SECONDS: u64 = 8;

/// A renewal that failed is tried again after this,
const AGAIN: Duration = Duration::from_millis(500);
/// and given up after this, before another replica may take the Lease.
const PATIENCE: Duration = Duration::from_secs(6);

/// Why the process can't lead.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The Lease can't be read or written.
    #[error("can't hold the Lease {NAME}")]
    Lease(#[from] LeaseManagerError),
    /// Another replica leads now.
    #[error("the Lease {NAME} was lost to another replica")]
    Lost,
}

/// This process's claim to the Lease.
pub struct Lease(LeaseManager);

impl Lease {
    /// Make the claim. `client` must not wait long for an answer.
    pub async fn new(client: Client, place: &Place) -> Result<Self, LeaderError> {
        let manager = LeaseManagerBuilder::new(client, NAME)
            .with_namespace(&place.own_namespace)
            .with_identity(&place.identity)
            .with_duration(DURATION_SECONDS)
            .with_grace(GRACE_SECONDS)
            .build()
            .await?;
        Ok(Self(manager))
    }

    /// Wait until the Lease is held.
    pub async fn take(&self) -> Result<(), LeaderError> {
        info!("waiting for the Lease {NAME}");
        while !self.0.changed().await? {}
        info!("leading");
        Ok(())
    }

    /// Give it up, after the last write.
    pub async fn release(&self) -> Result<(), LeaderError> {
        Ok(self.0.release().await?)
    }

    /// Keep it, until it is lost. While the API server can't be asked it is
    /// kept for as long as nobody else can have taken it.
    pub async fn keep(&self) -> LeaderError {
        let mut failing_since = None;
        loop {
            let begun = Instant::now();
            let error = match self.0.changed().await {
                Ok(true) => continue,
                Ok(false) => return LeaderError::Lost,
                Err(error) => error,
            };
            // It was renewed meanwhile.
            if begun.elapsed() > PATIENCE {
                failing_since = None;
            }
            let since = *failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE {
                return LeaderError::Lease(error);
            }
            warn!(%error, "can't renew the Lease {NAME}");
            tokio::time::sleep(AGAIN).await;
        }
    }
}
