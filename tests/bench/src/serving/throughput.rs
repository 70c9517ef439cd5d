//! Segments and playlists for each second of a core, beside nginx with the same bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Site;
use super::client::Connection;
use super::delivery::Delivery;
use super::feed::Feed;
use super::files::Files;
use crate::cpu;
use crate::report::{Row, decimals};

/// 300 KB in two seconds.
const KBPS: u32 = 1_200;
/// Segments of the window.
const SEGMENTS: u64 = 20;
/// Clients at a time.
const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(8);

/// A row for delivery, one for nginx, one for how they compare.
pub(crate) async fn measure(site: &Site) -> Result<Vec<Row>> {
    let delivery = Delivery::start(site, "throughput").await?;
    let feed = Feed::begin(&delivery.settings, &[("480p", KBPS)]).await?;
    for msn in 0..SEGMENTS {
        feed.whole(msn).await?;
    }
    let playlist = feed.path("480p", "media.m3u8");
    let segments: Vec<_> =
        (0..SEGMENTS).map(|msn| feed.path("480p", &format!("{msn}-1.m4s"))).collect();

    let mut rows = Vec::new();
    let ours = both(delivery.port, &[delivery.pid()], &segments, &playlist).await?;
    rows.push(row("millrace-delivery", ours, 0, "from memory"));
    let Some(files) = Files::start(site).await? else {
        rows.push(Row::missing("nginx", "it is not installed"));
        return Ok(rows);
    };
    let mut connection = Connection::open(delivery.port).await?;
    files.put(&playlist, connection.text(&playlist).await?.as_bytes())?;
    for segment in &segments {
        let length = connection.drain(segment).await?;
        ensure!(length == u64::from(KBPS) * 250, "a segment of {length} bytes");
        files.put(segment, &vec![7; usize::try_from(length)?])?;
    }
    let theirs = both(files.port, &files.processes(), &segments, &playlist).await?;
    rows.push(row("nginx", theirs, 0, "files in tmpfs, sendfile"));
    let [segments, playlists] = [ours[0] / theirs[0], ours[1] / theirs[1]];
    rows.push(row("delivery ÷ nginx", [segments, playlists], 2, ""));
    files.stop().await;
    delivery.stop().await;
    Ok(rows)
}

fn row(name: &str, values: [f64; 2], places: usize, note: &'static str) -> Row {
    Row::new(name, values.map(|value| decimals(value, places)).into(), note)
}

/// Segments and playlists of this server per core-second.
async fn both(
    port: u16,
    processes: &[Pid],
    segments: &[String],
    playlist: &String,
) -> Result<[f64; 2]> {
    Ok([
        per_core_second(port, processes, segments).await?,
        per_core_second(port, processes, std::slice::from_ref(playlist)).await?,
    ])
}

/// Clients ask as fast as they get; what counts is what the server used for it.
async fn per_core_second(port: u16, processes: &[Pid], paths: &[String]) -> Result<f64> {
    let (count, paths): (_, Arc<[String]>) = (Arc::new(AtomicU64::new(0)), paths.into());
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (count, paths) = (Arc::clone(&count), Arc::clone(&paths));
        let mut connection = Connection::open(port).await?;
        clients.spawn(async move {
            // Each begins at another.
            for path in paths.iter().cycle().skip(number) {
                connection.drain(path).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let window = async {
        sleep(WARM_UP).await;
        let (served, used) = (count.load(Ordering::Relaxed), cpu::used(processes)?);
        sleep(WINDOW).await;
        let served = count.load(Ordering::Relaxed).saturating_sub(served);
        let used = cpu::used(processes)?.saturating_sub(used);
        anyhow::Ok(f64::from(u32::try_from(served)?) / used.as_secs_f64())
    };
    tokio::select! {
        figure = window => figure,
        ended = clients.join_next() => ended.context("no client")??.and(Ok(0.0)),
    }
}
