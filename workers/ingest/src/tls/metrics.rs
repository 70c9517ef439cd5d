//! What is counted of the certificate; only where there is one.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct TlsMetrics {
    /// `notAfter` of the certificate in use, in seconds since 1970.
    pub expiry: Gauge,
    /// Changes of the files that were taken up.
    pub reloads: Counter,
    /// Changes of the files that could not be, each counted once.
    pub reload_failures: Counter,
}

impl TlsMetrics {
    /// Makes them known under `…_ingest_certificate_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("ingest");
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate in use expires, in seconds since 1970",
            self.expiry.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Changed certificates that were taken up",
            self.reloads.clone(),
        );
        registry.register(
            "certificate_reload_failures",
            "Changed certificates that can't be used; the old one stays",
            self.reload_failures.clone(),
        );
    }
}
