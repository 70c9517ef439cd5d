//! Where the time of a picture went: pure arithmetic.

use std::collections::HashMap;
use std::time::Duration;

use super::witness::{Logged, Published};
use crate::latency::Spread;

/// A part in the browser, µs since 1970.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fetched {
    /// `<rendition>/<name>`
    pub(crate) name: String,
    /// The playlist that lists it was there.
    pub(crate) listed: i64,
    /// All its bytes were there.
    pub(crate) loaded: i64,
    /// It was in the buffer.
    pub(crate) appended: i64,
}

/// A picture on the screen.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Shown {
    /// What is burnt in.
    pub(crate) number: usize,
    /// µs since 1970.
    pub(crate) at: i64,
}

/// What was seen of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// When each picture was taken, µs since 1970.
    pub(crate) taken: Vec<i64>,
    pub(crate) logged: Vec<Logged>,
    pub(crate) published: HashMap<String, Published>,
    pub(crate) fetched: Vec<Fetched>,
    pub(crate) shown: Vec<Shown>,
}

/// The stages, in order, of the last picture of each part.
pub(crate) const STAGES: [(&str, &str); 8] = [
    ("publisher and ingest", "x264 of the publisher, RTMP, ingest"),
    ("log", "from ingest until the broker has it"),
    ("encode and part", "the log read, ffmpeg, the part made and in Redis"),
    ("wake", "the blocked playlist answered and read"),
    ("fetch", "the part asked for and there"),
    ("append", "hls.js and the browser's buffer"),
    ("buffer", "until it is its turn"),
    ("all of it", ""),
];

impl Trace {
    /// From the camera to the screen.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let of = |shown: &Shown| Some(between(*self.taken.get(shown.number)?, shown.at));
        self.shown.iter().filter_map(of).collect()
    }

    /// How long each of the [`STAGES`] took; of the parts whose last picture was looked at.
    pub(crate) fn stages(&self) -> Vec<Option<Spread>> {
        let shown: HashMap<usize, i64> = self.shown.iter().map(|s| (s.number, s.at)).collect();
        let mut stages = vec![Vec::new(); STAGES.len()];
        for part in &self.fetched {
            let Some(moments) = self.moments(part, &shown) else { continue };
            let (first, last) = (moments.first().copied(), moments.last().copied());
            let each = moments.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
            for (stage, (from, to)) in stages.iter_mut().zip(each.chain(first.zip(last))) {
                stage.push(between(from, to));
            }
        }
        stages.into_iter().map(Spread::of).collect()
    }

    /// One more than there are stages but the sum.
    fn moments(&self, part: &Fetched, shown: &HashMap<usize, i64>) -> Option<[i64; 8]> {
        let published = self.published.get(&part.name)?;
        let logged = self.logged.get(published.last)?;
        Some([
            *self.taken.get(published.last)?,
            logged.arrived,
            logged.appended,
            published.at,
            part.listed,
            part.loaded,
            part.appended,
            *shown.get(&published.last)?,
        ])
    }
}

/// The log's stamps are whole ms: what seems to go backwards took no time.
fn between(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to - from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_of_a_part_is_told_by_its_last_picture() {
        let logged = |arrived, appended| Logged { arrived, appended };
        let trace = Trace {
            taken: vec![0, 33_000],
            logged: vec![logged(5_000, 7_000), logged(38_000, 40_000)],
            published: HashMap::from([(
                "720p/0.0-1.m4s".to_owned(),
                Published { last: 1, at: 90_000 },
            )]),
            fetched: vec![Fetched {
                name: "720p/0.0-1.m4s".to_owned(),
                listed: 95_000,
                loaded: 99_000,
                appended: 102_000,
            }],
            shown: vec![Shown { number: 0, at: 700_000 }, Shown { number: 1, at: 733_000 }],
        };
        let ms: Vec<_> = trace.stages().iter().map(|s| s.unwrap().p50.as_millis()).collect();
        assert_eq!(ms, [5, 2, 50, 5, 4, 3, 631, 700]);
        assert_eq!(trace.latencies(), [Duration::from_millis(700); 2]);
    }

    #[test]
    fn what_was_not_seen_whole_tells_nothing() {
        let trace = Trace { shown: vec![Shown { number: 7, at: 1 }], ..Trace::default() };
        assert!(trace.latencies().is_empty());
        assert!(trace.stages().iter().all(Option::is_none));
    }
}
