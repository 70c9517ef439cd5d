//! What one broadcast left behind: what was sent, what the log has, what a viewer was offered.

use std::collections::BTreeSet;

use anyhow::Result;
use millrace_harness::counter;
use millrace_harness::recorder::{Init, RenditionReport, Report};

use crate::log::Logged;
use crate::measure::Shown;
use crate::sound::{self, Heard, SoundCount};
use crate::truth::Truth;

/// A rung as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) name: String,
    pub(crate) shown: Vec<Shown>,
    /// From its first segment to its last.
    pub(crate) discontinuities: u64,
}

/// Of one broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evidence {
    /// Numbers of the pictures that the publisher sent.
    pub(crate) sent: Vec<u32>,
    /// Of them, the last ones before a connection ended, or a silence began.
    pub(crate) last: Vec<u32>,
    /// Of them, those between a jump of the clock and the next keyframe.
    pub(crate) behind_jumps: Vec<u32>,
    /// Of them, those that have no time of their own.
    pub(crate) standing: Vec<u32>,
    /// Numbers of those in the log, in its order.
    pub(crate) logged: Vec<u32>,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) sound: SoundCount,
    /// What the recorder holds every broadcast to, and this one broke.
    pub(crate) breaches: Vec<String>,
}

impl Evidence {
    /// Reads the numbers out of all that was recorded.
    ///
    /// # Errors
    /// When a number makes no sense.
    pub(crate) async fn gather(truth: &Truth, logged: Logged, report: &Report) -> Result<Self> {
        let (mut rungs, mut breaches) = (Vec::new(), report.broken.clone());
        for rendition in &report.renditions {
            breaches.extend(breaches_of(rendition));
            if !rendition.ended {
                breaches.push(format!("{}: the playlist did not end", rendition.name));
            }
            if !rendition.video {
                continue;
            }
            let numbers = match numbers(rendition).await {
                Ok(numbers) => numbers,
                Err(error) => {
                    breaches.push(format!("{}: {error:#}", rendition.name));
                    Vec::new()
                }
            };
            let (shown, times) = (places(rendition), rendition.frames().count());
            if numbers.len() != times {
                let (name, decoded) = (&rendition.name, numbers.len());
                breaches.push(format!("{name}: {decoded} pictures decode of {times}"));
            }
            let shown = numbers.into_iter().zip(shown);
            rungs.push(Rung {
                name: rendition.name.clone(),
                shown: shown.map(|(number, shown)| Shown { number, ..shown }).collect(),
                discontinuities: discontinuities(rendition),
            });
        }
        let sent = truth.sent();
        Ok(Self {
            last: sent.iter().filter_map(|range| range.end.checked_sub(1)).collect(),
            sent: sent.into_iter().flatten().collect(),
            behind_jumps: truth.behind_jumps(),
            standing: truth.standing(),
            sound: sound(truth, &logged.sounds, report, &rungs, &mut breaches),
            logged: logged.pictures,
            rungs,
            breaches,
        })
    }
}

/// What the recorder has against a rendition.
pub(crate) fn breaches_of(rendition: &RenditionReport) -> Vec<String> {
    let name = &rendition.name;
    let mut breaches: Vec<String> =
        rendition.broken.iter().map(|what| format!("{name}: {what}")).collect();
    breaches.extend(rendition.holes.iter().map(|hole| format!("{name}: a hole: {hole}")));
    let wrong = rendition.misnumbered();
    if !wrong.is_empty() {
        breaches.push(format!("{name}: the numbers of segments break off before {wrong:?}"));
    }
    if !rendition.gaps.is_empty() {
        breaches.push(format!("{name}: listed as gaps: {:?}", rendition.gaps));
    }
    let sizes = sizes(rendition);
    if sizes.len() > 1 {
        breaches.push(format!("{name}: its pictures change their size: {sizes:?}"));
    }
    breaches
}

/// Width and height of its pictures, as its init segments say.
fn sizes(rendition: &RenditionReport) -> BTreeSet<(u16, u16)> {
    let inits = rendition.segments.iter().filter_map(|segment| segment.media.as_ref());
    inits.filter_map(|(init, _)| Init::parse(init).ok()?.size()).collect()
}

/// Whoever is a ladder's picture may have one of another shape inside.
async fn numbers(rendition: &RenditionReport) -> Result<Vec<Option<u32>>> {
    let mut numbers = Vec::new();
    for file in rendition.files() {
        let mut read = counter::read(file.clone()).await?;
        if read.iter().any(Option::is_none) {
            let inside = counter::read_between_bars(file, (4, 3)).await?;
            let all = read.into_iter().zip(inside);
            read = all.map(|(number, inside)| number.or(inside)).collect();
        }
        numbers.extend(read);
    }
    Ok(numbers)
}

/// What became of the sound beside the pictures of the first rung.
fn sound(
    truth: &Truth,
    logged: &[u64],
    report: &Report,
    rungs: &[Rung],
    breaches: &mut Vec<String>,
) -> SoundCount {
    let audio = report.renditions.iter().find(|rendition| !rendition.video);
    let Some((audio, rung)) = audio.zip(rungs.first()) else {
        breaches.push("no sound was recorded".to_owned());
        return SoundCount::default();
    };
    let mut heard = Vec::new();
    for segment in &audio.segments {
        let frames = segment.frames.iter().map(|frame| Heard {
            hash: frame.sha,
            ms: frame.pts * 1_000 / i64::from(audio.timescale.max(1)),
            discontinuity: segment.discontinuity,
        });
        heard.extend(frames);
    }
    sound::count(truth, logged, &rung.shown, &heard)
}

/// Times of the pictures in the order of presentation, without numbers.
fn places(rendition: &RenditionReport) -> Vec<Shown> {
    let mut places = Vec::new();
    for segment in &rendition.segments {
        let mut times: Vec<i64> = segment.frames.iter().map(|frame| frame.pts).collect();
        times.sort_unstable();
        let discontinuity = segment.discontinuity;
        places.extend(times.into_iter().map(|pts| {
            let ms = pts * 1_000 / i64::from(rendition.timescale.max(1));
            Shown { number: None, ms, discontinuity }
        }));
    }
    places
}

fn discontinuities(rendition: &RenditionReport) -> u64 {
    let marks = rendition.segments.iter().map(|segment| segment.discontinuity);
    let (first, last) = (marks.clone().min(), marks.max());
    last.zip(first).map_or(0, |(last, first)| last - first)
}
