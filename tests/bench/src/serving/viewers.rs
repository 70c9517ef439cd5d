//! Viewers of a live stream: playlist by blocking reload, then the part it names, five times a
//! second, each with a player's buffer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::Site;
use super::client::Connection;
use super::delivery::Delivery;
use super::feed::{Feed, PART_MS, PARTS};
use crate::cpu::{self, Machine};
use crate::latency::Spread;
use crate::report::{Row, decimals};

const VIEWERS: u32 = 1_000;
/// Half of them each.
const RUNGS: [(&str, u32); 2] = [("480p", 1_000), ("720p", 2_000)];
/// Segments of two seconds before they come, and while they watch.
const BEFORE: u64 = 10;
const WATCHED: u64 = 60;
/// Parts that are buffered before the picture moves: the hold-back.
const BUFFERED: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

/// Stalls, how late parts came, and what delivery used for it.
pub(crate) async fn measure(site: &Site) -> Result<Row> {
    let delivery = Delivery::start(site, "viewers").await?;
    let feed = Feed::begin(&delivery.settings, &RUNGS).await?;
    for msn in 0..BEFORE {
        feed.whole(msn).await?;
    }
    let mut viewers = JoinSet::new();
    for (_, (rung, _)) in (0..VIEWERS).zip(RUNGS.iter().cycle()) {
        let (playlist, base) = (feed.path(rung, "media.m3u8"), feed.path(rung, ""));
        let mut connection = Connection::open(delivery.port).await?;
        connection.drain(&feed.index()).await?;
        viewers.spawn(async move { watch(connection, &playlist, &base).await });
    }
    sleep(Duration::from_secs(1)).await;
    let (before, machine, begun) = (cpu::used(&[delivery.pid()])?, Machine::now()?, Instant::now());
    let published = publish(&feed).await?;
    let busy = machine.busy_until(Machine::now()?);
    let used = cpu::used(&[delivery.pid()])?.saturating_sub(before).as_secs_f64();
    let core = used / begun.elapsed().as_secs_f64();
    let resident = delivery.resident()?;
    let (mut late, mut stalls) = (Vec::new(), 0);
    while let Some(viewer) = viewers.join_next().await {
        let arrivals = viewer??;
        ensure!(
            arrivals.len() == published.len(),
            "{} parts of {}",
            arrivals.len(),
            published.len()
        );
        stalls += stalls_of(&arrivals);
        let pairs = arrivals.iter().zip(&published);
        late.extend(pairs.map(|(at, published)| at.saturating_duration_since(*published)));
    }
    delivery.stop().await;
    let spread = Spread::of(late).context("no part")?;
    let ms = |time: Duration| decimals(time.as_secs_f64() * 1_000.0, 0);
    let values = vec![
        stalls.to_string(),
        ms(spread.p50),
        ms(spread.p99),
        ms(spread.max),
        decimals(core * 100.0, 0),
        decimals(core * 1_000.0 / f64::from(VIEWERS), 2),
        (resident / 1_000_000).to_string(),
        decimals(busy, 2),
    ];
    Ok(Row::new("1,000 viewers, one process", values, "1 and 2 Mb/s, every part of both rungs"))
}

/// Publishes in real time; when each part was begun.
async fn publish(feed: &Feed) -> Result<Vec<Instant>> {
    let mut clock = interval(Duration::from_millis(PART_MS.unsigned_abs()));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut published = Vec::new();
    for msn in BEFORE..BEFORE + WATCHED {
        for part in 0..PARTS {
            clock.tick().await;
            published.push(Instant::now());
            feed.part(msn, part).await?;
        }
        feed.segment(msn).await?;
    }
    Ok(published)
}

/// When each part was there.
async fn watch(mut connection: Connection, playlist: &str, base: &str) -> Result<Vec<Instant>> {
    let mut arrivals = Vec::new();
    for msn in BEFORE..BEFORE + WATCHED {
        for part in 0..PARTS {
            let reload = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES");
            let text =
                timeout(PATIENCE, connection.text(&reload)).await.context("no playlist")??;
            let name = format!("{msn}.{part}-1.m4s");
            ensure!(text.contains(&name), "a viewer fell so far behind that {name} was gone");
            timeout(PATIENCE, connection.drain(&format!("{base}{name}")))
                .await
                .context("no part")??;
            arrivals.push(Instant::now());
        }
    }
    Ok(arrivals)
}

/// How often a player that begins with three parts would have stood still.
fn stalls_of(arrivals: &[Instant]) -> u32 {
    let part = Duration::from_millis(PART_MS.unsigned_abs());
    let (mut stalls, mut runs_out) = (0, None);
    for (number, at) in (1_u32..).zip(arrivals) {
        runs_out = match runs_out {
            None if number < BUFFERED => None,
            None => Some(*at + part * BUFFERED),
            Some(runs_out) if *at > runs_out => {
                stalls += 1;
                Some(*at + part)
            }
            Some(runs_out) => Some(runs_out + part),
        };
    }
    stalls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_comes_when_the_buffer_is_empty_is_a_stall() {
        let begun = Instant::now();
        let at = |ms: &[u64]| -> Vec<_> {
            ms.iter().map(|ms| begun + Duration::from_millis(*ms)).collect()
        };
        assert_eq!(stalls_of(&at(&[0, 200, 400, 600, 800, 1_000])), 0);
        // Three parts from 400 on last until 1,000.
        assert_eq!(stalls_of(&at(&[0, 200, 400, 999, 1_199])), 0);
        assert_eq!(stalls_of(&at(&[0, 200, 400, 1_001, 1_201, 1_400])), 1);
    }
}
