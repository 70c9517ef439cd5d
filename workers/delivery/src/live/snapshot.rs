//! What a replica shows of one stream at one moment.

use std::sync::Arc;

use millrace_media::id::BroadcastId;

use super::view::View;

/// The stream's current (or last) broadcast, and the one before it while it is
/// remembered: its viewers still have its end to read.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The current or last broadcast.
    pub current: Arc<View>,
    /// The one before, ended.
    pub previous: Option<Arc<View>>,
    /// Redis does not answer: it is read from the object store.
    pub degraded: bool,
}

impl Snapshot {
    /// The view of this broadcast, if it is one of the two.
    pub fn view(&self, broadcast: BroadcastId) -> Option<&Arc<View>> {
        let previous = self.previous.as_ref();
        [Some(&self.current), previous].into_iter().flatten().find(|v| v.broadcast() == broadcast)
    }
}
