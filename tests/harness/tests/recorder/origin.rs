//! The least server that speaks low-latency HLS: one broadcast in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use millrace_media::hls::{Query, Reach, Window, media_playlist, multivariant};
use millrace_media::id::RenditionName;
use millrace_media::published::{BroadcastInfo, InitHash, MediaName};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::package::{Packaged, name};

/// One rendition as far as it is published.
struct Live {
    window: Window,
    files: HashMap<String, Bytes>,
}

#[derive(Clone)]
struct Origin {
    broadcast: Arc<BroadcastInfo>,
    live: Arc<Mutex<HashMap<RenditionName, Live>>>,
    /// Counts publications.
    changed: watch::Sender<u64>,
    /// What becomes of a file (`360p/2-1.m4s`) when it was asked for once.
    later: Option<(&'static str, Later)>,
    asked: Arc<AtomicBool>,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// It has other bytes.
    Changed,
    /// There is none.
    Gone,
}

/// Serves a broadcast and publishes it, part after part, much faster than real
/// time. Returns the URL of its multivariant playlist.
pub(crate) async fn serve(
    broadcast: BroadcastInfo,
    packaged: Vec<Packaged>,
    later: Option<(&'static str, Later)>,
) -> String {
    let mut live = HashMap::new();
    for rendition in &packaged {
        let init = MediaName::Init(InitHash::of(&rendition.init)).to_string();
        let files = HashMap::from([(init, rendition.init.clone())]);
        let window = Window::new(&broadcast, &rendition.info);
        live.insert(rendition.info.name.clone(), Live { window, files });
    }
    let stream = broadcast.stream.clone();
    let origin = Origin {
        broadcast: Arc::new(broadcast),
        live: Arc::new(Mutex::new(live)),
        changed: watch::Sender::new(0),
        later,
        asked: Arc::default(),
    };
    let routes = Router::new()
        .route("/hls/{stream}/index.m3u8", get(index))
        .route("/hls/{stream}/{broadcast}/{rendition}/{name}", get(file))
        .with_state(origin.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    for rendition in packaged {
        tokio::spawn(origin.clone().publish(rendition));
    }
    format!("http://{address}/hls/{stream}/index.m3u8")
}

impl Origin {
    async fn publish(self, rendition: Packaged) {
        for (entry, bytes) in rendition.entries {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut live = self.live.lock().unwrap();
            let live = live.get_mut(&rendition.info.name).unwrap();
            live.files.extend(name(&entry).map(|name| (name, bytes)));
            live.window.apply(&entry);
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// The file, or what became of it.
    fn later(&self, file: &str, bytes: Bytes) -> Option<Bytes> {
        let later = self.later.filter(|(name, _)| *name == file);
        let Some((_, later)) = later.filter(|_| self.asked.swap(true, Ordering::Relaxed)) else {
            return Some(bytes);
        };
        (later == Later::Changed).then(|| [&bytes[..], b"more"].concat().into())
    }

    /// The playlist, if what is asked for is there.
    fn playlist(&self, name: &RenditionName, query: Query) -> Result<Option<String>, StatusCode> {
        let live = self.live.lock().unwrap();
        let window = &live.get(name).ok_or(StatusCode::NOT_FOUND)?.window;
        let reach = query.msn.map_or(Reach::Available, |msn| window.reach(msn, query.part));
        match reach {
            Reach::Available if !window.is_empty() => {
                let info = self.broadcast.rendition(name).unwrap();
                let text = media_playlist(&self.broadcast, info, window, &[], query.skip);
                Ok(Some(text))
            }
            Reach::TooFar => Err(StatusCode::BAD_REQUEST),
            _ => Ok(None),
        }
    }
}

async fn index(State(origin): State<Origin>) -> String {
    multivariant(&origin.broadcast, None)
}

async fn file(
    State(origin): State<Origin>,
    Path((_, _, rendition, name)): Path<(String, String, RenditionName, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    if name != "media.m3u8" {
        let live = origin.live.lock().unwrap();
        let found = live.get(&rendition).and_then(|live| live.files.get(&name).cloned());
        let found = found.and_then(|bytes| origin.later(&format!("{rendition}/{name}"), bytes));
        return found.map_or(StatusCode::NOT_FOUND.into_response(), |bytes| {
            Body::from(bytes).into_response()
        });
    }
    let Ok(query) = Query::parse(&query.unwrap_or_default()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut changed = origin.changed.subscribe();
    loop {
        match origin.playlist(&rendition, query) {
            Ok(Some(text)) => return text.into_response(),
            Err(status) => return status.into_response(),
            Ok(None) => _ = changed.changed().await,
        }
    }
}
