//! Thousands of requests that wait for the same part.
//!
//! By HTTP/2: a process here has 20,000 files, so as many connections can't be had.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::Site;
use super::delivery::Delivery;
use super::feed::Feed;
use crate::latency::Spread;
use crate::report::{Row, decimals, milliseconds};

const CONNECTIONS: usize = 400;
const EACH: usize = 50;
const ALL: usize = CONNECTIONS * EACH;
/// Parts they wait for, after one that is not measured.
const ROUNDS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// From the publication of a part to each answer; and memory while all wait.
pub(crate) async fn measure(site: &Site) -> Result<Row> {
    let delivery = Delivery::start(site, "blocked").await?;
    // They need some seconds to come.
    let feed = Feed::targeting(&delivery.settings, &[("480p", 1_000)], 20).await?;
    feed.whole(0).await?;
    let media = format!("http://127.0.0.1:{}{}", delivery.port, feed.path("480p", "media.m3u8"));
    let (done, mut answers) = mpsc::channel(ALL);
    for _ in 0..CONNECTIONS {
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build()?;
        // One connection for all of them: it is there before they ask.
        client.get(&media).send().await?.error_for_status()?.bytes().await?;
        for _ in 0..EACH {
            let (client, media, done) = (client.clone(), media.clone(), done.clone());
            tokio::spawn(async move { done.send(wait(&client, &media, &done).await).await });
        }
    }
    drop(done);
    let quiet = delivery.resident()?;
    let (mut late, mut resident) = (Vec::with_capacity(ALL * ROUNDS as usize), 0);
    for part in 0..=ROUNDS {
        timeout(PATIENCE, all_wait(&delivery)).await.context("not all of them were blocked")??;
        resident = resident.max(delivery.resident()?);
        let published = Instant::now();
        feed.part(1, part).await?;
        for _ in 0..ALL {
            let answer = timeout(PATIENCE, answers.recv()).await.context("an answer is missing")?;
            let at = answer.context("all clients are gone")??;
            if part > 0 {
                late.push(at.saturating_duration_since(published));
            }
        }
    }
    delivery.stop().await;
    let mut values = milliseconds(&Spread::of(late).context("no answer")?);
    let each = f64::from(u32::try_from(resident.saturating_sub(quiet))?) / 1_000.0 / 20_000.0;
    values.push(decimals(f64::from(u32::try_from(resident / 1_000_000)?), 0));
    values.push(decimals(each, 1));
    Ok(Row::new("20,000 waiting, one process", values, "400 connections by HTTP/2"))
}

/// Waits for one part after the other; tells when each answer was there. What it returns is the
/// last, or why it stopped.
async fn wait(
    client: &reqwest::Client,
    media: &str,
    done: &mpsc::Sender<Result<Instant>>,
) -> Result<Instant> {
    for part in 0..=ROUNDS {
        let url = format!("{media}?_HLS_msn=1&_HLS_part={part}&_HLS_skip=YES");
        let answer = client.get(url).send().await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let length = answer.bytes().await?.len();
        ensure!(length > 100, "a playlist of {length} bytes");
        if part == ROUNDS {
            break;
        }
        done.send(Ok(Instant::now())).await?;
    }
    Ok(Instant::now())
}

async fn all_wait(delivery: &Delivery) -> Result<()> {
    while delivery.gauge("millrace_delivery_waiters").await? < 20_000.0 {
        sleep(Duration::from_millis(50)).await;
    }
    // It has them all; what it did for that is over.
    sleep(Duration::from_millis(300)).await;
    Ok(())
}
