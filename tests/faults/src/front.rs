//! What stands before two replicas of delivery: each request goes to the next one in turn, and at
//! once to the other when that one does not answer. As a player behind a Service would see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use millrace_harness::http::Http;

use crate::before::Before;

struct Inside {
    http: Http,
    /// `http://host:port` of each replica.
    replicas: Vec<String>,
    turn: AtomicUsize,
}

/// One before the multivariant playlist at `index` and the same of another replica at `other`.
///
/// # Errors
/// When there is no free port.
pub(crate) async fn start(http: &Http, index: &str, other: String) -> Result<Before> {
    Before::start(index, |origin| {
        let replicas = vec![origin.to_owned(), other];
        let inside = Inside { http: http.clone(), replicas, turn: AtomicUsize::new(0) };
        Router::new().fallback(answer).with_state(Arc::new(inside))
    })
    .await
}

async fn answer(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let asked = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let turn = inside.turn.fetch_add(1, Ordering::Relaxed);
    let replicas = inside.replicas.iter().cycle().skip(turn % inside.replicas.len().max(1));
    for replica in replicas.take(inside.replicas.len()) {
        if let Ok((status, bytes)) = inside.http.get(&format!("{replica}{asked}")).await {
            return (status, Body::from(bytes)).into_response();
        }
    }
    StatusCode::BAD_GATEWAY.into_response()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn replica(says: &'static str) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(move || async move { says });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    async fn said(first: &str, second: String) -> Vec<String> {
        let http = Http::new().unwrap();
        let front = start(&http, &format!("{first}/hls/a/index.m3u8"), second).await;
        let front = front.unwrap();
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(http.text(&front.index).await.unwrap_or_else(|error| error.to_string()));
        }
        said
    }

    #[tokio::test]
    async fn replicas_take_turns_and_the_one_that_is_left_answers_for_both() {
        let (one, other) = (replica("one").await, replica("other").await);
        assert_eq!(said(&one, other.clone()).await, ["one", "other", "one", "other"]);
        let nobody = "http://127.0.0.1:1".to_owned();
        assert_eq!(said(&nobody, other).await, ["other"; 4]);
        assert_eq!(said(&one, nobody.clone()).await, ["one"; 4]);
        assert!(said(&nobody, nobody.clone()).await.iter().all(|what| what.contains("502")));
    }
}
