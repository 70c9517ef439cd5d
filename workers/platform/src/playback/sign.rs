//! Keys and tokens made by hand: for tests, for trying out, and as an example
//! of what a signer does.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rand::Rng;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::claims::Claims;
use super::crypto;
use super::keys::Entry;

/// A key that signs.
pub struct Signer {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A text that is no key to sign with, or could not be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// Neither form of a key.
    #[error("neither a PEM file of a P-256 key (PKCS #8), nor a JWK with kty oct")]
    Key,
    /// It has no id, and none was given.
    #[error("the key has no kid")]
    Kid,
}

impl Signer {
    /// A new secret of HS256.
    pub fn generate(kid: &str) -> Result<Self, NotSigned> {
        let secret: [u8; 32] = rand::rng().random();
        let key = EncodingKey::from_secret(&secret).map_err(|_| NotSigned::Key)?;
        crypto::install();
        Ok(Self { kid: kid.to_owned(), algorithm: Algorithm::HS256, key })
    }

    /// From a file: a PEM file with a P-256 private key (PKCS #8) as openssl
    /// makes it, or a JWK of kty `oct`, or a set of one. `kid` goes before the
    /// JWK's.
    pub fn parse(text: &[u8], kid: Option<&str>) -> Result<Self, NotSigned> {
        crypto::install();
        if let Ok(der) = PrivatePkcs8KeyDer::from_pem_slice(text) {
            let key = EncodingKey::from_ec_der(der.secret_pkcs8_der());
            let kid = kid.ok_or(NotSigned::Kid)?.to_owned();
            let signer = Self { kid, algorithm: Algorithm::ES256, key };
            signer.jwk()?;
            return Ok(signer);
        }
        let entry = entry(text).ok_or(NotSigned::Key)?;
        let jsonwebtoken::jwk::AlgorithmParameters::OctetKey(secret) = &entry.jwk.algorithm else {
            return Err(NotSigned::Key);
        };
        let own = entry.jwk.common.key_id.as_deref();
        let kid = kid.or(own).ok_or(NotSigned::Kid)?.to_owned();
        let key = base64(&secret.value).and_then(|bytes| EncodingKey::from_secret(&bytes).ok());
        Ok(Self { kid, algorithm: Algorithm::HS256, key: key.ok_or(NotSigned::Key)? })
    }

    /// The key as it stands in the set of keys that verify: of ES256 the
    /// public half; HS256 has but one. `streams` are what it may sign for, all
    /// if none.
    pub fn entry(&self, streams: Option<Vec<String>>) -> Result<String, NotSigned> {
        let entry = Entry { jwk: self.jwk()?, millrace_streams: streams };
        serde_json::to_string(&entry).map_err(|_| NotSigned::Key)
    }

    fn jwk(&self) -> Result<Jwk, NotSigned> {
        let mut jwk =
            Jwk::from_encoding_key(&self.key, self.algorithm).map_err(|_| NotSigned::Key)?;
        jwk.common.key_id = Some(self.kid.clone());
        Ok(jwk)
    }

    /// A token.
    pub fn sign(&self, claims: &Claims) -> Result<String, NotSigned> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).map_err(|_| NotSigned::Key)
    }
}

