//! Extractors: a caller, and a stream that the caller may do something to.

use std::collections::HashMap;
use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use millrace_media::id::StreamId;

use super::caller::{Act, Caller, Target};
use crate::http::api::problem::ApiProblem;
use crate::http::api::state::Api;

/// Somebody with a good token.
#[derive(Debug)]
pub struct Authenticated(pub Caller);

impl FromRequestParts<Api> for Authenticated {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiProblem> {
        api.gate.caller(parts).await.map(Self)
    }
}

/// An act, as a type.
pub trait Right: Send + Sync {
    /// Which.
    const ACT: Act;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* #[derive(Debug)] pub struct $name;
        impl Right for $name { const ACT: Act = Act::$name; })*
    };
}

rights! {
    /// See a stream.
    Read,
    /// See its keys.
    ReadKeys,
    /// Change its keys.
    WriteKeys,
    /// End its broadcast.
    EndBroadcast,
}

/// The stream of the path `{stream_id}`, on which the caller may do `R`.
#[derive(Debug)]
pub struct On<R> {
    /// The stream.
    pub stream: StreamId,
    /// Who may.
    pub caller: Caller,
    right: PhantomData<R>,
}

impl<R: Right> FromRequestParts<Api> for On<R> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiProblem> {
        let caller = api.gate.caller(parts).await?;
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, api).await;
        let id = path.ok().and_then(|Path(mut path)| path.remove("stream_id"));
        let stream: StreamId = id.unwrap_or_default().parse()?;
        api.gate.check(&caller, R::ACT, Target::Stream(&stream)).await?;
        Ok(Self { stream, caller, right: PhantomData })
    }
}
