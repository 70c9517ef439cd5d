//! The keys that may sign tokens, and what comes of a token.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};

use super::claims::{Claims, Grant};
use super::crypto;
use crate::tokens::{StreamPattern, StreamPatterns};

/// Keys in it.
const MOST_KEYS: usize = 64;
/// Longest name of a key.
const MOST_KID: usize = 128;
/// Largest token looked at, bytes.
const MOST_TOKEN: usize = 4 * 1024;
/// Shortest secret of HS256, bytes (RFC 7518 §3.2).
const LEAST_SECRET: usize = 32;
/// Whom a token must be meant for, if it says for whom.
const AUDIENCE: &str = "millrace";

/// Keys by their ids.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, Key>);

#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    verifying: DecodingKey,
    streams: StreamPatterns,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What may be told of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaybackKey {
    /// Its id.
    pub kid: String,
    /// `HS256` or `ES256`.
    pub alg: &'static str,
    /// The streams it may sign for.
    pub streams: Vec<String>,
}

/// Why a file of keys is none. Says nothing of what keys hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidKeys {
    /// Longer than 64 KB.
    #[error("longer than {} bytes", Keys::MOST_BYTES)]
    Long,
    /// No JSON, or no set of keys.
    #[error("not a JWK Set: line {line}, column {column}")]
    Json {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// None, or more than 64.
    #[error("{0} keys; 1 to {MOST_KEYS} are possible")]
    Count(usize),
    /// One of them is not right.
    #[error("key {kid}: {why}")]
    Key {
        /// Its id, or its place.
        kid: String,
        /// What is not right.
        why: &'static str,
    },
}

/// Why a token counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a JWT of at most 4 KB, or its claims can't be understood.
    #[error("not a token")]
    Malformed,
    /// Signed with a key that is not known here.
    #[error("the token's key is not known")]
    Key,
    /// Not signed by that key, with its algorithm.
    #[error("the token's signature is not right")]
    Signature,
}

/// A member of the set: a key, and what it may sign for.
#[derive(Deserialize, Serialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) jwk: Jwk,
    /// Patterns; without it the key may sign for every stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) millrace_streams: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Entry>,
}

impl Keys {
    /// Largest text of a set, bytes.
    pub const MOST_BYTES: usize = 64 * 1024;

    /// From the text of a JWK Set. Each key has `kid` and `alg`, and may have
    /// `millrace_streams`.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKeys> {
        if text.len() > Self::MOST_BYTES {
            return Err(InvalidKeys::Long);
        }
        crypto::install();
        let set: Set = serde_json::from_slice(text)
            .map_err(|error| InvalidKeys::Json { line: error.line(), column: error.column() })?;
        if set.keys.is_empty() || set.keys.len() > MOST_KEYS {
            return Err(InvalidKeys::Count(set.keys.len()));
        }
        let mut keys = BTreeMap::new();
        for (place, entry) in set.keys.into_iter().enumerate() {
            let id = entry.jwk.common.key_id.clone();
            let wrong = |why| {
                let kid = id.clone().unwrap_or_else(|| format!("number {}", place + 1));
                InvalidKeys::Key { kid: kid.chars().take(MOST_KID).collect(), why }
            };
            let key = Key::read(&entry).map_err(wrong)?;
            let kid = id.clone().filter(|kid| (1..=MOST_KID).contains(&kid.len()));
            let kid = kid.ok_or_else(|| wrong("kid is missing or too long"))?;
            if keys.insert(kid, key).is_some() {
                return Err(wrong("stands twice"));
            }
        }
        Ok(Self(keys))
    }

    /// What each is, without what is secret.
    pub fn list(&self) -> Vec<PlaybackKey> {
        let known = |(kid, key): (&String, &Key)| PlaybackKey {
            kid: kid.clone(),
            alg: if key.algorithm == Algorithm::HS256 { "HS256" } else { "ES256" },
            streams: key.streams.to_texts(),
        };
        self.0.iter().map(known).collect()
    }

    /// What a token grants. Its times are not looked at here: a grant may be
    /// kept, and asked again and again.
    pub fn verify(&self, token: &str) -> Result<Grant, Refused> {
        if token.len() > MOST_TOKEN {
            return Err(Refused::Malformed);
        }
        let header = decode_header(token).map_err(|_| Refused::Malformed)?;
        // What it calls critical has to be understood (RFC 7515 §4.1.11).
        if header.crit.is_some() {
            return Err(Refused::Malformed);
        }
        let key = header.kid.and_then(|kid| self.0.get(&kid)).ok_or(Refused::Key)?;
        // The key decides which algorithm it is, not the token.
        let mut validation = Validation::new(key.algorithm);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        validation.set_audience(&[AUDIENCE]);
        let decoded = decode::<Claims>(token, &key.verifying, &validation);
        let claims = decoded.map_err(|error| Refused::of(&error))?.claims;
        claims.grant(&key.streams).ok_or(Refused::Malformed)
    }
}

impl Refused {
    fn of(error: &jsonwebtoken::errors::Error) -> Self {
        use jsonwebtoken::errors::ErrorKind::{InvalidAlgorithm, InvalidSignature};
        match error.kind() {
            InvalidSignature | InvalidAlgorithm => Self::Signature,
            _ => Self::Malformed,
        }
    }
}

impl Key {
    fn read(entry: &Entry) -> Result<Self, &'static str> {
        let Entry { jwk, millrace_streams } = entry;
        if jwk.common.public_key_use.as_ref().is_some_and(|use_| *use_ != PublicKeyUse::Signature) {
            return Err("use is not sig");
        }
        let algorithm = match (jwk.common.key_algorithm, &jwk.algorithm) {
            (Some(KeyAlgorithm::HS256), AlgorithmParameters::OctetKey(_)) => Algorithm::HS256,
            (Some(KeyAlgorithm::ES256), AlgorithmParameters::EllipticCurve(key))
                if key.curve == EllipticCurve::P256 =>
            {
                Algorithm::ES256
            }
            _ => return Err("neither HS256 with kty oct nor ES256 with kty EC and crv P-256"),
        };
        let verifying = DecodingKey::from_jwk(jwk).map_err(|_| "not the base64url of a key")?;
        let bytes = verifying.try_get_as_bytes().map_err(|_| "not the base64url of a key")?;
        match algorithm {
            Algorithm::HS256 if bytes.len() < LEAST_SECRET => return Err("k is under 32 bytes"),
            // 4, x, y.
            Algorithm::ES256 if bytes.len() != 65 => return Err("x or y is not 32 bytes"),
            _ => {}
        }
        Ok(Self { algorithm, verifying, streams: streams(millrace_streams.as_deref())? })
    }
}

fn streams(texts: Option<&[String]>) -> Result<StreamPatterns, &'static str> {
    let Some(texts) = texts else { return Ok([StreamPattern::All].into_iter().collect()) };
    let patterns: Result<Vec<StreamPattern>, _> = texts.iter().map(|text| text.parse()).collect();
    let patterns = patterns.map_err(|_| "millrace_streams holds no pattern of streams")?;
    let patterns: StreamPatterns = patterns.into_iter().collect();
    if patterns.fit() { Ok(patterns) } else { Err("millrace_streams is empty or too long") }
}
