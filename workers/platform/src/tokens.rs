//! Tokens of the administrators' API: what one is, what it may do, and on which
//! streams. They are kept in [`postgres::tokens`](crate::postgres::tokens).

mod pattern;
mod scope;

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};

pub use pattern::{InvalidPattern, StreamPattern, StreamPatterns};
pub use scope::{InvalidScope, Scope, Scopes};

/// In front of every token: tools that look for lost secrets know it by that.
const PREFIX: &str = "millrace_";
/// Characters of 256 bits.
const SECRET: usize = 43;

/// A token. `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiToken(String);

/// What is kept of a token: its SHA-256.
///
/// A password would need a slow hash, since people choose it from few. A token
/// is 256 random bits: nobody finds it by trying, and so a fast hash tells as
/// little. It is looked up by the hash, so no comparison's time tells anything
/// of the token either.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl ApiToken {
    /// A new one.
    pub fn generate(random: &mut impl Rng) -> Self {
        let secret: [u8; 32] = random.random();
        Self(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(secret)))
    }

    /// A text that has the form of a token.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (secret.len() == SECRET && secret.bytes().all(fits)).then(|| Self(text.to_owned()))
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.0).into())
    }

    /// The whole text, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(…)")
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_parses_back_and_is_shown_to_nobody_else() {
        let token = ApiToken::generate(&mut rand::rng());
        assert_eq!(ApiToken::parse(token.reveal()), Some(token.clone()));
        assert_eq!(format!("{token:?} {:?}", token.hash()), "ApiToken(…) TokenHash(…)");
        for other in ["", "millrace_", &token.reveal()[1..], &format!("{}a", token.reveal())] {
            assert_eq!(ApiToken::parse(other), None, "{other}");
        }
    }
}
