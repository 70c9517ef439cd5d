//! Thousands of WebSockets that get a message each second.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use millrace_delivery::metrics::Metrics;
use millrace_delivery::origin::Origin;
use millrace_media::id::StreamId;
use millrace_platform::redis::metrics::{MetricsData, Snapshot};
use millrace_platform::wall;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Site;
use super::delivery::Delivery;
use super::feed::Feed;
use crate::cpu;
use crate::latency::Spread;
use crate::report::{Row, decimals};

const CLIENTS: u32 = 10_000;
/// Messages of each that count, a second apart.
const SECONDS: usize = 20;
const PATIENCE: Duration = Duration::from_mins(1);

/// CPU, memory, and how far from a second apart each client's messages came.
pub(crate) async fn measure(site: &Site) -> Result<Row> {
    let delivery = Delivery::start(site, "sockets").await?;
    let feed = Feed::begin(&delivery.settings, &[("480p", 1_000)]).await?;
    feed.whole(0).await?;
    let origin = Origin::open(&delivery.settings, &Metrics::default())?;
    let quiet = delivery.resident()?;
    let url = format!("ws://127.0.0.1:{}/ws/stream/{}", delivery.port, feed.stream());
    let figures = async {
        let mut clients = JoinSet::new();
        let started = Arc::new(Semaphore::new(0));
        for _ in 0..CLIENTS {
            let mut socket = open(&url, delivery.port).await?;
            let started = Arc::clone(&started);
            clients.spawn(async move {
                loop {
                    // Closed when they may begin; what comes before does not count.
                    tokio::select! {
                        biased;
                        _ = started.acquire() => break,
                        message = socket.next() => drop(message.context("closed")??),
                    }
                }
                listen(socket).await
            });
        }
        // What coming cost is over, and the first figures are there.
        sleep(Duration::from_secs(3)).await;
        let resident = delivery.resident()?;
        let (before, begun) = (cpu::used(&[delivery.pid()])?, Instant::now());
        started.close();
        let mut apart = Vec::with_capacity(SECONDS * CLIENTS as usize);
        while let Some(client) = clients.join_next().await {
            apart.extend(client??);
        }
        let core = cpu::used(&[delivery.pid()])?.saturating_sub(before).as_secs_f64()
            / begun.elapsed().as_secs_f64();
        anyhow::Ok((apart, core, resident))
    };
    let (apart, core, resident) = tokio::select! {
        figures = figures => figures?,
        error = tell(&origin, feed.stream()) => return error.map(|never| match never {}),
    };
    delivery.stop().await;
    let second = Duration::from_secs(1);
    let jitter = apart.into_iter().map(|apart| apart.abs_diff(second)).collect();
    let spread = Spread::of(jitter).context("no message")?;
    let ms = |time: Duration| decimals(time.as_secs_f64() * 1_000.0, 1);
    let kb = resident.saturating_sub(quiet) / 1_000 / u64::from(CLIENTS);
    let values = vec![
        decimals(core * 100.0, 1),
        (resident / 1_000_000).to_string(),
        kb.to_string(),
        ms(spread.p50),
        ms(spread.p99),
        ms(spread.max),
    ];
    Ok(Row::new("10,000 clients, one process", values, "no message was missing"))
}

async fn open(url: &str, port: u16) -> Result<WebSocketStream<TcpStream>> {
    let small = WebSocketConfig::default().read_buffer_size(1_024).write_buffer_size(0);
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    Ok(client_async_with_config(url, stream, Some(small)).await?.0)
}

/// How far apart its messages came.
async fn listen(mut socket: WebSocketStream<TcpStream>) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(SECONDS + 1);
    while times.len() <= SECONDS {
        let message = timeout(PATIENCE, socket.next()).await.context("a message is missing")?;
        if let Message::Text(text) = message.context("closed")??
            && text.contains("\"metrics\"")
        {
            times.push(Instant::now());
        }
    }
    let apart = times.windows(2).map(|pair| match pair {
        [one, next] => next.duration_since(*one),
        _ => Duration::ZERO,
    });
    let apart: Vec<_> = apart.collect();
    ensure!(apart.len() == SECONDS, "{} messages", apart.len());
    Ok(apart)
}

/// The figures of each second, as the replica that sums them writes them.
async fn tell(origin: &Origin, stream: &StreamId) -> Result<std::convert::Infallible> {
    loop {
        wall::next_second().await;
        let data = MetricsData {
            stream_id: stream.clone(),
            concurrent_viewers: CLIENTS,
            ingress_bitrate_mbps: 3.0,
            egress_bitrate_mbps: 1_500.0,
            quality_distribution: [("480p".parse()?, CLIENTS)].into(),
            dropped_frames: 1,
            buffering_events: 2,
        };
        let second = wall::second();
        let snapshot = Snapshot {
            second,
            broadcast: None,
            data,
            turnover: None,
            log_lag_ms: None,
            amiss: millrace_platform::redis::metrics::Amiss::default(),
        };
        origin.metrics.put_snapshots(&[snapshot]).await?;
    }
}
