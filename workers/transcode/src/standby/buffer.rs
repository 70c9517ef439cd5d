//! The undecoded pictures a standby keeps: from the last keyframe before what
//! is published, with what it needs before it. Pure.

use std::collections::VecDeque;

use millrace_media::time::Ticks;
use millrace_media::timeline::{AudioData, Event};

/// How much sooner than the edge the first keyframe is: sound and pictures of
/// one time are that far apart in the log at most, twice.
const SLACK: Ticks = Ticks::from_ms(1_000);
/// What an event weighs besides its bytes.
const EVENT: usize = 512;

/// See the module.
#[derive(Debug)]
pub struct Buffer {
    /// The last of each that came before what is held.
    base: Option<Event>,
    video_config: Option<Event>,
    audio_config: Option<Event>,
    held: VecDeque<Held>,
    weight: usize,
    limit: usize,
    /// Something was dropped that was not published.
    gap: bool,
    /// Where the base that is open begins.
    opened: Option<Ticks>,
    /// The last picture's time.
    newest: Option<Ticks>,
}

#[derive(Debug)]
struct Held {
    event: Event,
    /// Of a picture that needs none before it.
    starts: Option<Ticks>,
}

impl Buffer {
    /// Holds so many bytes at most.
    pub fn new(limit: usize) -> Self {
        Self {
            base: None,
            video_config: None,
            audio_config: None,
            held: VecDeque::new(),
            weight: 0,
            limit,
            gap: false,
            opened: None,
            newest: None,
        }
    }

    /// Adds the timeline's next step; `idr` tells of a picture whether it needs
    /// none before it.
    pub fn push(&mut self, event: Event, idr: bool) {
        let mut starts = None;
        match &event {
            Event::Base(base) => self.opened = Some(base.at),
            Event::Video(frame) => {
                self.newest = self.newest.max(Some(frame.pts));
                starts = idr.then_some(frame.pts);
            }
            Event::Audio(_) | Event::VideoConfig(_) | Event::AudioConfig(_) => {}
            Event::Started(_) | Event::Publisher(_) | Event::Ended(_) => return,
        }
        self.weight = self.weight.saturating_add(weight(&event));
        self.held.push_back(Held { event, starts });
        while self.weight > self.limit {
            self.gap = true;
            let second = self.held.iter().skip(1).position(|held| held.starts.is_some());
            self.drop_first(second.map_or(self.held.len(), |n| n.saturating_add(1)));
        }
    }

    /// All renditions are published up to here.
    pub fn published(&mut self, edge: Ticks) {
        let needless = |held: &Held| held.starts.is_some_and(|at| at <= edge - SLACK);
        if let Some(first) = self.held.iter().rposition(needless) {
            self.drop_first(first);
        }
    }

    fn drop_first(&mut self, count: usize) {
        for Held { event, .. } in self.held.drain(..count) {
            self.weight = self.weight.saturating_sub(weight(&event));
            match event {
                Event::Base(_) => self.base = Some(event),
                Event::VideoConfig(_) => self.video_config = Some(event),
                Event::AudioConfig(_) => self.audio_config = Some(event),
                _ => {}
            }
        }
    }

    /// The last picture's time.
    pub fn newest(&self) -> Option<Ticks> {
        self.newest
    }

    /// Pictures that the base now open has after `moment`, as time.
    pub fn after(&self, moment: Option<Ticks>) -> Ticks {
        let Some(newest) = self.newest else { return Ticks::ZERO };
        self.opened.max(moment).map_or(Ticks::ZERO, |from| (newest - from).max(Ticks::ZERO))
    }

    /// Whether what comes after `moment` needs an encoder of a base of its own.
    pub fn opens_after(&self, moment: Option<Ticks>) -> bool {
        moment.is_none() || self.opened >= moment
    }

    /// Whether an encoder can begin with what is held and leave nothing out
    /// from `resume` on (from the beginning, where that is `None`).
    pub fn reaches(&self, resume: Option<Ticks>) -> bool {
        let first = self.held.iter().find_map(|held| held.starts);
        !self.gap || resume.is_some_and(|resume| first.is_some_and(|first| first <= resume))
    }

    /// Whether there is a picture in it.
    pub fn has_pictures(&self) -> bool {
        self.newest.is_some()
    }

    /// What it holds: for a session, as if it came from the log now.
    pub fn into_events(self) -> impl Iterator<Item = Event> {
        let before = [self.base, self.video_config, self.audio_config];
        before.into_iter().flatten().chain(self.held.into_iter().map(|held| held.event))
    }
}

