//! What the transcoder counts.

use millrace_media::timeline::Counters;
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
