//! What comes by way of a CDN: it proves itself by a secret in a header, and
//! who does not may be sent away.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use millrace_platform::config::{ConfigError, Env, Secret, Setting};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use super::state::Shared;

const HEADER: HeaderName = HeaderName::from_static("x-millrace-origin-secret");
/// Shortest secret.
const LEAST: usize = 16;

/// The secrets of the CDN in front; none: nothing is asked for.
#[derive(Debug, Clone, Default)]
pub struct Cdn {
    secrets: Vec<OriginSecret>,
    covers: Covers,
}

/// What is for the CDN alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Covers {
    /// Playlists, manifests and media.
    #[default]
    Media,
    /// Everything on the viewers' listener.
    All,
}

impl Setting for Covers {
    const EXPECTED: &'static str = "media or all";
    fn parse(text: &str) -> Option<Self> {
        match text {
            "media" => Some(Self::Media),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
struct OriginSecret(Secret);

impl Setting for OriginSecret {
    const EXPECTED: &'static str = "at least 16 printable ASCII characters without spaces";
    const SECRET: bool = true;
    fn parse(text: &str) -> Option<Self> {
        let fits = text.len() >= LEAST && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(Secret::new(text)))
    }
}

/// A request that came by way of the CDN; an extension of it.
#[derive(Debug, Clone, Copy)]
pub struct ByCdn;

impl Cdn {
    /// `ORIGIN_SECRET`, `ORIGIN_SECRET_PREVIOUS` (so that it can be changed at
    /// the CDN while both are good) and `ORIGIN_COVERS`.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let secret = env.optional::<OriginSecret>("ORIGIN_SECRET");
        let previous = env.optional::<OriginSecret>("ORIGIN_SECRET_PREVIOUS");
        let covers = env.or("ORIGIN_COVERS", Covers::default());
        let (secret, previous) = (secret?, previous?);
        if secret.is_none() && previous.is_some() {
            let problem = env.note("ORIGIN_SECRET", "not set", "set with ORIGIN_SECRET_PREVIOUS");
            return Err(problem.into());
        }
        Ok(Self { secrets: secret.into_iter().chain(previous).collect(), covers: covers? })
    }

    /// Whether there is one. Then most requests are answered before us, and
    /// those that come tell nothing of who watches.
    pub fn is_in_front(&self) -> bool {
        !self.secrets.is_empty()
    }

    fn sent(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = headers.get(HEADER) else { return false };
        let is = |secret: &OriginSecret| {
            bool::from(shown.as_bytes().ct_eq(secret.0.expose().as_bytes()))
        };
        // All are looked at, so that the time tells nothing either.
        self.secrets.iter().fold(false, |found, secret| found | is(secret))
    }
}

/// The middleware of what is for the CDN alone: 403 for others.
pub async fn media(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    pass(&shared, request, next, Covers::Media).await
}

/// The middleware of the rest of the viewers' listener.
pub async fn other(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    pass(&shared, request, next, Covers::All).await
}

/// Lets a request pass if it is the CDN's, or if nothing that covers so much
/// is asked for.
async fn pass(shared: &Shared, mut request: Request, next: Next, least: Covers) -> Response {
    let cdn = &shared.cdn;
    let open = !cdn.is_in_front() || (least == Covers::All && cdn.covers == Covers::Media);
    if cdn.sent(request.headers()) {
        request.extensions_mut().insert(ByCdn);
    } else if !open {
        return Problem::PastCdn.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_secret_is_good_and_nothing_else() {
        let one = "0123456789abcdef";
        let other = "fedcba9876543210";
        let pairs = [("ORIGIN_SECRET", one), ("ORIGIN_SECRET_PREVIOUS", other)];
        let cdn = Cdn::read(&Env::from_pairs(pairs)).unwrap();
        let sent = |text: &str| cdn.sent(&HeaderMap::from_iter([(HEADER, text.parse().unwrap())]));
        assert!(sent(one) && sent(other));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!sent(wrong), "{wrong}");
        }
        assert!(!cdn.sent(&HeaderMap::new()));
        assert!(!format!("{cdn:?}").contains(one));
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_refused_and_not_shown() {
        for pairs in [
            vec![("ORIGIN_SECRET", "hunter2")],
            vec![("ORIGIN_SECRET", "hunter2 with spaces in")],
            vec![("ORIGIN_SECRET_PREVIOUS", "0123456789abcdef")],
        ] {
            let error = Cdn::read(&Env::from_pairs(pairs)).unwrap_err().to_string();
            assert!(error.contains("ORIGIN_SECRET") && !error.contains("hunter2"), "{error}");
        }
    }
}
