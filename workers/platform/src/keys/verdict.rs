//! Verdicts on publish keys in Redis database 0: `key:<key id>`.

use std::time::Duration;

use millrace_media::id::{KeyId, PublishKey, StreamId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Installation;
use crate::names::redis_keys;
use crate::redis::{Redis, RedisError};

/// Life of a verdict that a key is right.
const RIGHT_LIFE: Duration = Duration::from_hours(24);
/// Life of a verdict that no key of this id is right.
const WRONG_LIFE: Duration = Duration::from_secs(10);

/// What is known about a key id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The secret with this SHA-256 is right.
    Right {
        /// The stream it may publish to.
        stream: StreamId,
        /// Of the secret half.
        sha256: [u8; 32],
        /// Not accepted from then on, ms since 1970.
        expires_ms: Option<i64>,
    },
    /// No secret is right for this id: unknown, revoked or expired. Never
    /// written because one secret was wrong: that would lock out the right one.
    Wrong,
}

/// What a verdict says to a key that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// May publish.
    Accepted,
    /// The id is known, the secret is another.
    WrongSecret,
    /// The key belongs to another stream.
    OtherStream,
    /// The key has expired.
    Expired,
    /// No secret is right for this id.
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    wrong: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<i64>,
}

impl Verdict {
    /// For a key that was just verified against its hash.
    pub fn right(key: &PublishKey, stream: StreamId, expires_ms: Option<i64>) -> Self {
        Self::Right { stream, sha256: Sha256::digest(key.secret()).into(), expires_ms }
    }

    /// What it says to this key, offered for this stream at this time (ms since
    /// 1970). Compares in constant time.
    pub fn answer(&self, key: &PublishKey, stream: &StreamId, now_ms: i64) -> Answer {
        let Self::Right { stream: own, sha256, expires_ms } = self else { return Answer::Unknown };
        let offered: [u8; 32] = Sha256::digest(key.secret()).into();
        if !bool::from(offered.ct_eq(sha256)) {
            Answer::WrongSecret
        } else if own != stream {
            Answer::OtherStream
        } else if expires_ms.is_some_and(|expires| now_ms >= expires) {
            Answer::Expired
        } else {
            Answer::Accepted
        }
    }

    fn to_stored(&self) -> Stored {
        match self {
            Self::Wrong => Stored { wrong: true, stream: None, sha256: None, expires_ms: None },
            Self::Right { stream, sha256, expires_ms } => Stored {
                wrong: false,
                stream: Some(stream.clone()),
                sha256: Some(hex::encode(sha256)),
                expires_ms: *expires_ms,
            },
        }
    }

    fn from_stored(stored: Stored) -> Option<Self> {
        if stored.wrong {
            return Some(Self::Wrong);
        }
        let sha256 = hex::decode(stored.sha256?).ok()?.try_into().ok()?;
        Some(Self::Right { stream: stored.stream?, sha256, expires_ms: stored.expires_ms })
    }
}

/// The cache.
#[derive(Debug, Clone)]
pub struct Verdicts {
    redis: Redis,
    installation: Installation,
}

impl Verdicts {
    /// In database 0.
    pub fn new(redis: Redis, installation: Installation) -> Self {
        Self { redis, installation }
    }

    /// What is known about this id. An entry that can't be read counts as none.
    pub async fn get(&self, id: &KeyId) -> Result<Option<Verdict>, RedisError> {
        let mut get = redis::cmd("GET");
        get.arg(redis_keys::verdict(&self.installation, id));
        let text: Option<Vec<u8>> =
            self.redis.query(&get, || format!("look up the verdict on key {id}")).await?;
        let stored = text.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(stored.and_then(Verdict::from_stored))
    }

    /// Remembers a verdict: 24 hours, or 10 seconds if it is [`Verdict::Wrong`].
    pub async fn put(&self, id: &KeyId, verdict: &Verdict) -> Result<(), RedisError> {
        let what = || format!("store the verdict on key {id}");
        let life = match verdict {
            Verdict::Right { .. } => RIGHT_LIFE,
            Verdict::Wrong => WRONG_LIFE,
        };
        let text = self.redis.to_json(&verdict.to_stored(), what)?;
        let mut set = redis::cmd("SET");
        set.arg(redis_keys::verdict(&self.installation, id))
            .arg(text)
            .arg("EX")
            .arg(life.as_secs());
        self.redis.query(&set, what).await
    }

    /// Forgets a key and tells everybody. Call it after Postgres knows.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), RedisError> {
        let mut both = redis::pipe();
        both.atomic()
            .cmd("DEL")
            .arg(redis_keys::verdict(&self.installation, id))
            .ignore()
            .cmd("PUBLISH")
            .arg(redis_keys::revoked_channel(&self.installation))
            .arg(id.as_str())
            .ignore();
        self.redis.pipeline(&both, || format!("announce that key {id} is revoked")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> PublishKey {
        PublishKey::new("abcd".parse().unwrap(), secret.to_owned()).unwrap()
    }

    #[test]
    fn a_verdict_answers_by_secret_stream_and_time() {
        let (mine, other) = ("a.b".parse().unwrap(), "a.c".parse().unwrap());
        let right = key("0123456789abcdef");
        let verdict = Verdict::right(&right, StreamId::clone(&mine), Some(1_000));
        assert_eq!(verdict.answer(&right, &mine, 999), Answer::Accepted);
        assert_eq!(verdict.answer(&right, &mine, 1_000), Answer::Expired);
        assert_eq!(verdict.answer(&right, &other, 0), Answer::OtherStream);
        assert_eq!(verdict.answer(&key("0123456789abcdeX"), &mine, 0), Answer::WrongSecret);
        assert_eq!(Verdict::Wrong.answer(&right, &mine, 0), Answer::Unknown);
    }

    #[test]
    fn a_verdict_is_stored_as_the_architecture_page_says() {
        let json = serde_json::to_string(&Verdict::Wrong.to_stored()).unwrap();
        assert_eq!(json, r#"{"wrong":true}"#);
        let verdict = Verdict::right(&key("0123456789abcdef"), "a.b".parse().unwrap(), None);
        let json = serde_json::to_value(verdict.to_stored()).unwrap();
        assert_eq!(json["stream"], "a.b");
        assert_eq!(Verdict::from_stored(serde_json::from_value(json).unwrap()), Some(verdict));
    }
}
