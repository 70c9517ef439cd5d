//! A client of the WebSocket, and figures for it to be sent.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use millrace_media::id::StreamId;
use millrace_platform::redis::metrics::{MetricsData, MetricsStore, Snapshot};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::task::AbortOnDropHandle;

use super::live::seconds;
use super::{PATIENCE, Replica};

/// An open WebSocket.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Opens one; the status of the answer if it is refused.
    pub(crate) async fn open(replica: &Replica, stream: &StreamId) -> Result<Self, u16> {
        Self::open_from(replica, stream, None).await
    }

    /// Opens one as a proxy does for a client at this address.
    pub(crate) async fn open_from(
        replica: &Replica,
        stream: &StreamId,
        address: Option<&str>,
    ) -> Result<Self, u16> {
        let url = format!("ws://{}/ws/stream/{stream}", replica.viewers);
        let mut request = url.into_client_request().unwrap();
        if let Some(address) = address {
            request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
        }
        let connection = TcpStream::connect(replica.viewers).await.unwrap();
        let opened = tokio_tungstenite::client_async(request, connection);
        match timeout(PATIENCE, opened).await.unwrap() {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("nothing came");
            match message.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The data of the next message of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let mut message = self.next().await;
            if message["type"] == kind {
                return message["data"].take();
            }
        }
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The code with which it is closed, without a word before.
    pub(crate) async fn end_unheard(mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Close(frame) => return frame.unwrap().code.into(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code with which it is closed.
    pub(crate) async fn end(mut self) -> u16 {
        let end = async {
            loop {
                if let Message::Close(frame) = self.socket.next().await.unwrap().unwrap() {
                    return frame.unwrap().code.into();
                }
            }
        };
        timeout(PATIENCE, end).await.expect("it was not closed")
    }
}

/// Writes the figures of each second, as whoever aggregates does, until it is
/// dropped.
pub(crate) fn tell_figures(store: MetricsStore, stream: &StreamId) -> AbortOnDropHandle<()> {
    let data = MetricsData {
        stream_id: stream.clone(),
        concurrent_viewers: 21,
        ingress_bitrate_mbps: 3.0,
        egress_bitrate_mbps: 60.5,
        quality_distribution: [("480p".parse().unwrap(), 20)].into(),
        dropped_frames: 2,
        buffering_events: 1,
    };
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (second, data) = (seconds() - 2, data.clone());
            let (broadcast, turnover) = (None, None);
            let snapshot = Snapshot {
                second,
                broadcast,
                data,
                turnover,
                log_lag_ms: Some(4),
                amiss: millrace_platform::redis::metrics::Amiss::default(),
            };
            let _ = store.put_snapshots(&[snapshot]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}
