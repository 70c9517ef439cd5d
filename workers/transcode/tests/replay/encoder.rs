//! Stands in for ffmpeg: the source's pictures in the order shown, from the
//! first one wanted, an IDR there and on the grid.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use futures::FutureExt;
use millrace_media::time::Ticks;
use millrace_media::timeline::VideoFrame;
use millrace_transcode::package::{FrameClock, Sample};
use millrace_transcode::rendition::Rendition;

use crate::{SEGMENT, nal};

pub(crate) struct Encoder {
    clock: FrameClock,
    step: Ticks,
    from: Ticks,
    /// Decoded and not yet shown.
    held: BTreeMap<Ticks, Bytes>,
    rungs: Vec<Rung>,
}

/// One output.
struct Rung {
    splice: Ticks,
    out: VecDeque<(Ticks, Bytes)>,
    last: Option<Ticks>,
}

impl Encoder {
    /// `splices`: the first picture each rung wants.
    pub(crate) fn new(from: Ticks, splices: impl Iterator<Item = Ticks>) -> Self {
        let rung =
            |splice: Ticks| Rung { splice: splice.max(from), out: VecDeque::new(), last: None };
        Self {
            clock: FrameClock::default(),
            step: Ticks::ZERO,
            from,
            held: BTreeMap::new(),
            rungs: splices.map(rung).collect(),
        }
    }

    pub(crate) fn feed(&mut self, frame: &VideoFrame) {
        self.clock.feed(frame.dts, frame.pts);
        self.step = frame.step;
        self.held.insert(frame.pts, frame.payload.slice(5..));
        let later = self.held.split_off(&(frame.dts + Ticks(1)));
        let shown = std::mem::replace(&mut self.held, later);
        self.show(shown);
    }

    fn show(&mut self, pictures: BTreeMap<Ticks, Bytes>) {
        for (at, id) in pictures.into_iter().filter(|(at, _)| *at >= self.from) {
            for rung in &mut self.rungs {
                rung.out.push_back((at, id.clone()));
            }
        }
    }

    /// One picture of a rung comes out, if one is ready.
    pub(crate) fn drain(&mut self, rung: usize, rendition: &mut Rendition) -> bool {
        let rung = &mut self.rungs[rung];
        let Some((at, _)) = rung.out.front() else { return false };
        let Some(duration) = self.clock.duration(*at).now_or_never() else { return false };
        let (at, id) = rung.out.pop_front().unwrap();
        let on_grid = |last: Ticks| last.0.div_euclid(SEGMENT.0) != at.0.div_euclid(SEGMENT.0);
        let spliced = |last: Ticks| last < rung.splice && at >= rung.splice;
        let sync = rung.last.is_none_or(|last| on_grid(last) || spliced(last));
        rung.last = Some(at);
        let (start, duration, data) = (at.0, duration.0, nal(&id, sync));
        rendition.push(Sample { start, composition: 0, duration, sync, data }).unwrap();
        true
    }

    /// This picture follows, in another run.
    pub(crate) fn clock_of(&mut self, next: &VideoFrame) {
        self.clock.feed(next.dts, next.pts);
    }

    /// No more pictures: all come out.
    pub(crate) fn finish<'r>(&mut self, renditions: impl Iterator<Item = &'r mut Rendition>) {
        let held = std::mem::take(&mut self.held);
        self.show(held);
        self.clock.close(self.step, SEGMENT);
        for (rung, rendition) in renditions.enumerate() {
            while self.drain(rung, rendition) {}
        }
    }
}
