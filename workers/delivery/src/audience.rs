//! Who watches and what is sent to them, as this replica sees it.
//!
//! Handlers tell an [`Audience`] of every sign of a viewer: the beacon of our
//! player, CMCD keys in requests (CTA-5004), or else a request as such, which
//! stands for a viewer by a salted hash of address and agent ([`guess`]). A
//! [`table`] keeps the newest of each. Once a second [`flush`] reports them to
//! Redis, where the replicas' knowledge meets, and writes what was counted;
//! what is known of each visit then waits for Postgres ([`record`]). Nothing
//! here is waited for by a request.

pub mod entry;
pub mod flush;
pub mod guess;
pub mod proxies;
pub mod record;
pub mod sighting;
pub mod table;
pub mod told;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_media::id::{RenditionName, StreamId};
use millrace_platform::redis::viewers::Viewer;
use millrace_platform::wall;

use crate::metrics::Metrics;
use guess::Client;
use sighting::Sighting;
use table::{Bounds, Table};

/// Viewers this replica keeps at most; more are not counted.
pub const MAX_VIEWERS: usize = 200_000;

/// What handlers tell. Clones share it.
#[derive(Debug, Clone)]
pub struct Audience {
    table: Arc<Mutex<Table>>,
    metrics: Metrics,
}

impl Audience {
    /// Nobody watches yet; at most so many `arrivals` of one address a minute.
    pub fn new(arrivals: u32, metrics: Metrics) -> Self {
        let bounds = Bounds { viewers: MAX_VIEWERS, arrivals };
        Self { table: Arc::new(Mutex::new(Table::new(bounds))), metrics }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of a viewer of a stream that is followed.
    pub fn see(&self, stream: &StreamId, sighting: Sighting) {
        if !self.table().see(stream, sighting, wall::ms()) {
            self.metrics.viewers_untracked.inc();
        }
    }

    /// The name by which a guess knows this client; none until the stream's
    /// salt is known, a second after its first request.
    pub fn guess(&self, stream: &StreamId, client: &Client) -> Option<Viewer> {
        let salt = self.table().salt(stream, wall::ms())?;
        client.name(&salt)
    }

    /// Bytes of a rendition, its playlists included, were sent.
    pub fn sent(&self, stream: &StreamId, rendition: &RenditionName, bytes: u64) {
        self.table().sent(stream, rendition, bytes, wall::ms());
    }
}
