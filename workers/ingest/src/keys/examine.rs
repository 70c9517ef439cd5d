//! What Postgres says of a key.

use std::net::IpAddr;
use std::time::Instant;

use millrace_media::id::{KeyId, PublishKey};
use millrace_platform::keys::Verdict;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::keys::StoredKey;
use millrace_platform::report::report;
use tracing::warn;

use super::Inner;
use super::guard::Known;
use crate::refusal::Refusal;
use millrace_platform::wall;

/// What Postgres says of a key: until when it is good (ms since 1970).
pub(super) struct Examined {
    pub(super) result: Result<Result<Option<i64>, Refusal>, DatabaseError>,
    /// There is a key of this id.
    pub(super) exists: bool,
}

impl Inner {
    /// Asks Postgres, in turn.
    pub(super) async fn ask(&self, key: &PublishKey, from: IpAddr) -> Result<Known, Refusal> {
        // Whoever was right before does not wait behind those who guess.
        let tired = !self.proven.knows(key) && self.failures().tire(Instant::now(), from, key.id());
        self.metrics.key_check(if tired { "postgres_slow" } else { "postgres" });
        let turn = self.lanes.turn(tired).await;
        let Examined { result, exists } = self.examine(key).await;
        match &result {
            Ok(Ok(_)) => turn.right(),
            _ => drop(turn),
        }
        match result {
            Ok(Ok(expires_ms)) => Ok(Known { unasked: false, expires_ms }),
            Ok(Err(refusal)) => {
                if refusal == Refusal::WrongKey {
                    let tired = self.note_wrong(from, exists.then(|| key.id()));
                    // A flood of made-up ids must not fill the cache.
                    if !exists && !tired {
                        self.remember(key.id(), &Verdict::Wrong).await;
                    }
                }
                Err(refusal)
            }
            Err(error) => {
                warn!(key = %key.id(), "a key can't be checked: {:#}", report(&error));
                Err(Refusal::Unchecked)
            }
        }
    }

    /// Postgres's answer; a good one is remembered in the cache.
    pub(super) async fn examine(&self, key: &PublishKey) -> Examined {
        let stored = match self.table.find(key.id()).await {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                let result = Ok(Err(Refusal::WrongKey));
                return Examined { result, exists: false };
            }
            Err(error) => return Examined { result: Err(error), exists: false },
        };
        let right = match self.proven.is_right(key, &stored.key.hash) {
            Some(right) => Ok(right),
            None => self.verify(key, &stored).await,
        };
        // Only who knows the secret learns more than that it is wrong.
        let answer = match right {
            Ok(true) => self.standing(&stored).map(|()| stored.key.expires_ms),
            Ok(false) => Err(Refusal::WrongKey),
            Err(refusal) => Err(refusal),
        };
        if answer.is_ok() {
            let right = Verdict::right(key, stored.key.stream.clone(), stored.key.expires_ms);
            self.remember(key.id(), &right).await;
        }
        Examined { result: Ok(answer), exists: true }
    }

    async fn verify(&self, key: &PublishKey, stored: &StoredKey) -> Result<bool, Refusal> {
        self.metrics.key_check("bcrypt");
        match self.hasher.verify(key, &stored.key.hash).await {
            Ok(right) => {
                if right {
                    self.proven.note(key, &stored.key.hash);
                }
                Ok(right)
            }
            Err(error) => {
                warn!(key = %key.id(), "a key can't be verified: {}", report(&error));
                Err(Refusal::Unchecked)
            }
        }
    }

    /// What is to be said of a key whose secret is right.
    fn standing(&self, stored: &StoredKey) -> Result<(), Refusal> {
        if !stored.active {
            Err(Refusal::Revoked)
        } else if stored.key.stream != self.stream {
            Err(Refusal::OtherStream)
        } else if !stored.is_valid_at(wall::ms()) {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    /// Notes that the key was accepted.
    pub(super) async fn touch(&self, id: &KeyId) {
        if let Err(error) = self.table.touch(id).await {
            warn!("{}", report(&error));
        }
    }
}
