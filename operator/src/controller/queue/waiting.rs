//! How many streams wait for their turn, for a metric: the queue itself is
//! kube's, and does not tell.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::ObjectRef;
use prometheus_client::metrics::gauge::Gauge;

use crate::api::LiveStream;
use crate::fingerprint::fingerprint;

/// The streams that something happened to since they were reconciled last.
/// Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    streams: Arc<Mutex<HashSet<u64>>>,
    gauge: Gauge,
}

impl Waiting {
    /// Nobody waits.
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { streams: Arc::default(), gauge }
    }

    /// Something happened to it.
    pub(super) fn begin(&self, stream: &ObjectRef<LiveStream>) {
        self.change(|streams| streams.insert(key(stream)));
    }

    /// It has its turn, or is gone.
    pub(super) fn end(&self, stream: &ObjectRef<LiveStream>) {
        self.change(|streams| streams.remove(&key(stream)));
    }

    fn change(&self, change: impl FnOnce(&mut HashSet<u64>) -> bool) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut streams) {
            return;
        }
        self.gauge.set(i64::try_from(streams.len()).unwrap_or(i64::MAX));
    }
}

fn key(stream: &ObjectRef<LiveStream>) -> u64 {
    fingerprint(&(&stream.namespace, &stream.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_waits_once_until_its_turn_whatever_version_of_it_is_named() {
        let (gauge, stream) = (Gauge::default(), ObjectRef::new("keynote").within("events"));
        let waiting = Waiting::new(gauge.clone());
        waiting.begin(&stream);
        waiting.begin(&stream);
        waiting.begin(&ObjectRef::new("keynote").within("other"));
        assert_eq!(gauge.get(), 2);
        let mut seen = stream.clone();
        seen.extra.resource_version = Some("5".to_owned());
        waiting.end(&seen);
        waiting.end(&seen);
        assert_eq!(gauge.get(), 1);
    }
}
