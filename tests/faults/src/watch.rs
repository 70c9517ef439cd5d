//! Any server's playlist, recorded and held to the same rules: those that need no log.
//!
//! With somewhere to publish to, numbered pictures go there and must come back each once, in order.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use millrace_harness::counter;
use millrace_harness::http::{Http, eventually};
use millrace_harness::recorder::{Recorder, RenditionReport, Report};
use millrace_harness::repo;
use millrace_harness::rtmp::client::Target;
use millrace_harness::screen::Screen;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::circumstances::Circumstances;
use crate::evidence::breaches_of;
use crate::measure::{count, stretches};
use crate::picture;
use crate::publisher::{Broadcaster, Materials, Size};
use crate::timeline::Timeline;
use crate::truth::Truth;

/// How long a server may need until there is something to watch.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a server may need to show the last of what was published, and to say that it was.
const TAIL: Duration = Duration::from_secs(10);

/// What is published has to be so many seconds longer.
const MORE: u32 = 120;

/// What to watch.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// A multivariant playlist, or that of one rendition.
    #[arg(long)]
    url: String,
    /// For so long, or until the broadcast ends.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Publishes numbered pictures to this RTMP URL meanwhile.
    #[arg(long, value_name = "URL", requires = "key")]
    rtmp: Option<String>,
    /// The last part of the RTMP URL, a stream's name or key.
    #[arg(long, requires = "rtmp")]
    key: Option<String>,
    /// Where watch.txt, watch.json and watch.svg are written; target/faults unless given.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What became of the pictures that were published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    rendition: String,
    /// How many are shown; the first and the last.
    shown: usize,
    first: u32,
    last: u32,
    /// Sent after the last that is shown.
    cut_off: u32,
}

