//! The certificate that handshakes show, kept as its files are.
//!
//! Kubernetes swaps a symbolic link, so contents are compared, not times. A
//! pair that is broken, or written by half, is told once and changes nothing.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use millrace_platform::report::report;
use millrace_platform::wall;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use super::metrics::TlsMetrics;
use super::pair::{BadPair, Contents, Pair, TlsFiles};

/// A handshake takes the files as seen if they were looked at this lately.
const FRESH: Duration = Duration::from_secs(1);
/// How long before its end a certificate is warned of, in seconds.
const WARN_BEFORE: i64 = 7 * 24 * 3_600;
/// Between two such warnings.
const WARN_EVERY: Duration = Duration::from_hours(12);

/// See the module.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    shown: RwLock<Arc<CertifiedKey>>,
    looked: Mutex<Instant>,
    seen: Mutex<Seen>,
    metrics: TlsMetrics,
}

#[derive(Debug)]
struct Seen {
    /// In use.
    contents: Contents,
    not_after: i64,
    /// What was told of files that can't be used.
    failure: Option<String>,
    warned: Option<Instant>,
}

impl Certificate {
    /// Reads the files for the first time.
    pub(super) fn load(files: TlsFiles, metrics: TlsMetrics) -> Result<Self, BadPair> {
        let contents = files.read()?;
        let Pair { key, not_after } = files.parse(&contents)?;
        metrics.expiry.set(not_after);
        let mut seen = Seen { contents, not_after, failure: None, warned: None };
        let now = Instant::now();
        seen.warn_of_expiry(now, wall::ms() / 1_000);
        let (shown, looked, seen) = (RwLock::new(key), Mutex::new(now), Mutex::new(seen));
        Ok(Self { files, shown, looked, seen, metrics })
    }

    /// Looks at the files, unless somebody just did.
    pub(super) async fn refresh(self: &Arc<Self>) {
        if self.is_due(Instant::now()) {
            self.look().await;
        }
    }

    /// True for one who then has to look.
    fn is_due(&self, now: Instant) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.saturating_duration_since(*looked) >= FRESH;
        if due {
            *looked = now;
        }
        due
    }

    /// Looks at the files.
    pub(super) async fn look(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // Files are read off the runtime. It fails only when the process ends.
        drop(tokio::task::spawn_blocking(move || this.look_now()).await);
    }

    fn look_now(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match self.changed(&seen.contents) {
            Ok(None) => seen.failure = None,
            Ok(Some((contents, pair))) => {
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = pair.key;
                self.metrics.expiry.set(pair.not_after);
                self.metrics.reloads.inc();
                info!(file = %self.files.certificate.display(), "a new certificate is in use");
                *seen = Seen { contents, not_after: pair.not_after, failure: None, warned: None };
            }
            Err(error) => {
                let failure = report(&error);
                if seen.failure.as_ref() != Some(&failure) {
                    warn!("the certificate stays the old one: {failure}");
                    self.metrics.reload_failures.inc();
                }
                seen.failure = Some(failure);
            }
        }
        seen.warn_of_expiry(now, wall::ms() / 1_000);
    }

    /// What the files hold, if it is not this.
    fn changed(&self, contents: &Contents) -> Result<Option<(Contents, Pair)>, BadPair> {
        if self.files.read()? == *contents {
            return Ok(None);
        }
        // Again: between the two reads both may have been swapped.
        let new = self.files.read()?;
        let pair = self.files.parse(&new)?;
        Ok(Some((new, pair)))
    }
}

impl Seen {
    fn warn_of_expiry(&mut self, now: Instant, seconds: i64) {
        let due = self.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY);
        if let Some(warning) = expiry_warning(self.not_after - seconds).filter(|_| due) {
            warn!(expires = self.not_after, "{warning}");
            self.warned = Some(now);
        }
    }
}

/// What is said of a certificate with so many seconds left, if anything is.
fn expiry_warning(left: i64) -> Option<String> {
    match left {
        ..0 => Some("the RTMPS certificate has expired: encoders will refuse it".to_owned()),
        0..WARN_BEFORE => {
            Some(format!("the RTMPS certificate expires within {} h", left / 3_600 + 1))
        }
        _ => None,
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seven_days_are_warned_of() {
        let day = 24 * 3_600;
        assert_eq!(expiry_warning(7 * day), None);
        assert!(expiry_warning(7 * day - 1).unwrap().ends_with("within 168 h"));
        assert!(expiry_warning(0).unwrap().ends_with("within 1 h"));
        assert!(expiry_warning(-1).unwrap().contains("has expired"));
    }
}
