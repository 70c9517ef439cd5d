//! The token that a request shows, and whether it admits: an extractor that
//! never refuses by itself.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use millrace_media::id::StreamId;
use millrace_media::published::Access;
use millrace_platform::playback::Visit;
use millrace_platform::wall;

use super::cdn::ByCdn;
use super::freshness::Freshness;
use super::problem::Problem;
use super::state::Shared;
use crate::audience::guess::{Client, Peer};
use crate::live::view::View;

/// The parameter of a URL.
const PARAMETER: &str = "token";

/// What a request shows.
pub struct Ticket {
    uri: Uri,
    authorization: Option<HeaderValue>,
    address: Option<IpAddr>,
}

/// Somebody may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// As everybody may.
    Everybody,
    /// With a token that is good until then, seconds since 1970.
    Holder(i64),
}

impl Admitted {
    /// Of an answer that others get only if they show a token too.
    pub fn freshness(self, usual: Freshness) -> Freshness {
        match self {
            Self::Everybody => usual,
            Self::Holder(_) => usual.for_one(),
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FromRequestParts<Shared> for Ticket {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let by_cdn = parts.extensions.get::<ByCdn>().is_some();
        let peer = parts.extensions.get::<Peer>();
        let client = peer.map(|peer| Client::of(*peer, &parts.headers, &shared.proxies, by_cdn));
        Ok(Self {
            uri: parts.uri.clone(),
            authorization: parts.headers.get(AUTHORIZATION).cloned(),
            address: client.map(|client| client.address()),
        })
    }
}

impl Ticket {
    /// The token in the URL: players that are given it there don't show it with
    /// the next URL unless that has it too.
    pub fn in_url(&self) -> Option<&str> {
        let parameters = self.uri.query()?.split('&');
        let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
        pairs.find(|(name, _)| *name == PARAMETER).map(|(_, token)| token)
    }

    /// The query of the URL with what leads it in.
    pub fn query(&self) -> String {
        self.uri.query().map(|query| format!("?{query}")).unwrap_or_default()
    }

    /// RFC 6750 §2.1.
    fn in_header(&self) -> Option<&str> {
        let (scheme, token) = self.authorization.as_ref()?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Whether it admits to this broadcast of the stream.
    pub async fn admit(
        &self,
        shared: &Shared,
        stream: &StreamId,
        view: &View,
    ) -> Result<Admitted, Problem> {
        if view.info.access == Access::Public {
            return Ok(Admitted::Everybody);
        }
        let now = wall::ms().div_euclid(1_000);
        let visit = Visit { stream, address: self.address, path: self.uri.path(), now };
        let token = self.in_url().or_else(|| self.in_header());
        Ok(Admitted::Holder(shared.access.admit(token, &visit).await?))
    }
}
