//! `GET /ws/stream/{stream_id}`: the door to [`socket`](crate::socket).

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use millrace_media::id::StreamId;

use super::asker::Asker;
use super::problem::Problem;
use super::serve::Held;
use super::state::Shared;
use crate::socket::seats::Full;

/// Largest frame taken, bytes: those of control have at most 125.
const MAX_FRAME: usize = 1024;
/// Bytes read at a time. Clients say next to nothing.
const READ: usize = 1024;
/// Bytes that wait to be written: one message, and an answer to a ping.
const MAX_WAITING: usize = 64 * 1024;

/// 101 (or by HTTP/2 200, RFC 8441); 404 for a stream of which nothing is
/// known, 503 or 429 where there is no place, 4xx for a request that asks for
/// no WebSocket.
pub async fn open(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    held: Option<Extension<Held>>,
    asker: Asker,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let stream: StreamId = stream.parse()?;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let admitted = shared.sockets.admit(asker.network()).map_err(|full| match full {
        Full::Replica => Problem::Busy("WebSockets"),
        Full::Address => Problem::Crowded("WebSockets"),
    })?;
    shared.follow(&stream).await?;
    let sockets = shared.sockets.clone();
    let upgrade = upgrade
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WAITING)
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_FRAME);
    Ok(upgrade.on_upgrade(async move |socket| {
        sockets.serve(stream, admitted, socket).await;
        // The connection has its place for as long as it is open.
        drop(held);
    }))
}
