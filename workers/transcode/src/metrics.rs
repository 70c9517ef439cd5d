//! What the transcoder counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use millrace_media::timeline::Counters;
use millrace_platform::kafka::Watermarks;
use millrace_platform::telemetry::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Handles to the transcoder's metrics; clones count together.
#[derive(Debug, Clone, Default)]
pub struct TranscodeMetrics {
    restarts: Counter,
    parts: Counter,
    segments: Counter,
    stored: Counter,
    publish_failures: Counter,
    store_failures: Counter,
    missing: Counter,
    lost: Counter,
    skipped: Counter,
    dropped: Gauge,
    silence: Gauge,
    reader_lag: Gauge,
    checkpoint_lag: Gauge,
    places: Arc<Places>,
}

/// Places in the log, offsets; [`UNKNOWN`] before they are known.
#[derive(Debug)]
struct Places {
    read: AtomicI64,
    committed: AtomicI64,
}

/// No offset.
const UNKNOWN: i64 = -1;

impl Default for Places {
    fn default() -> Self {
        Self { read: AtomicI64::new(UNKNOWN), committed: AtomicI64::new(UNKNOWN) }
    }
}

impl TranscodeMetrics {
    /// Registers them all.
    pub fn register(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.register(name, help, Counter::default());
        Self {
            restarts: counter("transcode_restarts", "Times work began again at the checkpoint"),
            parts: counter("parts_published", "Parts written to Redis"),
            segments: counter("segments_published", "Segments written to Redis"),
            stored: counter("segments_stored", "Segments in the object store"),
            publish_failures: counter("publish_failures", "Writes that Redis did not take"),
            store_failures: counter("store_failures", "Uploads that the object store did not take"),
            missing: counter("segments_missing", "Segments given up for the object store"),
            lost: counter("log_records_lost", "Records gone from the log before they were read"),
            skipped: counter(
                "log_skips",
                "Times a stretch of the log was left out because no encoder survives it",
            ),
            dropped: metrics.register(
                "fold_dropped_frames",
                "Source frames that have no place on the timeline",
                Gauge::default(),
            ),
            silence: metrics.register(
                "fold_silent_frames",
                "Audio frames of silence put in where sound was missing",
                Gauge::default(),
            ),
            reader_lag: metrics.register(
                "log_reader_lag_records",
                "Records of the log that are not read yet",
                Gauge::default(),
            ),
            checkpoint_lag: metrics.register(
                "log_checkpoint_lag_records",
                "Records of the log after the checkpoint: what a new process reads again",
                Gauge::default(),
            ),
            places: Arc::default(),
        }
    }

    /// Work begins again from the checkpoint.
    pub fn restarted(&self) {
        self.restarts.inc();
    }

    /// A part is out.
    pub fn part(&self) {
        self.parts.inc();
    }

    /// A segment is in Redis.
    pub fn segment(&self) {
        self.segments.inc();
    }

    /// A segment is in the object store.
    pub fn stored(&self) {
        self.stored.inc();
    }

    /// Redis did not take something.
    pub fn publish_failed(&self) {
        self.publish_failures.inc();
    }

    /// The object store did not take something.
    pub fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// A segment will never be in the object store.
    pub fn missing(&self) {
        self.missing.inc();
    }

    /// Records went from the log unread.
    pub fn lost(&self, records: i64) {
        self.lost.inc_by(records.unsigned_abs());
    }

    /// A stretch of the log is left out.
    pub fn skipped(&self) {
        self.skipped.inc();
    }

    /// The log was read up to this offset, not with it.
    pub fn read(&self, offset: i64) {
        self.places.read.store(offset, Ordering::Relaxed);
    }

    /// The checkpoint is at this offset.
    pub fn committed(&self, offset: i64) {
        self.places.committed.fetch_max(offset, Ordering::Relaxed);
    }

    /// What the log holds now. A place that is not known is its beginning, and
    /// so is one that a log made anew does not have.
    pub fn log_holds(&self, log: Watermarks) {
        let lag = |place: &AtomicI64| {
            let place = place.load(Ordering::Relaxed);
            let place = if place > log.high { log.low } else { place.max(log.low) };
            log.high.saturating_sub(place)
        };
        self.reader_lag.set(lag(&self.places.read));
        self.checkpoint_lag.set(lag(&self.places.committed));
    }

    /// Parts published since the process began.
    pub fn parts(&self) -> u64 {
        self.parts.get()
    }

    /// The fold's counters.
    pub fn fold(&self, counters: Counters) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let Counters { before_keyframe, stray, late_audio, foreign_audio, .. } = counters;
        self.dropped.set(whole(before_keyframe + stray + late_audio + foreign_audio));
        self.silence.set(whole(counters.silence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_the_log_has_after_a_place() {
        let metrics = TranscodeMetrics::default();
        let lags = |low, high| {
            metrics.log_holds(Watermarks { low, high });
            (metrics.reader_lag.get(), metrics.checkpoint_lag.get())
        };
        assert_eq!(lags(10, 30), (20, 20));
        metrics.read(28);
        metrics.committed(15);
        metrics.committed(12);
        assert_eq!(lags(10, 30), (2, 15));
        // Retention went past the checkpoint; then the log was made anew.
        assert_eq!(lags(20, 30), (2, 10));
        assert_eq!(lags(0, 5), (5, 5));
    }
}
