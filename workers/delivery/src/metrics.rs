//! What delivery counts.

use millrace_platform::breaker::BreakerMetrics;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern, never a URL: few values.
    pub route: String,
    /// Status code.
    pub status: u16,
}

/// Labels of sent bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// The route's pattern.
    pub route: String,
}

/// Where media was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "they are label values")]
pub enum Layer {
    /// This replica's cache.
    memory,
    /// Redis.
    redis,
    /// The object store.
    store,
    /// Nowhere.
    none,
}

/// Labels of a media lookup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LayerLabels {
    /// Where it was found.
    pub layer: Layer,
}

/// Why a WebSocket was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "they are label values")]
pub enum Closed {
    /// Its client left, or was lost.
    left,
    /// Its client was too far behind, or took nothing for too long.
    slow,
    /// Its client did not answer a ping.
    silent,
    /// Its client sent a message.
    unsupported,
    /// Its client sent what is no frame, or too large.
    broken,
    /// Its client sent too many control frames.
    flooding,
    /// This process ends.
    shutdown,
    /// Its client may not listen any more.
    lapsed,
}

/// Labels of closed WebSockets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabels {
    /// Why.
    pub reason: Closed,
}

/// Labels of who may not watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeniedLabels {
    /// Why, one of few words.
    pub reason: &'static str,
}

/// Labels of a stream's gauges.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StreamLabels {
    /// The stream's id. At most as many as are followed.
    pub stream: String,
}

/// All of delivery's metrics; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Requests answered.
    pub requests: Family<RequestLabels, Counter>,
    /// Bytes of response bodies.
    pub bytes: Family<RouteLabels, Counter>,
    /// Viewers' connections that are open: what the chart scales replicas by.
    pub connections: Gauge,
    /// Requests blocked until something is published.
    pub waiters: Gauge,
    /// Media lookups by where they ended.
    pub lookups: Family<LayerLabels, Counter>,
    /// Playlists written; all waiters of one change share one.
    pub renders: Counter,
    /// Streams followed now.
    pub followed: Gauge,
    /// Streams followed from the object store because Redis does not answer.
    pub degraded: Gauge,
    /// Seconds from the end of the last published part of the top rung to now.
    pub live_edge: Family<StreamLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    /// Beacons of players taken.
    pub beacons: Counter,
    /// Requests whose CMCD can't be read.
    pub cmcd_malformed: Counter,
    /// Viewers this replica keeps.
    pub viewers: Gauge,
    /// Signs of viewers there was no place for.
    pub viewers_untracked: Counter,
    /// Viewers' sessions that wait for Postgres.
    pub sessions_waiting: Gauge,
    /// Viewers' sessions that had no place while Postgres was away.
    pub sessions_lost: Counter,
    /// Whether this replica sums the metrics of all.
    pub aggregates: Gauge,
    /// Seconds that could not be summed while Redis remembered them.
    pub seconds_missed: Counter,
    /// Rows of metrics written.
    pub rows_written: Counter,
    /// Rows of metrics that had no place while Postgres was away.
    pub rows_lost: Counter,
    /// Open WebSockets.
    pub sockets: Gauge,
    /// Messages sent to their clients.
    pub socket_messages: Counter,
    /// WebSockets that were closed.
    pub sockets_closed: Family<ClosedLabels, Counter>,
    /// Requests without a token that admits, by reason.
    pub denied: Family<DeniedLabels, Counter>,
    /// Keys in use that may sign tokens.
    pub playback_keys: Gauge,
    /// 1 while the file of keys, as it is now, is not in use.
    pub playback_keys_unread: Gauge,
    /// What the circuit breakers do.
    pub breakers: BreakerMetrics,
}

impl Metrics {
    /// Registers everything under `delivery_`.
    pub fn register(&self, registry: &mut Registry) {
        self.breakers.register(registry);
        let registry = registry.sub_registry_with_prefix("delivery");
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register("response_bytes", "Bytes of response bodies", self.bytes.clone());
        registry.register("connections", "Open viewers' connections", self.connections.clone());
        registry.register("waiters", "Requests blocked until a publication", self.waiters.clone());
        registry.register("media_lookups", "Media lookups by layer found", self.lookups.clone());
        registry.register("playlist_renders", "Playlists written", self.renders.clone());
        registry.register("followed_streams", "Streams followed", self.followed.clone());
        registry.register(
            "degraded_streams",
            "Streams followed from the object store because Redis does not answer",
            self.degraded.clone(),
        );
        registry.register(
            "live_edge_latency_seconds",
            "From the end of the last published part of the top rung to now",
            self.live_edge.clone(),
        );
        registry.register("beacons", "Beacons of players", self.beacons.clone());
        self.register_audience(registry);
        self.register_access(registry);
        self.register_sockets(registry);
    }

    fn register_audience(&self, registry: &mut Registry) {
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("viewers", "Viewers this replica keeps", &self.viewers);
        gauge("sessions_waiting", "Sessions that wait for Postgres", &self.sessions_waiting);
        gauge("aggregates", "1 where this replica sums all metrics", &self.aggregates);
        let mut counter =
            |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("cmcd_malformed", "Requests with unreadable CMCD", &self.cmcd_malformed);
        counter("viewers_untracked", "Signs of viewers without place", &self.viewers_untracked);
        counter("sessions_lost", "Viewers' sessions lost", &self.sessions_lost);
        counter("seconds_missed", "Seconds of metrics not summed", &self.seconds_missed);
        counter("metric_rows_written", "Rows of metrics written", &self.rows_written);
        counter("metric_rows_lost", "Rows of metrics lost", &self.rows_lost);
    }

    fn register_access(&self, registry: &mut Registry) {
        registry.register("denied", "Requests without a right token", self.denied.clone());
        registry.register("playback_keys", "Keys that sign tokens", self.playback_keys.clone());
        let unread = self.playback_keys_unread.clone();
        registry.register("playback_keys_unread", "1 while the file of keys is wrong", unread);
    }

    fn register_sockets(&self, registry: &mut Registry) {
        registry.register("sockets", "Open WebSockets", self.sockets.clone());
        let messages = self.socket_messages.clone();
        registry.register("socket_messages", "Messages sent by WebSocket", messages);
        let closed = self.sockets_closed.clone();
        registry.register("sockets_closed", "WebSockets closed by reason", closed);
    }

    /// Counts a media lookup.
    pub fn found(&self, layer: Layer) {
        self.lookups.get_or_create(&LayerLabels { layer }).inc();
    }
}
