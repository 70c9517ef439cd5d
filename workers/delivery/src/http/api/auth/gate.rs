//! Lets in who has a good token, and says what they may.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use millrace_platform::report::report;
use millrace_platform::tokens::ApiToken;

use super::audit::Audit;
use super::book::Book;
use super::caller::{Act, Caller, Kind, Target};
use super::kubernetes::{Kubernetes, looks_like_token};
use super::rates::Rates;
use crate::audience::guess::{Client, Peer};
use crate::audience::proxies::Proxies;
use crate::http::api::problem::ApiProblem;

/// Longest token looked at, in bytes.
const LONGEST: usize = 8 * 1024;

/// The gate.
#[derive(Debug)]
pub struct Gate {
    /// Our tokens, where there is a database with them.
    pub book: Option<Book>,
    kubernetes: Option<Kubernetes>,
    proxies: Proxies,
    rates: Rates,
    audit: Audit,
}

impl Gate {
    /// One that knows our tokens and those of Kubernetes, where there are such.
    pub fn new(book: Option<Book>, kubernetes: Option<Kubernetes>, proxies: Proxies) -> Self {
        Self { book, kubernetes, proxies, rates: Rates::default(), audit: Audit::default() }
    }

    /// Who asks.
    pub async fn caller(&self, parts: &Parts) -> Result<Caller, ApiProblem> {
        let Some(token) = bearer(parts)? else {
            return Err(unauthorized("this needs an Authorization header: Bearer and a token"));
        };
        let caller = if let Some(token) = ApiToken::parse(token) {
            self.of_book(&token).await?
        } else if looks_like_token(token) {
            self.of_kubernetes(token, parts).await?
        } else {
            None
        };
        let caller = caller.ok_or_else(|| unauthorized("the token is not good"))?;
        let rate = self.rates.take(&caller.subject).await;
        rate.map_err(|seconds| ApiProblem::too_many("more requests than one may make", seconds))?;
        Ok(caller)
    }

    async fn of_book(&self, token: &ApiToken) -> Result<Option<Caller>, ApiProblem> {
        let book = self.book.as_ref().ok_or_else(|| {
            ApiProblem::unavailable("tokens can't be checked: DATABASE_API_URL is not set")
        })?;
        let found = book.find(token).await;
        let found = found.map_err(|_| ApiProblem::unavailable("Postgres does not answer"))?;
        Ok(found.map(|token| Caller {
            subject: format!("token:{}:{}", token.name, token.id).into(),
            kind: Kind::Token {
                scopes: token.scopes.clone(),
                streams: token.streams.clone(),
                expires_ms: token.expires_ms,
            },
        }))
    }

    async fn of_kubernetes(
        &self,
        token: &str,
        parts: &Parts,
    ) -> Result<Option<Caller>, ApiProblem> {
        let (Some(kubernetes), Some(peer)) =
            (&self.kubernetes, parts.extensions.get::<Peer>().copied())
        else {
            return Ok(None);
        };
        let from = Client::of(peer, &parts.headers, &self.proxies, false).network();
        let user = kubernetes.user(token, from).await.map_err(|error| away(&error))?;
        Ok(user.map(|user| Caller {
            subject: Arc::from(user.name.as_str()),
            kind: Kind::Kubernetes(user),
        }))
    }

    /// Whether the caller may.
    pub async fn check(
        &self,
        caller: &Caller,
        act: Act,
        target: Target<'_>,
    ) -> Result<(), ApiProblem> {
        let may = match &caller.kind {
            Kind::Token { scopes, streams, .. } => {
                let there = match (act, target) {
                    (_, Target::Stream(stream)) => streams.include(stream),
                    // It gets to see those it may.
                    (Act::List, _) => true,
                    _ => streams.are_all(),
                };
                there && scopes.contains(&act.scope())
            }
            Kind::Kubernetes(user) => match &self.kubernetes {
                Some(kubernetes) => {
                    let allowed = kubernetes.allows(user, act, target).await;
                    allowed.map_err(|error| away(&error))?
                }
                None => false,
            },
        };
        if may {
            return Ok(());
        }
        self.audit.refused(caller, act, target).await;
        let needs = match &caller.kind {
            Kind::Token { .. } => format!("scope {} for {target}", act.scope()),
            Kind::Kubernetes(_) => format!("{} livestreams.millrace.dev of {target}", act.verb()),
        };
        Err(ApiProblem::new(StatusCode::FORBIDDEN, format!("the token may not: it needs {needs}")))
    }
}

fn unauthorized(detail: &str) -> ApiProblem {
    ApiProblem::new(StatusCode::UNAUTHORIZED, detail)
}

fn away(error: &kube::Error) -> ApiProblem {
    tracing::warn!(error = report(error), "the API server can't be asked about a token");
    ApiProblem::unavailable("Kubernetes does not say what the token may, try again")
}

/// The token (RFC 6750 §2.1).
fn bearer(parts: &Parts) -> Result<Option<&str>, ApiProblem> {
    let mut given = parts.headers.get_all(AUTHORIZATION).into_iter();
    let (first, second) = (given.next(), given.next());
    let Some(value) = first else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| second.is_none() && text.len() <= LONGEST);
    let token = text.and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
    token
        .map(Some)
        .ok_or_else(|| unauthorized("the Authorization header is not Bearer and a token"))
}
