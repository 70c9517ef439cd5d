//! What the controller tells of itself.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use millrace_platform::telemetry::Metrics;
use millrace_platform::wall;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// The stage an error was in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Stage {
    stage: &'static str,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Watch {
    watch: &'static str,
}

/// What the controller tells of itself.
#[derive(Debug, Clone)]
pub struct ControllerMetrics {
    /// 1 while this replica leads.
    pub leader: Gauge,
    reconciles: Counter,
    errors: Family<Stage, Counter>,
    running: Gauge,
    /// Streams that something happened to and that wait for their reconcile.
    pub(super) waiting: Gauge,
    failing: Gauge,
    duration: Histogram,
    last_event: Family<Watch, Gauge<f64, AtomicU64>>,
    restarts: Family<Watch, Counter>,
}

impl ControllerMetrics {
    /// Register them all.
    pub fn register(metrics: &Metrics) -> Self {
        let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let seconds = Unit::Seconds;
        Self {
            leader: metrics.register(
                "operator_leader",
                "1 while this replica leads",
                Gauge::default(),
            ),
            reconciles: metrics.register(
                "operator_reconciles",
                "Reconciles that ended",
                Counter::default(),
            ),
            errors: metrics.register(
                "operator_reconcile_errors",
                "Reconciles that failed, by stage",
                Family::default(),
            ),
            running: metrics.register(
                "operator_reconciles_running",
                "Reconciles that run now",
                Gauge::default(),
            ),
            waiting: metrics.register(
                "operator_streams_waiting",
                "Streams that something happened to and that wait for their reconcile",
                Gauge::default(),
            ),
            failing: metrics.register(
                "operator_streams_failing",
                "Streams whose last reconcile failed",
                Gauge::default(),
            ),
            duration: metrics.register_with_unit(
                "operator_reconcile_duration",
                "How long a reconcile took",
                seconds.clone(),
                Histogram::new(buckets),
            ),
            last_event: metrics.register_with_unit(
                "operator_watch_last_event_timestamp",
                "When a watch last brought something, since 1970",
                seconds,
                Family::default(),
            ),
            restarts: metrics.register(
                "operator_watch_errors",
                "Watches that broke off",
                Family::default(),
            ),
        }
    }

    /// A reconcile begins.
    pub(super) fn begun(&self) {
        self.running.inc();
    }

    /// A reconcile ended, in which stage if it failed.
    pub(super) fn ended(&self, took: Duration, failed_in: Option<&'static str>) {
        self.running.dec();
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(stage) = failed_in {
            self.errors.get_or_create(&Stage { stage }).inc();
        }
    }

    /// So many streams fail now.
    pub(super) fn failing(&self, streams: usize) {
        self.failing.set(i64::try_from(streams).unwrap_or(i64::MAX));
    }

    /// A watch brought something.
    pub(super) fn event(&self, watch: &'static str) {
        let seconds =
            std::time::Duration::from_millis(u64::try_from(wall::ms()).unwrap_or_default());
        self.last_event.get_or_create(&Watch { watch }).set(seconds.as_secs_f64());
    }

    /// A watch broke off.
    pub(super) fn broken(&self, watch: &'static str) {
        self.restarts.get_or_create(&Watch { watch }).inc();
    }
}
