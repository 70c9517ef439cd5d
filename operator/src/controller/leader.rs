//! Leader election by a Lease: one replica reconciles, and one that can't
//! renew its Lease ends, so that never two do.

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::settings::Settings;

/// The Lease's name.
const NAME: &str = "millrace-operator";
/// Another replica takes over when the Lease was not renewed for this long.
const DURATION_SECONDS: u64 = 15;
/// It is renewed this long before that, and may be late by as much.
const GRACE_SECONDS: u64 = 8;

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
    /// Make the claim.
    pub async fn new(client: &Client, settings: &Settings) -> Result<Self, LeaderError> {
        let manager = LeaseManagerBuilder::new(client.clone(), NAME)
            .with_namespace(&settings.own_namespace)
            .with_identity(&settings.identity)
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

    /// Keep it until `stop`, then give it up; its loss is an error.
    pub async fn keep(self, stop: CancellationToken) -> Result<(), LeaderError> {
        tokio::select! {
            held = self.0.changed() => if held? { Ok(()) } else { Err(LeaderError::Lost) },
            () = stop.cancelled() => Ok(self.0.release().await?),
        }
    }
}
