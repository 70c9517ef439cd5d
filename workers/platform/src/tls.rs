//! The one TLS stack of every process: rustls with ring.

/// Makes ring the process's provider. Called first in `main`; a second call is
/// harmless.
pub fn install_provider() {
    // An error only says that a provider is already there.
    drop(rustls::crypto::ring::default_provider().install_default());
}
