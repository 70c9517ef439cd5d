//! The streams as an administrator sees them.

use std::cmp::Reverse;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_media::published::{FrameRate, RenditionKind};
use millrace_platform::report::report;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::caller::{Act, Kind, Target};
use super::auth::on::{On, Read};
use super::auth::{Authenticated, Caller};
use super::problem::{ApiProblem, Refusals};
use super::request::{Listing, Paging, Query};
use super::state::Api;
use super::time::Time;
use crate::http::problem::Problem;
use crate::http::streams::{StreamState, edge_latency};
use crate::live::snapshot::Snapshot;

/// The number of viewers is left out when Redis does not tell it in this time.
const TIME_OUT: Duration = Duration::from_secs(2);

/// Which streams.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Of this namespace.
    namespace: Option<String>,
    /// Most things on the page: 1 to 200, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A stream in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamItem {
    /// `<namespace>.<name>`.
    #[schema(value_type = String)]
    stream_id: StreamId,
    state: StreamState,
    /// The current or last broadcast.
    #[schema(value_type = Option<uuid::Uuid>)]
    broadcast: Option<BroadcastId>,
    /// Who watches; null unless live.
    viewers: Option<u32>,
    /// From the publisher, kbit/s; null unless live.
    ingress_kbps: Option<f64>,
    /// To all viewers, kbit/s; null unless live.
    egress_kbps: Option<f64>,
}

/// The streams, by name
///
/// Those that exist, and those whose last broadcast can still be seen. Without
/// `namespace` a Kubernetes token needs `list` in all namespaces; with it, in
/// that one. One of Millrace's own sees those it is for.
#[utoipa::path(get, path = "/streams", operation_id = "streams_list", tag = "streams", params(Which), responses(
    (status = 200, body = Listing<StreamItem>), Refusals))]
pub async fn list(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    Query(which): Query<Which>,
) -> Result<Json<Listing<StreamItem>>, ApiProblem> {
    let Which { namespace, limit, after } = which;
    let paging = Paging::new(limit, after);
    // A name that is right, so that the namespace decides.
    let checked = namespace.as_deref().map(|namespace| StreamId::new(namespace, "x"));
    checked.transpose().map_err(|e| ApiProblem::field("namespace", e.to_string()))?;
    let target = namespace.as_deref().map_or(Target::Everything, Target::Namespace);
    api.gate.check(&caller, Act::List, target).await?;
    let limit = paging.limit()?;
    let after = paging.after::<StreamId>()?;
    let mut names = names(&api, &caller, namespace.as_deref(), after).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = names.len() > most;
    names.truncate(most);
    let next = names.last().filter(|_| more).map(ToString::to_string);
    let items = items(&api, names).await?;
    Ok(Json(Listing { items, next }))
}

/// Names after this one that the caller may see, in order. Whoever may see few
/// of many is shown as many as there are, whatever page they would be on.
async fn names(
    api: &Api,
    caller: &Caller,
    namespace: Option<&str>,
    after: Option<StreamId>,
) -> Result<Vec<StreamId>, ApiProblem> {
    let seen = api.shared.origin.streams().await.map_err(|error| {
        tracing::warn!(error = report(&error), "the streams can't be listed");
        Problem::Behind
    })?;
    let registered = match api.registry() {
        Some(registry) => registry.names(namespace).await,
        None => Ok(Vec::new()),
    };
    let mut names = registered.unwrap_or_else(|error| {
        tracing::warn!(error = report(&error), "streams without a broadcast can't be listed");
        Vec::new()
    });
    names.extend(seen);
    names.retain(|name| {
        let may = match &caller.kind {
            Kind::Token { streams, .. } => streams.include(name),
            Kind::Kubernetes(_) => true,
        };
        may && namespace.is_none_or(|namespace| name.namespace() == namespace)
            && after.as_ref().is_none_or(|after| name.as_str() > after.as_str())
    });
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Ok(names)
}

async fn items(api: &Api, names: Vec<StreamId>) -> Result<Vec<StreamItem>, ApiProblem> {
    let origin = &api.shared.origin;
    let found =
        tokio::try_join!(origin.media.get_broadcasts(&names), origin.metrics.get_snapshots(&names));
    let (broadcasts, seconds) = found.map_err(|error| {
        tracing::warn!(error = report(&error), "the streams' states can't be read");
        Problem::Behind
    })?;
    let item = |stream_id: StreamId| {
        let broadcast = broadcasts.get(&stream_id);
        let state = match broadcast {
            None => StreamState::Offline,
            Some(info) if info.ended => StreamState::Ended,
            Some(_) => StreamState::Live,
        };
        let second = seconds.get(&stream_id).filter(|_| state == StreamState::Live);
        StreamItem {
            state,
            broadcast: broadcast.map(|info| info.broadcast),
            viewers: second.map(|second| second.data.concurrent_viewers),
            ingress_kbps: second.map(|second| second.data.ingress_bitrate_mbps * 1_000.0),
            egress_kbps: second.map(|second| second.data.egress_bitrate_mbps * 1_000.0),
            stream_id,
        }
    };
    Ok(names.into_iter().map(item).collect())
}

