//! Logs and metrics of a process.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Sends `tracing` to stderr in the configured format. The first call wins;
/// tests may call it as often as they like.
pub fn init(config: &TelemetryConfig) {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for people: in a file they are noise.
        .with_ansi(std::io::stderr().is_terminal());
    // An error only says that a subscriber is already there.
    drop(match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    });
}

/// The metrics of a process, under the prefix `millrace`.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::with_prefix("millrace"))) }
    }
}

impl Metrics {
    /// Adds a metric and hands back the one to count with; clones of it share
    /// their values. `name` has no prefix, no unit and, for counters, no
    /// `_total`.
    pub fn register<M>(&self, name: &str, help: &str, metric: M) -> M
    where
        M: prometheus_client::registry::Metric + Clone,
    {
        self.with(|registry| registry.register(name, help, metric.clone()));
        metric
    }

    /// As [`Metrics::register`], with a unit that ends the name.
    pub fn register_with_unit<M>(&self, name: &str, help: &str, unit: Unit, metric: M) -> M
    where
        M: prometheus_client::registry::Metric + Clone,
    {
        self.with(|registry| registry.register_with_unit(name, help, unit, metric.clone()));
        metric
    }

    /// The registry itself.
    pub fn with<T>(&self, work: impl FnOnce(&mut Registry) -> T) -> T {
        work(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ =
            self.with(|registry| prometheus_client::encoding::text::encode(&mut text, registry));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn a_registered_counter_is_rendered_with_prefix_and_value() {
        let metrics = Metrics::default();
        let frames: Counter = metrics.register("frames", "Frames taken", Counter::default());
        frames.inc_by(3);
        assert!(metrics.render().contains("millrace_frames_total 3"), "{}", metrics.render());
    }
}
