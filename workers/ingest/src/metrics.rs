//! What ingest counts.

use millrace_media::record::Track;
use millrace_platform::breaker::BreakerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Label of what was refused, and why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// One of a fixed set of words.
    pub reason: &'static str,
}

/// Label of what a key was looked at by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByLabel {
    /// One of a fixed set of words.
    pub by: &'static str,
}

/// Label of a track.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TrackLabel {
    /// `audio` or `video`.
    pub track: &'static str,
}

impl From<Track> for TrackLabel {
    fn from(track: Track) -> Self {
        let track = match track {
            Track::Audio => "audio",
            Track::Video => "video",
        };
        Self { track }
    }
}

/// All of them. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Open connections, publishers among them.
    pub connections: Gauge,
    /// Accepted publishers, 0 or 1.
    pub publishers: Gauge,
    /// Epoch of the last accepted publisher.
    pub epoch: Gauge,
    /// Refused publishers and ended publishes by reason.
    pub refused: Family<ReasonLabel, Counter>,
    /// What publish keys were looked at by: `cache`, `postgres`, `postgres_slow`
    /// (in turn, after many wrong keys), `bcrypt`.
    pub key_checks: Family<ByLabel, Counter>,
    /// Connections ended by the server for what they sent or did not send.
    pub faults: Family<ReasonLabel, Counter>,
    /// Messages received of accepted publishers.
    pub frames: Family<TrackLabel, Counter>,
    /// Bytes of them.
    pub bytes: Family<TrackLabel, Counter>,
    /// Messages that are no FLV tag body, skipped.
    pub malformed: Counter,
    /// Bytes waiting for the log.
    pub ring_bytes: Gauge,
    /// Groups of pictures given up because the log took none.
    pub dropped_gops: Counter,
    /// Log messages in them, audio included.
    pub dropped_frames: Counter,
    /// Log messages acknowledged by Kafka.
    pub appended: Counter,
    /// Log messages that Kafka refused for good.
    pub append_failures: Counter,
    /// What the circuit breakers do.
    pub breakers: BreakerMetrics,
}

impl Metrics {
    /// Makes them known under `…_ingest_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.breakers.register(registry);
        let registry = registry.sub_registry_with_prefix("ingest");
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("connections", "Open RTMP connections", &self.connections);
        gauge("publishers", "Accepted publishers", &self.publishers);
        gauge("epoch", "Epoch of the last accepted publisher", &self.epoch);
        gauge("ring_bytes", "Bytes waiting for the log", &self.ring_bytes);
        let mut counter =
            |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("malformed_messages", "Messages that are no FLV tag body", &self.malformed);
        counter("dropped_gops", "Groups of pictures given up", &self.dropped_gops);
        counter("dropped_frames", "Log messages given up", &self.dropped_frames);
        counter("appended_messages", "Log messages acknowledged", &self.appended);
        counter("append_failures", "Log messages refused for good", &self.append_failures);
        registry.register("refused", "Refused publishers by reason", self.refused.clone());
        registry.register(
            "key_checks",
            "What publish keys were looked at by",
            self.key_checks.clone(),
        );
        registry.register(
            "faults",
            "Connections ended for a fault of the peer",
            self.faults.clone(),
        );
        registry.register("frames", "Audio and video messages received", self.frames.clone());
        registry.register("bytes", "Bytes of audio and video received", self.bytes.clone());
    }

    /// Bytes received of all publishers so far.
    pub fn received(&self) -> u64 {
        let of = |track: Track| self.bytes.get_or_create(&track.into()).get();
        of(Track::Audio).saturating_add(of(Track::Video))
    }

    /// Counts a refusal.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a look at a key.
    pub fn key_check(&self, by: &'static str) {
        self.key_checks.get_or_create(&ByLabel { by }).inc();
    }

    /// Counts a fault.
    pub fn fault(&self, reason: &'static str) {
        self.faults.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a message of an accepted publisher.
    pub fn message(&self, track: Track, bytes: usize) {
        self.frames.get_or_create(&track.into()).inc();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.get_or_create(&track.into()).inc_by(bytes);
    }
}