/// Watches, tells, and fails if something was broken.
pub(crate) async fn watch(watch: &Watch, screen: &Screen) -> Result<ExitCode> {
    let out = watch.out.clone().unwrap_or_else(|| repo::root().join("target/faults"));
    fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    let (report, sent, over) = record(watch, screen).await?;
    let mut broken = report.broken.clone();
    let mut numbers = Vec::new();
    for rendition in &report.renditions {
        broken.extend(breaches_of(rendition));
        if let Some(sent) = sent {
            numbers.extend(read(rendition, sent, &mut broken).await);
        }
    }
    if sent.is_some() && numbers.is_empty() {
        broken.push("none of the pictures that were published was shown".to_owned());
    }
    let timeline = Timeline::of(&report, &[], over);
    fs::write(out.join("watch.svg"), picture::svg(&watch.url, &timeline))?;
    let (late, most) = timeline.late();
    let mut text = format!(
        "{report}{} ms of media late, at most by {} ms\n",
        late.as_millis(),
        most.as_millis()
    );
    for Numbers { rendition, shown, first, last, cut_off } in &numbers {
        let _ = writeln!(
            text,
            "{rendition}: {shown} pictures, numbers {first} to {last}; {cut_off} more were sent"
        );
    }
    text += if broken.is_empty() { "Nothing was broken.\n" } else { "Broken:\n" };
    for what in &broken {
        let _ = writeln!(text, "  {what}");
    }
    screen.say(&text);
    fs::write(out.join("watch.txt"), &text)?;
    let report = json!({
        "circumstances": Circumstances::of(0).await,
        "url": watch.url,
        "renditions": report.renditions.iter().map(figures).collect::<Vec<_>>(),
        "lateMs": late.as_millis(),
        "latestMs": most.as_millis(),
        "numbers": numbers,
        "broken": broken,
    });
    fs::write(out.join("watch.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was recorded, how many pictures were sent, and when that was over.
async fn record(watch: &Watch, screen: &Screen) -> Result<(Report, Option<u32>, Instant)> {
    let http = Http::new()?;
    let broadcaster = match (&watch.rtmp, &watch.key) {
        (Some(url), Some(name)) => {
            let seconds = u32::try_from(watch.seconds).unwrap_or(u32::MAX);
            let materials = Materials::get(seconds.saturating_add(MORE), false, screen).await?;
            let target = Target { url: url.clone(), name: name.clone() };
            Some(Broadcaster::begin(target, &materials, (Size::Wide, 0)).await?)
        }
        _ => None,
    };
    let recorder = eventually("something to watch", PATIENCE, async || {
        if let Some(broadcaster) = &broadcaster {
            broadcaster.check()?;
        }
        Recorder::start_any(&http, &watch.url).await
    });
    let (recorder, time) = (recorder.await?, Duration::from_secs(watch.seconds));
    let Some(broadcaster) = broadcaster else {
        let report = recorder.at_most(time).await?;
        return Ok((report, None, Instant::now()));
    };
    sleep(time).await;
    let over = Instant::now();
    let sent = Truth::of(&broadcaster.close().await?).sent();
    let end = sent.last().map(|range| range.end);
    Ok((recorder.at_most(TAIL).await?, end, over))
}

/// The numbers in what one rendition shows, from wherever the recording began.
async fn read(rendition: &RenditionReport, sent: u32, broken: &mut Vec<String>) -> Option<Numbers> {
    if !rendition.video && rendition.unread.is_none() {
        return None;
    }
    let mut shown = Vec::new();
    for file in rendition.files() {
        match counter::read(file).await {
            Ok(numbers) => shown.extend(numbers),
            // Of what is not known to be video it may be sound.
            Err(_) if !rendition.video => return None,
            Err(error) => broken.push(format!("{}: {error:#}", rendition.name)),
        }
    }
    let unreadable = shown.iter().filter(|number| number.is_none()).count();
    let shown: Vec<u32> = shown.into_iter().flatten().collect();
    let (first, last) = (*shown.iter().min()?, *shown.iter().max()?);
    let wrong = wrong(&shown, (first, last));
    broken.extend(wrong.into_iter().map(|what| format!("{}: {what}", rendition.name)));
    if unreadable > 0 {
        broken.push(format!("{}: {unreadable} pictures without a number", rendition.name));
    }
    let cut_off = sent.saturating_sub(last + 1);
    Some(Numbers { rendition: rendition.name.clone(), shown: shown.len(), first, last, cut_off })
}

/// What is wrong with numbers that should be all from the first to the last, in order.
fn wrong(shown: &[u32], (first, last): (u32, u32)) -> Vec<String> {
    let all: Vec<u32> = (first..=last).collect();
    let places = crate::measure::in_time(shown);
    let count = count(&all, &places);
    let kinds =
        [("lost", count.lost), ("shown twice", count.doubled), ("out of order", count.disordered)];
    let told = kinds.into_iter().filter(|(_, numbers)| !numbers.is_empty());
    told.map(|(what, numbers)| format!("{what}: {}", stretches(&numbers))).collect()
}

fn figures(rendition: &RenditionReport) -> serde_json::Value {
    json!({
        "name": rendition.name,
        "playlists": rendition.versions,
        "parts": rendition.parts,
        "segments": rendition.segments.len(),
        "frames": rendition.frames().count(),
        "fetchedAgain": rendition.fetched_again,
        "gaps": rendition.gaps,
        "failedRequests": rendition.failures,
        "longestWaitMs": rendition.longest_wait().as_millis(),
        "ended": rendition.ended,
        "notLookedInto": rendition.unread,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_all_there_once_and_in_order_or_that_is_told() {
        assert_eq!(wrong(&[7, 8, 9], (7, 9)), [""; 0]);
        let told = wrong(&[7, 9, 8, 8, 12], (7, 12));
        assert_eq!(
            told,
            [
                "lost: 10 to 11 (2 in all)",
                "shown twice: 8 (1 in all)",
                "out of order: 8 (1 in all)"
            ]
        );
    }
}