/// One stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// `<namespace>.<name>`.
    #[schema(value_type = String)]
    stream_id: StreamId,
    state: StreamState,
    /// The current or last broadcast.
    #[schema(value_type = Option<uuid::Uuid>)]
    broadcast: Option<BroadcastId>,
    /// When that began.
    started_at: Option<Time>,
    /// Its renditions.
    #[schema(value_type = Vec<String>)]
    renditions: Vec<RenditionName>,
    /// From the end of the last published part of the top rung to now; null
    /// when not live.
    live_edge_latency_seconds: Option<f64>,
    /// Viewers seen in the last 30 s; null when Redis does not tell.
    viewers: Option<u64>,
}

/// What a stream is doing
#[utoipa::path(get, path = "/streams/{stream_id}", operation_id = "streams_status", tag = "streams",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`")), responses(
    (status = 200, body = StreamStatus), Refusals))]
pub async fn status(
    State(api): State<Api>,
    on: On<Read>,
) -> Result<Json<StreamStatus>, ApiProblem> {
    let stream = on.stream;
    let viewers = tokio::time::timeout(TIME_OUT, api.shared.origin.count_viewers(&stream)).await;
    let viewers = viewers.ok().and_then(Result::ok);
    match api.shared.follow(&stream).await {
        Ok(followed) => Ok(Json(describe(stream, &followed.now(), viewers))),
        Err(Problem::NoStream(_)) => Ok(Json(StreamStatus {
            stream_id: stream,
            state: StreamState::Offline,
            broadcast: None,
            started_at: None,
            renditions: Vec::new(),
            live_edge_latency_seconds: None,
            viewers,
        })),
        Err(problem) => Err(problem.into()),
    }
}

fn describe(stream_id: StreamId, snapshot: &Snapshot, viewers: Option<u64>) -> StreamStatus {
    let view = &snapshot.current;
    let live = !view.has_ended();
    StreamStatus {
        stream_id,
        state: if live { StreamState::Live } else { StreamState::Ended },
        broadcast: Some(view.broadcast()),
        started_at: Some(Time(view.info.started_ms)),
        renditions: view.info.renditions.iter().map(|r| r.name.clone()).collect(),
        live_edge_latency_seconds: edge_latency(snapshot),
        viewers,
    }
}

/// A rendition of a broadcast.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    #[schema(value_type = String)]
    name: RenditionName,
    /// Pixels; null for sound.
    width: Option<u32>,
    /// Pixels; null for sound.
    height: Option<u32>,
    /// Pictures a second; null for sound.
    frame_rate: Option<f64>,
    /// RFC 6381.
    codecs: String,
    /// Bit/s at most.
    bandwidth: u64,
    /// Bit/s on average.
    average_bandwidth: u64,
}

/// The renditions of the current or last broadcast, the best first
#[utoipa::path(get, path = "/streams/{stream_id}/qualities", operation_id = "streams_qualities", tag = "streams",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`")), responses(
    (status = 200, body = Listing<Quality>), Refusals))]
pub async fn qualities(
    State(api): State<Api>,
    on: On<Read>,
) -> Result<Json<Listing<Quality>>, ApiProblem> {
    let info = api.shared.follow(&on.stream).await?.now().current.info.clone();
    let FrameRate { num, den } = info.frame_rate;
    let rate = (f64::from(num) / f64::from(den.max(1)) * 1_000.0).round() / 1_000.0;
    let mut items: Vec<Quality> = info
        .renditions
        .iter()
        .map(|rendition| {
            let (size, rate) = match rendition.kind {
                RenditionKind::Video { width, height } => (Some((width, height)), Some(rate)),
                RenditionKind::Audio { .. } => (None, None),
            };
            Quality {
                name: rendition.name.clone(),
                width: size.map(|(width, _)| width),
                height: size.map(|(_, height)| height),
                frame_rate: rate,
                codecs: rendition.codecs.clone(),
                bandwidth: rendition.bandwidth,
                average_bandwidth: rendition.average_bandwidth,
            }
        })
        .collect();
    items.sort_by_key(|quality| Reverse((quality.height, quality.bandwidth)));
    Ok(Json(Listing::whole(items)))
}
