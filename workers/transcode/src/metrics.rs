//! What the transcoder counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use millrace_media::id::RenditionName;
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
    takeovers: Counter,
    writing: Gauge,
    standing_by: Gauge,
    index_behind: Gauge,
    index_left_behind: Counter,
    dropped: Gauge,
    silence: Gauge,
    reader_lag: Gauge,
    checkpoint_lag: Gauge,
    gop_too_long: Gauge,
    places: Arc<Places>,
    /// Parts with pictures.
    picture_parts: Arc<AtomicU64>,
}

/// Places in the log, offsets; [`UNKNOWN`] before they are known.
#[derive(Debug)]
struct Places {
    read: AtomicI64,
    committed: AtomicI64,
    /// The longest that a record had been in the log since that was last asked,
    /// ms.
    lag: AtomicI64,
}

/// No offset, no time.
const UNKNOWN: i64 = -1;

impl Default for Places {
    fn default() -> Self {
        Self {
            read: AtomicI64::new(UNKNOWN),
            committed: AtomicI64::new(UNKNOWN),
            lag: AtomicI64::new(UNKNOWN),
        }
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
            takeovers: counter(
                "transcode_takeovers",
                "Times this standby took a broadcast from a writer that stood still",
            ),
            writing: metrics.register(
                "transcode_writing",
                "1 while this process publishes a broadcast",
                Gauge::default(),
            ),
            standing_by: metrics.register(
                "transcode_standing_by",
                "1 while another process does and this one is ready to take over",
                Gauge::default(),
            ),
            index_behind: metrics.register(
                "index_behind",
                "1 while the object store has not taken the newest index: the checkpoint waits",
                Gauge::default(),
            ),
            index_left_behind: counter(
                "index_left_behind",
                "Times the checkpoint had waited too long for the index and was to move without it",
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
            gop_too_long: metrics.register(
                "source_gop_too_long",
                "1 while the source has no keyframe for ten seconds",
                Gauge::default(),
            ),
            places: Arc::default(),
            picture_parts: Arc::default(),
        }
    }

    /// Whether the source's keyframes are too far apart.
    pub fn gop_too_long(&self, is_too_long: bool) {
        self.gop_too_long.set(i64::from(is_too_long));
    }

    /// The same, as it was told last.
    pub fn is_gop_too_long(&self) -> bool {
        self.gop_too_long.get() != 0
    }

    /// Work begins again from the checkpoint.
    pub fn restarted(&self) {
        self.restarts.inc();
    }

    /// A broadcast was taken over.
    pub fn taken_over(&self) {
        self.takeovers.inc();
    }

    /// What this process does in the broadcast that is on.
    pub fn duty(&self, writing: bool, standing_by: bool) {
        self.writing.set(i64::from(writing));
        self.standing_by.set(i64::from(standing_by));
    }

    /// Whether this process only stands by.
    pub fn is_standing_by(&self) -> bool {
        self.standing_by.get() > 0
    }

    /// A part of this rendition is out.
    pub fn part(&self, rendition: &RenditionName) {
        self.parts.inc();
        if *rendition != RenditionName::audio() {
            self.picture_parts.fetch_add(1, Ordering::Relaxed);
        }
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

    /// Whether the object store has the newest index.
    pub fn index_is_behind(&self, behind: bool) {
        self.index_behind.set(behind.into());
    }

    /// The checkpoint does not wait for the index any more.
    pub fn index_left_behind(&self) {
        self.index_left_behind.inc();
    }

    /// Records went from the log unread.
    pub fn lost(&self, records: i64) {
        self.lost.inc_by(records.unsigned_abs());
    }

    /// A stretch of the log is left out.
    pub fn skipped(&self) {
        self.skipped.inc();
    }

    /// The log was read up to this offset, not with it; what was read last had
    /// been there for so long.
    pub fn read(&self, offset: i64, lag_ms: i64) {
        self.places.read.store(offset, Ordering::Relaxed);
        self.places.lag.fetch_max(lag_ms.max(0), Ordering::Relaxed);
    }

    /// How long records had been in the log when they were read, at the most
    /// since this was last asked, ms; none if none was read.
    pub fn take_lag(&self) -> Option<u64> {
        u64::try_from(self.places.lag.swap(UNKNOWN, Ordering::Relaxed)).ok()
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

    /// Parts with pictures published since the process began. Sound goes on
    /// where no encoder gets past a picture.
    pub fn picture_parts(&self) -> u64 {
        self.picture_parts.load(Ordering::Relaxed)
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
        metrics.read(28, 7);
        metrics.committed(15);
        metrics.committed(12);
        assert_eq!(lags(10, 30), (2, 15));
        // Retention went past the checkpoint; then the log was made anew.
        assert_eq!(lags(20, 30), (2, 10));
        assert_eq!(lags(0, 5), (5, 5));
    }

    #[test]
    fn the_longest_lag_is_told_once() {
        let metrics = TranscodeMetrics::default();
        assert_eq!(metrics.take_lag(), None);
        for lag_ms in [3, 9, -4] {
            metrics.read(1, lag_ms);
        }
        assert_eq!(metrics.take_lag(), Some(9));
        assert_eq!(metrics.take_lag(), None);
        // A clock that was set back is no lag.
        metrics.read(1, -4);
        assert_eq!(metrics.take_lag(), Some(0));
    }
}
