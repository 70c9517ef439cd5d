//! Verdicts on publish keys in Redis database 0: `key:<key id>`.

use std::sync::LazyLock;
use std::time::Duration;

use millrace_media::id::{KeyId, PublishKey, StreamId};
use redis::Script;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Installation;
use crate::names::redis_keys;
use crate::redis::{Redis, RedisError};

use super::announce::CHANGED;

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("verdict/put.lua")));

/// Life of a verdict that a key is right, and of one that it is revoked.
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
        sha256: SecretDigest,
        /// Not accepted from then on, ms since 1970.
        expires_ms: Option<i64>,
    },
    /// No secret is right for this id: there is no such key. Never written
    /// because one secret was wrong: that would lock out the right one.
    Wrong,
    /// The key was revoked; no other verdict takes the place of this one.
    Revoked,
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
    /// The key was revoked; whether the secret is its own is not known here.
    Revoked,
    /// No secret is right for this id.
    Unknown,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    /// Of revoked keys too: version 1 knows only this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    wrong: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revoked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<i64>,
}

/// SHA-256 of a key's secret: what is compared where bcrypt would be too slow.
/// `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Of this key's secret.
    pub fn of(key: &PublishKey) -> Self {
        Self(Sha256::digest(key.secret()).into())
    }

    /// Whether this key's secret is the one. Compares in constant time.
    pub fn is_of(&self, key: &PublishKey) -> bool {
        Self::of(key).0.ct_eq(&self.0).into()
    }
}

impl std::fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

impl Verdict {
    /// For a key that was just verified against its hash.
    pub fn right(key: &PublishKey, stream: StreamId, expires_ms: Option<i64>) -> Self {
        Self::Right { stream, sha256: SecretDigest::of(key), expires_ms }
    }

    /// What it says to this key, offered for this stream at this time (ms since
    /// 1970). Compares in constant time.
    pub fn answer(&self, key: &PublishKey, stream: &StreamId, now_ms: i64) -> Answer {
        let (own, right, expires_ms) = match self {
            Self::Right { stream, sha256, expires_ms } => (stream, sha256, expires_ms),
            Self::Wrong => return Answer::Unknown,
            Self::Revoked => return Answer::Revoked,
        };
        if !right.is_of(key) {
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
            Self::Wrong => Stored { wrong: true, ..Stored::default() },
            Self::Revoked => Stored { wrong: true, revoked: true, ..Stored::default() },
            Self::Right { stream, sha256, expires_ms } => Stored {
                stream: Some(stream.clone()),
                sha256: Some(hex::encode(sha256.0)),
                expires_ms: *expires_ms,
                ..Stored::default()
            },
        }
    }

    fn from_stored(stored: Stored) -> Option<Self> {
        if stored.wrong {
            return Some(if stored.revoked { Self::Revoked } else { Self::Wrong });
        }
        let sha256 = SecretDigest(hex::decode(stored.sha256?).ok()?.try_into().ok()?);
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

    /// Remembers a verdict: 24 hours, or 10 seconds if it is
    /// [`Verdict::Wrong`]. Of a revoked key it stays remembered that it is.
    pub async fn put(&self, id: &KeyId, verdict: &Verdict) -> Result<(), RedisError> {
        let what = || format!("store the verdict on key {id}");
        let life = match verdict {
            Verdict::Right { .. } | Verdict::Revoked => RIGHT_LIFE,
            Verdict::Wrong => WRONG_LIFE,
        };
        let text = self.redis.to_json(&verdict.to_stored(), what)?;
        let mut put = PUT.key(redis_keys::verdict(&self.installation, id));
        put.arg(text).arg(life.as_secs());
        let stored: Result<i64, _> = put.invoke_async(&mut self.redis.connection()).await;
        stored.map(drop).map_err(|e| self.redis.error(what(), e))
    }

    /// Notes that a key is revoked and tells everybody. Call it after Postgres
    /// knows.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), RedisError> {
        let what = || format!("announce that key {id} is revoked");
        let mut all = redis::pipe();
        all.atomic();
        self.add_revoked(&mut all, id, what)?;
        all.publish(redis_keys::revoked_channel(&self.installation), id.as_str()).ignore();
        self.redis.pipeline(&all, what).await
    }

    /// Forgets what was said of a key and tells everybody to ask again. Call it
    /// after Postgres knows what is new.
    pub async fn changed(&self, id: &KeyId) -> Result<(), RedisError> {
        let mut all = redis::pipe();
        all.atomic()
            .del(redis_keys::verdict(&self.installation, id))
            .ignore()
            .publish(redis_keys::revoked_channel(&self.installation), format!("{CHANGED}{id}"))
            .ignore();
        self.redis.pipeline(&all, || format!("announce that key {id} has changed")).await
    }

    /// Sets verdicts right that may be older than what Postgres says; tells
    /// nobody.
    pub async fn settle(&self, revoked: &[KeyId], changed: &[KeyId]) -> Result<(), RedisError> {
        let what = || format!("settle {} verdicts", revoked.len() + changed.len());
        if revoked.is_empty() && changed.is_empty() {
            return Ok(());
        }
        let mut all = redis::pipe();
        for id in revoked {
            self.add_revoked(&mut all, id, what)?;
        }
        for id in changed {
            all.del(redis_keys::verdict(&self.installation, id)).ignore();
        }
        self.redis.pipeline(&all, what).await
    }

    fn add_revoked(
        &self,
        commands: &mut redis::Pipeline,
        id: &KeyId,
        what: impl Fn() -> String,
    ) -> Result<(), RedisError> {
        let text = self.redis.to_json(&Verdict::Revoked.to_stored(), what)?;
        let key = redis_keys::verdict(&self.installation, id);
        commands.set_ex(key, text, RIGHT_LIFE.as_secs()).ignore();
        Ok(())
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
        assert_eq!(Verdict::Revoked.answer(&right, &mine, 0), Answer::Revoked);
    }

    #[test]
    fn a_verdict_is_stored_as_the_architecture_page_says() {
        let json = serde_json::to_string(&Verdict::Wrong.to_stored()).unwrap();
        assert_eq!(json, r#"{"wrong":true}"#);
        let json = serde_json::to_string(&Verdict::Revoked.to_stored()).unwrap();
        assert_eq!(json, r#"{"wrong":true,"revoked":true}"#);
        let verdict = Verdict::right(&key("0123456789abcdef"), "a.b".parse().unwrap(), None);
        let json = serde_json::to_value(verdict.to_stored()).unwrap();
        assert_eq!(json["stream"], "a.b");
        assert_eq!(Verdict::from_stored(serde_json::from_value(json).unwrap()), Some(verdict));
    }
}
