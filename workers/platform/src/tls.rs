//! The one TLS stack of every process: rustls with ring.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Makes ring the process's provider. Called first in `main`; a second call is
/// harmless.
pub fn install_provider() {
    // An error only says that a provider is already there.
    drop(ring::default_provider().install_default());
}

/// The same, for who is asked for one.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
