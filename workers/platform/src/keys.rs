//! Publish keys: made, hashed, verified, and the verdicts on them cached.
//!
//! [`KeyRing`] is a key's whole life: made, rotated, revoked, listed, and kept
//! as a LiveStream's Secret says. The operator uses it for the spec's keys, the
//! API for its own. It writes Postgres ([`postgres::keys`](crate::postgres::keys)),
//! and then says so in Redis: in the verdicts and to all who listen.
//!
//! ingest asks [`Verdicts`] first, then Postgres and [`Hasher`] once, and hears
//! of what changes through [`Announcements`].

mod announce;
mod error;
mod hash;
mod matched;
mod name;
mod ring;
mod spec;
mod verdict;

pub use announce::{Announcements, Heard};
pub use error::{KeyError, RevokeError};
pub use hash::{HashError, Hasher, KeyHash};
pub use name::{InvalidKeyName, KeyName};
pub use ring::{ApiKey, KeyRing, MAX_API_KEYS, MAX_OVERLAP};
pub use spec::{Followed, SpecKey};
pub use verdict::{Answer, SecretDigest, Verdict, Verdicts};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_media::id::{InvalidId, KeyId, PublishKey};
use rand::Rng;
use rand::distr::Alphanumeric;

/// Characters in the id of a new key: 71 bits, no two alike.
const ID_LEN: usize = 12;

/// A new key: an id of 12 letters and digits, a secret of 256 bits.
///
/// # Errors
/// Never in practice; the halves are checked like any others.
pub fn generate(random: &mut impl Rng) -> Result<PublishKey, InvalidId> {
    let id: String = (0..ID_LEN).map(|_| char::from(random.sample(Alphanumeric))).collect();
    let secret: [u8; 32] = random.random();
    PublishKey::new(id.parse::<KeyId>()?, URL_SAFE_NO_PAD.encode(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_parses_back_from_what_its_owner_sees() {
        let key = generate(&mut rand::rng()).unwrap();
        assert_eq!(key.id().as_str().len(), 12);
        assert_eq!(key.secret().len(), 43);
        assert!(key.reveal().parse::<PublishKey>().unwrap() == key);
    }
}
