//! The way through a door.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::asked::Asked;
use super::{Inside, Refusal, lock};

/// Larger than any object.
const LARGEST: usize = 4 << 20;
/// Who does not shake hands keeps nobody waiting.
const HANDSHAKE: Duration = Duration::from_secs(5);

pub(super) struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    pub(super) fn new(listener: TcpListener, chain: &[u8], key: &[u8]) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key)?;
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key)?);
        Ok(Self { listener, acceptor: config.into() })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((socket, peer)) = self.listener.accept().await else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            if let Ok(Ok(secured)) = timeout(HANDSHAKE, self.acceptor.accept(socket)).await {
                return (secured, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

pub(super) async fn run(listener: TlsListener, inside: Arc<Inside>) {
    // It ends when the door is dropped.
    let _ = axum::serve(listener, Router::new().fallback(pass).with_state(inside)).await;
}

async fn pass(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let asked = Asked::of(request.method(), request.uri());
    let watched = (asked.verb == "watch").then(|| asked.object.resource.clone());
    // Before it is passed on: an end that comes meanwhile is for this watch too.
    let ends = inside.ends.subscribe();
    if let Some(refusal) = inside.judge(asked) {
        return refusal.response();
    }
    if watched.as_ref().is_some_and(|resource| lock(&inside.hushed).contains(resource)) {
        return silent();
    }
    inside.delay().await;
    match forward(&inside, request).await {
        Ok(answer) => back(inside, answer, watched.map(|resource| (resource, ends))),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// The beginning of an answer that never comes.
fn silent() -> Response {
    let nothing = stream::pending::<Result<Bytes, Infallible>>();
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(nothing)).into_response()
}

async fn forward(inside: &Inside, request: Request) -> Result<reqwest::Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", inside.server);
    let body = to_bytes(body, LARGEST).await?;
    let request = inside.client.request(parts.method, url).headers(carried(parts.headers));
    Ok(request.body(body).send().await?)
}

/// Headers that are not about this connection alone.
fn carried(mut headers: HeaderMap) -> HeaderMap {
    for own in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(own);
    }
    headers
}

type Ends = broadcast::Receiver<(String, Refusal)>;

/// An answer on its way back.
struct Answer {
    inside: Arc<Inside>,
    from: reqwest::Response,
    watch: Option<(String, Ends)>,
    /// Events are whole up to here.
    whole: bool,
    ended: bool,
}

fn back(inside: Arc<Inside>, answer: reqwest::Response, watch: Option<(String, Ends)>) -> Response {
    let (status, headers) = (answer.status(), carried(answer.headers().clone()));
    let answer = Answer { inside, from: answer, watch, whole: true, ended: false };
    let pieces = stream::unfold(answer, |mut answer| async move {
        let piece = answer.next().await?;
        Some((Ok::<_, Infallible>(piece), answer))
    });
    (status, headers, Body::from_stream(pieces)).into_response()
}

impl Answer {
    /// The next piece; none at the end. One that breaks off ends too.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let piece = tokio::select! {
            piece = self.from.chunk() => piece.ok()??,
            refusal = told_to_end(&mut self.watch), if self.whole => {
                self.ended = true;
                Bytes::from(refusal.event())
            }
        };
        self.whole = piece.ends_with(b"\n");
        self.inside.delay().await;
        Some(piece)
    }
}

async fn told_to_end(watch: &mut Option<(String, Ends)>) -> Refusal {
    if let Some((resource, ends)) = watch {
        while let Ok((ended, refusal)) = ends.recv().await {
            if ended == *resource {
                return refusal;
            }
        }
    }
    std::future::pending().await
}

impl Inside {
    async fn delay(&self) {
        let delay = *lock(&self.delay);
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }
}
