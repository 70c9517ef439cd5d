//! A manifest as a player understands it, read by another parser.

use std::time::Duration;

/// All of it.
pub(crate) struct Presentation {
    pub(crate) dynamic: bool,
    pub(crate) published: String,
    pub(crate) periods: Vec<Period>,
}

pub(crate) struct Period {
    pub(crate) id: String,
    /// Microseconds since availabilityStartTime.
    pub(crate) start: i64,
    pub(crate) duration: Option<i64>,
    pub(crate) tracks: Vec<Track>,
}

/// One Representation in one Period.
pub(crate) struct Track {
    pub(crate) name: String,
    pub(crate) timescale: i64,
    pub(crate) offset: i64,
    pub(crate) init: String,
    pub(crate) segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) url: String,
    /// In the track's timescale.
    pub(crate) time: i64,
    pub(crate) duration: i64,
}

impl Track {
    /// Presentation time of a moment, microseconds.
    pub(crate) fn presented(&self, period: &Period, time: i64) -> i64 {
        period.start + (time - self.offset) * 1_000_000 / self.timescale
    }
}

fn micros(duration: Duration) -> i64 {
    duration.as_micros().try_into().unwrap()
}

impl Presentation {
    pub(crate) fn parse(text: &str) -> Self {
        let mpd = dash_mpd_core::parse(text).unwrap();
        // The parser does not tell it.
        let mut offsets = text
            .split("presentationTimeOffset=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse::<i64>().unwrap());
        let mut periods = Vec::new();
        for period in &mpd.periods {
            let mut tracks = Vec::new();
            for set in &period.adaptations {
                let shared = set.SegmentTemplate.as_ref().unwrap();
                let offset = offsets.next().unwrap();
                let timeline = shared.SegmentTimeline.as_ref().unwrap();
                let template = shared.media.as_ref().unwrap();
                for representation in &set.representations {
                    let own = representation.SegmentTemplate.as_ref().unwrap();
                    let base = &representation.BaseURL[0].base;
                    let segments = timeline.segments.iter().flat_map(|s| {
                        let (first, duration) = (s.t.unwrap(), s.d);
                        let repeats = u64::try_from(s.r.unwrap_or(0)).unwrap();
                        (0..=repeats).map(move |n| (first + n * duration, duration))
                    });
                    let segments = segments.map(|(time, duration)| Segment {
                        url: format!("{base}{}", template.replace("$Time$", &time.to_string())),
                        time: time.try_into().unwrap(),
                        duration: duration.try_into().unwrap(),
                    });
                    let init = own.initialization.as_ref().unwrap();
                    tracks.push(Track {
                        name: representation.id.clone().unwrap(),
                        timescale: shared.timescale.unwrap().try_into().unwrap(),
                        offset,
                        init: format!("{base}{init}"),
                        segments: segments.collect(),
                    });
                }
            }
            periods.push(Period {
                id: period.id.clone().unwrap(),
                start: micros(period.start.unwrap()),
                duration: period.duration.map(micros),
                tracks,
            });
        }
        Self {
            dynamic: mpd.mpdtype.as_deref() == Some("dynamic"),
            published: mpd.publishTime.unwrap().to_string(),
            periods,
        }
    }
}
