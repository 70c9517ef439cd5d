//! A certificate chain and its private key, as two PEM files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_platform::tls::provider;
use rustls::InconsistentKeys;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::not_after::not_after;

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `RTMPS_CERT_FILE`: the server's certificate first, then its issuers'.
    pub certificate: PathBuf,
    /// `RTMPS_KEY_FILE`.
    pub key: PathBuf,
}

/// Files that are no certificate with its key.
#[derive(Debug, thiserror::Error)]
pub enum BadPair {
    /// One can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One is no PEM file of what it should be.
    #[error("{} holds no {what} in PEM form", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The first certificate is none.
    #[error("{} holds no X.509 certificate", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The key is another certificate's.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    OtherKey {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The key or the certificate is of a kind that can't be used.
    #[error("{} and {} can't be used", certificate.display(), key.display())]
    Unusable {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// What the files hold.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

/// A pair that can be shown.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// Seconds since 1970.
    pub(super) not_after: i64,
}

impl TlsFiles {
    /// Reads both, as they are now.
    pub(super) fn read(&self) -> Result<Contents, BadPair> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| BadPair::Read { path: path.to_owned(), source })
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// Makes a pair of what was read.
    pub(super) fn parse(&self, contents: &Contents) -> Result<Pair, BadPair> {
        let (certificate, key) = (&self.certificate, &self.key);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<_, _>>()
            .map_err(|source| self.no_certificate(source))?;
        let first = chain.first().ok_or_else(|| self.no_certificate(pem::Error::NoItemsFound))?;
        let not_after =
            not_after(first).ok_or_else(|| BadPair::NoCertificate { path: certificate.clone() })?;
        let private = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|source| BadPair::Pem { path: key.clone(), what: "private key", source })?;
        let fits = CertifiedKey::from_der(chain, private, &provider());
        let key = fits.map_err(|source| {
            let (key, certificate) = (key.clone(), certificate.clone());
            match source {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    BadPair::OtherKey { key, certificate }
                }
                source => BadPair::Unusable { key, certificate, source },
            }
        })?;
        Ok(Pair { key: Arc::new(key), not_after })
    }

    fn no_certificate(&self, source: pem::Error) -> BadPair {
        BadPair::Pem { path: self.certificate.clone(), what: "certificate", source }
    }
}