/// A JWK, or the one of a set.
fn entry(text: &[u8]) -> Option<Entry> {
    let read: serde_json::Value = serde_json::from_slice(text).ok()?;
    let one = match read.get("keys") {
        None => read,
        Some(keys) => {
            let [one] = keys.as_array()?.as_slice() else { return None };
            one.clone()
        }
    };
    serde_json::from_value(one).ok()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use millrace_harness::certificate::Certificate;

    use super::super::{Keys, Refused};
    use super::*;

    fn set(entries: &[String]) -> Keys {
        Keys::parse(format!("{{\"keys\":[{}]}}", entries.join(",")).as_bytes()).unwrap()
    }

    fn claims() -> Claims {
        Claims { exp: 2_000_000_000, sub: Some("events.keynote".to_owned()), ..Claims::default() }
    }

    fn es256(kid: &str) -> Signer {
        Signer::parse(Certificate::new(1).unwrap().key.as_bytes(), Some(kid)).unwrap()
    }

    #[test]
    fn a_token_of_either_algorithm_is_verified_by_its_key_alone() {
        let (secret, pair) = (Signer::generate("hs").unwrap(), es256("es"));
        let keys = set(&[secret.entry(None).unwrap(), pair.entry(None).unwrap()]);
        for signer in [&secret, &pair] {
            assert_eq!(keys.verify(&signer.sign(&claims()).unwrap()).unwrap().until, claims().exp);
        }
        for other in [Signer::generate("hs").unwrap(), es256("es")] {
            let token = other.sign(&claims()).unwrap();
            assert_eq!(keys.verify(&token), Err(Refused::Signature));
        }
        let unknown = Signer::generate("other").unwrap().sign(&claims()).unwrap();
        assert_eq!(keys.verify(&unknown), Err(Refused::Key));
    }

    #[test]
    fn the_key_decides_the_algorithm_and_not_the_token() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
        let pair = es256("es");
        let entry = pair.entry(None).unwrap();
        let keys = set(std::slice::from_ref(&entry));
        // As a secret, what everybody may know of the pair.
        let public: serde_json::Value = serde_json::from_str(&entry).unwrap();
        let point = |name: &str| BASE64.decode(public[name].as_str().unwrap()).unwrap();
        for secret in [[vec![4], point("x"), point("y")].concat(), entry.into_bytes()] {
            let key = EncodingKey::from_secret(&secret).unwrap();
            let forged = Signer { kid: "es".to_owned(), algorithm: Algorithm::HS256, key };
            let token = forged.sign(&claims()).unwrap();
            assert_eq!(keys.verify(&token), Err(Refused::Signature));
        }
        let token = pair.sign(&claims()).unwrap();
        let (_, rest) = token.split_once('.').unwrap();
        let (payload, _) = rest.split_once('.').unwrap();
        for header in [r#"{"alg":"none","kid":"es"}"#, r#"{"alg":"HS512","kid":"es"}"#] {
            for signature in ["", "AAAA"] {
                let forged = format!("{}.{payload}.{signature}", BASE64.encode(header));
                assert!(keys.verify(&forged).is_err(), "{forged}");
            }
        }
        let critical = BASE64.encode(r#"{"alg":"ES256","kid":"es","crit":["b64"],"b64":false}"#);
        assert_eq!(keys.verify(&format!("{critical}.{rest}")), Err(Refused::Malformed));
    }

    #[test]
    fn what_is_no_token_is_refused_whatever_it_is() {
        let signer = Signer::generate("hs").unwrap();
        let keys = set(&[signer.entry(None).unwrap()]);
        let good = signer.sign(&claims()).unwrap();
        let long = Claims { path: Some("x".repeat(4_000)), ..claims() };
        let long = signer.sign(&long).unwrap();
        let cut = good.get(..good.len() - 1).unwrap();
        for bad in ["", ".", "..", "a.b.c", "\u{fffd}", cut, &format!("{good}."), &long] {
            assert!(keys.verify(bad).is_err(), "{bad}");
        }
        let other = serde_json::json!({"exp": 2_000_000_000, "sub": "a.b", "aud": "billing"});
        let header = Header { kid: Some("hs".to_owned()), ..Header::new(Algorithm::HS256) };
        for claims in [other, serde_json::json!({"sub": "a.b"}), serde_json::json!({"exp": "1"})] {
            let token = encode(&header, &claims, &signer.key).unwrap();
            assert_eq!(keys.verify(&token), Err(Refused::Malformed), "{claims}");
        }
    }

    #[test]
    fn a_set_with_a_wrong_key_is_refused_with_its_name_and_no_more() {
        let right = Signer::generate("a").unwrap().entry(None).unwrap();
        let with = |edit: &str| {
            let mut key: serde_json::Value = serde_json::from_str(&right).unwrap();
            let edit: serde_json::Value = serde_json::from_str(edit).unwrap();
            for (name, value) in edit.as_object().unwrap() {
                key[name] = value.clone();
            }
            key.to_string()
        };
        for (entries, word) in [
            (vec![], "0 keys"),
            (vec![right.clone(), right.clone()], "key a: stands twice"),
            (vec![right.clone(); 65], "65 keys"),
            (vec![with(r#"{"kid":null}"#)], "number 1: kid"),
            (vec![with(r#"{"alg":"HS512"}"#)], "key a: neither"),
            (vec![with(r#"{"alg":"ES256"}"#)], "key a: neither"),
            (vec![with(r#"{"alg":null}"#)], "key a: neither"),
            (vec![with(r#"{"use":"enc"}"#)], "use is not sig"),
            (vec![with(r#"{"k":"c2hvcnQ"}"#)], "under 32 bytes"),
            (vec![with(r#"{"k":"%%"}"#)], "base64url"),
            (vec![with(r#"{"millrace_streams":[]}"#)], "millrace_streams"),
            (vec![with(r#"{"millrace_streams":["all"]}"#)], "millrace_streams"),
            (vec!["{".to_owned()], "JWK Set"),
            (vec![" ".repeat(70_000)], "longer than"),
        ] {
            let text = format!("{{\"keys\":[{}]}}", entries.join(","));
            let error = Keys::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn keys_are_listed_without_what_is_secret() {
        let (secret, pair) = (Signer::generate("hs").unwrap(), es256("es"));
        let streams = Some(vec!["events.*".to_owned()]);
        let keys = set(&[secret.entry(streams).unwrap(), pair.entry(None).unwrap()]);
        let listed = serde_json::to_value(keys.list()).unwrap();
        assert_eq!(
            listed,
            serde_json::json!([
                {"kid": "es", "alg": "ES256", "streams": ["*"]},
                {"kid": "hs", "alg": "HS256", "streams": ["events.*"]},
            ])
        );
        let shown = format!("{keys:?}{secret:?}");
        assert!(!shown.contains("SecretOrDer") && !shown.contains("EncodingKey"), "{shown}");
    }

    #[test]
    fn a_key_without_an_id_and_what_is_no_key_can_not_sign() {
        let pem = Certificate::new(1).unwrap().key;
        assert_eq!(Signer::parse(pem.as_bytes(), None).unwrap_err(), NotSigned::Kid);
        let public = es256("es").entry(None).unwrap();
        for text in [public.as_str(), "", "{}", "-----BEGIN PRIVATE KEY-----\nAAAA\n"] {
            assert_eq!(Signer::parse(text.as_bytes(), Some("a")).unwrap_err(), NotSigned::Key);
        }
        let secret = Signer::generate("a").unwrap().entry(None).unwrap();
        for text in [secret.clone(), format!("{{\"keys\":[{secret}]}}")] {
            Signer::parse(text.as_bytes(), None).unwrap().sign(&claims()).unwrap();
        }
    }
}
