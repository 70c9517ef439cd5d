//! A Secret that the spec names, taken for a certificate and its key. What is
//! none would keep a pod from serving, or an Ingress controller from its
//! certificate, and nobody would be told.

use k8s_openapi::api::core::v1::Secret;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::reconcile::build::Certificate;

/// Why a Secret is none; goes on after its name. Says nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCertificate {
    #[error("lacks tls.crt or tls.key")]
    Incomplete,
    #[error("has no certificate in PEM in tls.crt")]
    Chain,
    #[error("has no private key in PEM in tls.key")]
    Key,
    #[error("has a key in tls.key that is not its certificate's")]
    OtherKey,
    #[error("has a certificate and a key that no server can use together")]
    Unusable,
}

/// Both, if they belong together.
pub(super) fn certificate(secret: &Secret) -> Result<Certificate, NoCertificate> {
    let entry = |name: &str| {
        let found = secret.data.as_ref()?.get(name).map(|bytes| bytes.0.clone());
        found.filter(|bytes| !bytes.is_empty())
    };
    let (Some(chain), Some(key)) = (entry("tls.crt"), entry("tls.key")) else {
        return Err(NoCertificate::Incomplete);
    };
    let certificate = Certificate { chain, key };
    check(&certificate)?;
    Ok(certificate)
}

fn check(certificate: &Certificate) -> Result<(), NoCertificate> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate.chain)
        .collect::<Result<_, _>>()
        .map_err(|_| NoCertificate::Chain)?;
    if chain.is_empty() {
        return Err(NoCertificate::Chain);
    }
    let key = PrivateKeyDer::from_pem_slice(&certificate.key).map_err(|_| NoCertificate::Key)?;
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(NoCertificate::OtherKey),
        Err(_) => Err(NoCertificate::Unusable),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use millrace_harness::certificate::Certificate as Made;

    use super::*;

    fn read(chain: &str, key: &str) -> Result<(), NoCertificate> {
        let data = [("tls.crt", chain), ("tls.key", key)];
        let data = data.map(|(name, text)| (name.to_owned(), ByteString(text.into())));
        let secret = Secret { data: Some(BTreeMap::from(data)), ..Secret::default() };
        certificate(&secret).map(drop)
    }

    #[test]
    fn only_a_certificate_with_its_own_key_is_one() {
        let [one, other] = [Made::new(1).unwrap(), Made::new(1).unwrap()];
        let (chain, key) = (one.certificate.as_str(), one.key.as_str());
        let der = chain.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        let broken = chain.replace("MII", "!!!");
        let nonsense = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        for (chain, key, expected) in [
            (chain, key, Ok(())),
            (&format!("{chain}{}", other.certificate), key, Ok(())),
            (chain, "", Err(NoCertificate::Incomplete)),
            ("", key, Err(NoCertificate::Incomplete)),
            ("a certificate", key, Err(NoCertificate::Chain)),
            (&der, key, Err(NoCertificate::Chain)),
            (&broken, key, Err(NoCertificate::Chain)),
            (chain, "a key", Err(NoCertificate::Key)),
            (chain, chain, Err(NoCertificate::Key)),
            (chain, &other.key, Err(NoCertificate::OtherKey)),
            (nonsense, key, Err(NoCertificate::Unusable)),
        ] {
            assert_eq!(read(chain, key), expected, "{chain} {}", key.len());
        }
    }
}
