//! `GET /ws/stream/{stream_id}`: the door to [`socket`](crate::socket).

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use millrace_media::id::StreamId;
use millrace_media::published::Access;
use millrace_platform::wall;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::asker::Asker;
use super::problem::Problem;
use super::serve::Held;
use super::state::Shared;
use super::ticket::{Admitted, Ticket};
use crate::live::snapshot::Snapshot;
use crate::live::streams::Followed;
use crate::socket::seats::Full;

/// Largest frame taken, bytes: those of control have at most 125.
const MAX_FRAME: usize = 1024;
/// Bytes read at a time. Clients say next to nothing.
const READ: usize = 1024;
/// Bytes that wait to be written: one message, and an answer to a ping.
const MAX_WAITING: usize = 64 * 1024;
/// A stream whose follower ended is followed again after this.
const ANEW: Duration = Duration::from_secs(1);

/// 101 (or by HTTP/2 200, RFC 8441); 401 or 403 without a token that is needed,
/// 404 for a stream of which nothing is known, 503 or 429 where there is no
/// place, 4xx for a request that asks for no WebSocket.
pub async fn open(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    held: Option<Extension<Held>>,
    asker: Asker,
    ticket: Ticket,
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
    let followed = shared.follow(&stream).await?;
    let view = followed.now().current.clone();
    let may = ticket.admit(&shared, &stream, &view).await?;
    let sockets = shared.sockets.clone();
    let upgrade = upgrade
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WAITING)
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_FRAME);
    Ok(upgrade.on_upgrade(async move |socket| {
        let lapse = CancellationToken::new();
        let served = sockets.serve(stream.clone(), admitted, socket, lapse.clone());
        let lapses = async {
            match may {
                // The next broadcast may not be for everybody, and is not told
                // of then.
                Admitted::Everybody => until_closed(&shared, &stream, followed).await,
                Admitted::Holder(until) => sleep(left(until)).await,
            }
            lapse.cancel();
            // It says so, and ends.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // Looked at before anything is sent.
            biased;
            () = lapses => {}
            () = served => {}
        }
        // The connection has its place for as long as it is open.
        drop(held);
    }))
}

/// Until a broadcast of the stream is not for everybody.
async fn until_closed(shared: &Shared, stream: &StreamId, mut followed: Followed) {
    let is_closed = |now: &Arc<Snapshot>| now.current.info.access != Access::Public;
    while followed.snapshots.wait_for(is_closed).await.is_err() {
        // Its follower ended: with this process, or to begin anew.
        sleep(ANEW).await;
        if let Ok(again) = shared.follow(stream).await {
            followed = again;
        }
    }
}

/// From now to a time in seconds since 1970.
fn left(until: i64) -> Duration {
    let ms = until.saturating_mul(1_000).saturating_sub(wall::ms());
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}
