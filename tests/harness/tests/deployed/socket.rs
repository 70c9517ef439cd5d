//! One who listens to the WebSocket behind the Ingress.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// Longer than it takes a viewer to be counted.
const PATIENCE: Duration = Duration::from_mins(1);

/// Listens at this address, whose host is at `ingress`, until it has heard that the stream is live
/// and is told of a second in which somebody watches.
pub(crate) async fn hear_of_viewers(ingress: SocketAddr, address: &str) -> Result<()> {
    let heard = timeout(PATIENCE, async {
        let connection = TcpStream::connect(ingress).await?;
        let (mut socket, _) = client_async(address, connection).await?;
        let mut is_live = false;
        loop {
            let message = socket.next().await.context("it was closed")??;
            let Message::Text(text) = message else { continue };
            let Value::Object(message) = serde_json::from_str(&text)? else { continue };
            let data = message.get("data").context("no data")?;
            match message.get("type").and_then(Value::as_str) {
                Some("stream_status") => is_live = data["state"] == "live",
                Some("metrics") if data["concurrentViewers"].as_u64() > Some(0) => {
                    ensure!(is_live, "figures came before a status");
                    return Ok(());
                }
                _ => {}
            }
        }
    });
    heard.await.with_context(|| format!("nothing of viewers from {address}"))?
}