fn weight(event: &Event) -> usize {
    let bytes = match event {
        Event::VideoConfig(body) | Event::AudioConfig(body) => body.len(),
        Event::Video(frame) => frame.payload.len(),
        Event::Audio(frame) => match &frame.data {
            AudioData::Frame(body) => body.len(),
            AudioData::Silence => 0,
        },
        _ => 0,
    };
    bytes.saturating_add(EVENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use millrace_media::timeline::{AudioFrame, Base, VideoFrame};

    fn ms(ms: i64) -> Ticks {
        Ticks::from_ms(ms)
    }

    fn base(at_ms: i64) -> Event {
        Event::Base(Base { at: ms(at_ms), source_ms: 0, discontinuities: 0, date_ms: 0 })
    }

    fn picture(at_ms: i64) -> Event {
        Event::Video(VideoFrame {
            dts: ms(at_ms),
            pts: ms(at_ms),
            step: ms(100),
            keyframe: at_ms % 1_000 == 0,
            arrival_ms: 0,
            payload: Bytes::from_static(&[0; 88]),
            restart: None,
        })
    }

    fn sound(index: i64) -> Event {
        Event::Audio(AudioFrame { index, data: AudioData::Silence })
    }

    /// A base with a picture every 100 ms and a keyframe every second.
    fn filled(limit: usize, until_ms: i64) -> Buffer {
        let mut buffer = Buffer::new(limit);
        buffer.push(base(0), false);
        buffer.push(Event::VideoConfig(Bytes::from_static(b"v")), false);
        for at in (0..=until_ms).step_by(100) {
            buffer.push(picture(at), at % 1_000 == 0);
            buffer.push(sound(at), false);
        }
        buffer
    }

    fn pictures(buffer: Buffer) -> (i64, i64) {
        let times: Vec<_> = buffer
            .into_events()
            .filter_map(|e| if let Event::Video(f) = e { Some(f.pts.as_ms()) } else { None })
            .collect();
        (times[0], times[times.len() - 1])
    }

    #[test]
    fn what_is_published_goes_but_for_the_pictures_an_encoder_needs() {
        let mut buffer = filled(usize::MAX, 5_000);
        buffer.published(ms(4_300));
        assert!(buffer.reaches(Some(ms(4_300))));
        assert!(buffer.reaches(None), "nothing is missing that is not published");
        let events: Vec<_> = buffer.into_events().collect();
        assert!(matches!(&events[..3], [Event::Base(_), Event::VideoConfig(_), Event::Video(f)]
            if f.pts == ms(3_000)));
        assert_eq!(events.len(), 2 + 2 * 21);
    }

    #[test]
    fn an_edge_that_is_not_far_enough_changes_nothing() {
        let mut buffer = filled(usize::MAX, 1_500);
        buffer.published(ms(1_990));
        assert_eq!(pictures(buffer), (0, 1_500));
    }

    #[test]
    fn over_the_limit_whole_groups_of_pictures_go_and_it_is_known() {
        // A picture and its sound weigh 1,112 bytes, a second of them 11,120.
        let buffer = filled(30_000, 4_500);
        assert!(buffer.weight <= 30_000);
        assert!(!buffer.reaches(None) && !buffer.reaches(Some(ms(1_999))));
        assert!(buffer.reaches(Some(ms(2_000))));
        assert_eq!(pictures(buffer), (2_000, 4_500));
    }

    #[test]
    fn one_group_over_the_limit_is_not_held() {
        let mut buffer = Buffer::new(5_000);
        buffer.push(base(0), false);
        for at in (0..90_000).step_by(100) {
            buffer.push(picture(at), at == 0);
        }
        assert!(buffer.weight <= 5_000 && !buffer.reaches(Some(ms(80_000))));
        assert!(matches!(buffer.into_events().next(), Some(Event::Base(_))));
    }

    #[test]
    fn pictures_are_measured_from_the_edge_or_from_where_their_base_opens() {
        let mut buffer = filled(usize::MAX, 3_000);
        assert_eq!(buffer.after(Some(ms(2_600))), ms(400));
        assert_eq!(buffer.after(Some(ms(9_000))), Ticks::ZERO);
        assert_eq!(buffer.after(None), ms(3_000));
        assert!(!buffer.opens_after(Some(ms(2_600))) && buffer.opens_after(None));
        buffer.push(base(6_000), false);
        assert_eq!(buffer.after(Some(ms(2_600))), Ticks::ZERO);
        buffer.push(picture(6_200), false);
        assert_eq!(buffer.after(Some(ms(2_600))), ms(200));
        assert!(buffer.opens_after(Some(ms(3_100))));
    }
}
