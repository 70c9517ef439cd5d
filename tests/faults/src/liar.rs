//! A proxy between delivery and the recorder that plants a bug: a suite that never failed proves
//! nothing.
//!
//! [`reset`] and [`cut`] are what it does to playlists and to media; both are pure.

mod cut;
mod reset;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use clap::ValueEnum;
use millrace_harness::http::Http;

use crate::before::Before;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// Media sequence numbers and names begin again at 0.
    Reset,
    /// The last picture of each segment is cut out, and the one before it stays longer.
    Drop,
    /// Who fetches a file again gets another last byte.
    Byte,
}

impl Plant {
    /// What is said of it when it is found.
    pub(crate) fn trace(self) -> &'static str {
        match self {
            Self::Reset => "the end of the list went back",
            Self::Drop => ": lost: ",
            Self::Byte => "its bytes changed",
        }
    }
}

struct Inside {
    plant: Plant,
    http: Http,
    /// `http://host:port` of delivery.
    origin: String,
    told: Mutex<Told>,
}

/// What it remembers of what it told.
#[derive(Default)]
struct Told {
    /// How often each file was asked for.
    fetched: HashMap<String, u32>,
    /// Playlists that began again.
    begun_again: HashSet<String>,
}

/// One before the multivariant playlist at `index`.
///
/// # Errors
/// When there is no free port.
pub(crate) async fn start(plant: Plant, http: &Http, index: &str) -> Result<Before> {
    Before::start(index, |origin| {
        let (origin, http, told) = (origin.to_owned(), http.clone(), Mutex::default());
        let inside = Arc::new(Inside { plant, http, origin, told });
        Router::new().fallback(answer).with_state(inside)
    })
    .await
}

async fn answer(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let asked = inside.translate(&path, request.uri().query().unwrap_or_default());
    match inside.http.get(&format!("{}{asked}", inside.origin)).await {
        Ok((status, bytes)) if status.is_success() => inside.lie(&path, bytes).into_response(),
        Ok((status, bytes)) => (status, Body::from(bytes)).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

impl Inside {
    /// What delivery is asked for.
    fn translate(&self, path: &str, query: &str) -> String {
        let (folder, _) = path.rsplit_once('/').unwrap_or_default();
        if self.told().begun_again.contains(folder) {
            return reset::true_url(path, query);
        }
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// What is told of what delivery answered.
    fn lie(&self, path: &str, bytes: Bytes) -> Bytes {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let is_media = name.strip_suffix(".m4s").is_some();
        match self.plant {
            Plant::Reset if name == "media.m3u8" => {
                let again = reset::playlist(&String::from_utf8_lossy(&bytes));
                let Some(again) = again else { return bytes };
                self.told().begun_again.insert(folder.to_owned());
                again.into()
            }
            // What is no video of ours has no such end.
            Plant::Drop if is_media => cut::last_pictures(&bytes).unwrap_or(bytes),
            Plant::Byte if is_media => {
                let mut told = self.told();
                let times = told.fetched.entry(path.to_owned()).or_default();
                *times += 1;
                if *times > 1 { flip(&bytes) } else { bytes }
            }
            Plant::Reset | Plant::Drop | Plant::Byte => bytes,
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With another last byte.
fn flip(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = !*last;
    }
    bytes.into()
}
