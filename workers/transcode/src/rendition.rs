//! One rendition of a broadcast: samples in, described parts and segments out
//! to Redis and the object store.
//!
//! Lives as long as the broadcast; runs come and go under it. All work here is
//! in memory: what is slow or may fail waits in the lanes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millrace_media::cmaf;
use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::published::{InitHash, PartInfo, SegmentInfo};
use millrace_media::time::Ticks;
use millrace_media::timeline::Base;

use crate::package::{Cut, Cutter, Grid, PartCut, Sample};
use crate::publish::lane::Lane;
use crate::publish::redis::RedisOp;
use crate::publish::resume::{Edge, RenditionResume, Stretch};
use crate::publish::store::StoreOp;

/// Who makes the parts that follow, and where their times come from.
#[derive(Debug, Clone, Copy)]
pub struct RunContext {
    /// In their names.
    pub run: Run,
    /// For their wall-clock time and discontinuity count.
    pub base: Base,
}

/// Segments without media between two that have some, at most: a day of two
/// seconds each. No source pauses one track for longer and goes on.
const MAX_GAPS: u64 = 43_200;

/// A sample is placed where none can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rendition}: a sample is placed in segment {msn}, though {next} comes next")]
pub struct TooFar {
    rendition: RenditionName,
    msn: Msn,
    next: Msn,
}

/// See the module.
#[derive(Debug)]
pub struct Rendition {
    name: RenditionName,
    grid: Grid,
    cutter: Cutter,
    /// Parts of the open segment.
    open: Vec<(PartInfo, Bytes)>,
    context: Option<RunContext>,
    init: Option<InitHash>,
    /// Samples before this are published already.
    resume_at: i64,
    /// The segment that is open or comes next; `None` where nothing is known.
    next_msn: Option<Msn>,
    /// Where what is published ends.
    edge: Option<Edge>,
    /// What the last part is of.
    stretch: Option<Stretch>,
    redis: Arc<Lane<RedisOp>>,
    store: Arc<Lane<StoreOp>>,
}

impl Rendition {
    /// A rendition that goes on where `resume` says; `open` holds the bytes of
    /// its open parts.
    pub fn new(
        name: RenditionName,
        grid: Grid,
        resume: &RenditionResume,
        open: Vec<(PartInfo, Bytes)>,
        redis: Arc<Lane<RedisOp>>,
        store: Arc<Lane<StoreOp>>,
    ) -> Self {
        let next = resume.next_msn.filter(|_| open.is_empty()).map(|next| grid.start(next));
        let resume_at = resume.resume_at.max(next).unwrap_or(i64::MIN);
        Self {
            cutter: Cutter::new(grid, resume.position()),
            next_msn: resume.next_msn,
            edge: resume.edge,
            stretch: resume.stretch.clone(),
            name,
            grid,
            open,
            context: None,
            init: None,
            resume_at,
            redis,
            store,
        }
    }

    /// Its name.
    pub fn name(&self) -> &RenditionName {
        &self.name
    }

    /// Ticks per second of its samples' times.
    pub fn timescale(&self) -> u32 {
        self.grid.timescale
    }

    /// The first moment still wanted, in the rendition's timescale.
    pub fn resume_at(&self) -> i64 {
        self.resume_at
    }

    /// Whether a segment of a base with fewer discontinuities than `next` has
    /// begun and not ended. Another process may have left it so.
    pub fn is_open_before(&self, next: u32) -> bool {
        self.open.last().is_some_and(|(part, _)| part.discontinuities < next)
    }

    /// The samples that follow are this run's.
    pub fn begin_run(&mut self, context: RunContext) {
        self.context = Some(context);
    }

    /// The init segment of the samples that follow.
    pub fn set_init(&mut self, init: &Bytes) {
        let hash = InitHash::of(init);
        if self.init.as_ref() != Some(&hash) {
            self.redis.push(RedisOp::Init { hash: hash.clone(), bytes: init.clone() });
            self.store.push(StoreOp::Init { hash: hash.clone(), bytes: init.clone() });
            self.init = Some(hash);
        }
    }

    /// Whether a sample at this moment, in the rendition's timescale, can be
    /// listed: what lacks before it is, segment by segment.
    pub fn reaches(&self, start: i64) -> Result<(), TooFar> {
        let msn = self.grid.msn(start);
        match self.next_msn {
            Some(next) if msn.0.saturating_sub(next.0) > MAX_GAPS => {
                Err(TooFar { rendition: self.name.clone(), msn, next })
            }
            _ => Ok(()),
        }
    }

    /// Takes the next sample; one that is published already is dropped.
    pub fn push(&mut self, sample: Sample) -> Result<(), TooFar> {
        self.reaches(sample.start)?;
        if sample.start >= self.resume_at && self.is_open_with_another_init() {
            self.skip_to_next_segment();
        }
        if sample.start >= self.resume_at {
            let cuts = self.cutter.push(sample);
            self.publish(cuts);
        }
        Ok(())
    }

    /// Whether an encoder with other settings has left a segment open.
    fn is_open_with_another_init(&self) -> bool {
        let open = self.open.last().map(|(part, _)| &part.init);
        open.is_some_and(|open| self.init.as_ref().is_some_and(|init| init != open))
    }

    /// Ends the open segment as it is. What is left of it is not published: a
    /// segment has one init segment, and its number stands for its time, so
    /// there is no place for the rest.
    fn skip_to_next_segment(&mut self) {
        let cuts = self.cutter.finish();
        self.publish(cuts);
        self.resume_at = self.resume_at.max(self.grid.start(self.next_msn()));
        tracing::warn!(rendition = %self.name, "a segment ends early: the encoder is another one");
    }

    /// A base with `next` discontinuities opens: what is open of an earlier one
    /// ends. A replay passes bases whose successors are published already.
    pub fn end_base(&mut self, next: u32) {
        let made = self.context.map(|context| context.base.discontinuities);
        let found = self.open.last().map(|(part, _)| part.discontinuities);
        if made.max(found).is_some_and(|discontinuities| discontinuities < next) {
            let cuts = self.cutter.finish();
            self.publish(cuts);
        }
    }

    /// One past the last segment.
    pub fn next_msn(&self) -> Msn {
        self.next_msn.unwrap_or_default()
    }

    fn publish(&mut self, cuts: Vec<Cut>) {
        for cut in cuts {
            match cut {
                Cut::Part(part) => self.publish_part(&part),
                Cut::SegmentEnd(msn) => self.publish_segment(msn),
            }
        }
    }

    fn publish_part(&mut self, cut: &PartCut) {
        let (Some(context), Some(init)) = (self.context, self.init.clone()) else {
            tracing::error!(rendition = %self.name, "a part without a run or an init segment");
            return;
        };
        let start = cut.samples.first().map_or(0, |s| s.start);
        self.bridge(cut.position.msn, context, &init);
        let duration = cut.samples.iter().map(|s| s.duration).sum();
        let bytes = write_part(cut, start);
        let base = self.stretch_base(cut.position.msn, context, &init);
        let info = PartInfo {
            msn: cut.position.msn,
            part: cut.position.part,
            run: context.run,
            start,
            duration,
            bytes: bytes.len() as u64,
            independent: cut.samples.first().is_some_and(|s| s.sync),
            discontinuities: context.base.discontinuities,
            date_ms: context.base.date_of(self.ticks(start)),
            init,
            base: Some(base),
        };
        self.stretch = Some(Stretch::of_part(&info));
        self.resume_at = start.saturating_add(duration);
        self.edge =
            Some(Edge::after(info.discontinuities, info.date_ms, duration, self.grid.timescale));
        self.redis.push(RedisOp::Part { info: info.clone(), bytes: bytes.clone() });
        self.open.push((info, bytes));
    }

    /// Where the stretch begins that a part of segment `msn` is in. All
    /// renditions are cut at the same lines, so that theirs begin together.
    fn stretch_base(&self, msn: Msn, context: RunContext, init: &InitHash) -> Ticks {
        let base = context.base;
        let found = self.stretch.as_ref().filter(|s| s.discontinuities == base.discontinuities);
        match found {
            None => base.at,
            Some(found) if found.init == *init => found.base.unwrap_or(base.at),
            Some(_) => self.grid.line(msn),
        }
    }

    /// Lists the segments before `msn` that the source had nothing for as gaps:
    /// a playlist can't skip a number.
    fn bridge(&mut self, msn: Msn, context: RunContext, init: &InitHash) {
        if let Some(first) = self.next_msn.filter(|next| *next < msn) {
            let count = msn.0.saturating_sub(first.0);
            tracing::warn!(rendition = %self.name, %first, count, "segments without media");
        }
        while let Some(missing) = self.next_msn.filter(|next| *next < msn) {
            let end = self.grid.start(missing.next());
            let start = self.resume_at.max(self.grid.start(missing)).min(end);
            let edge = self.edge.unwrap_or(Edge {
                discontinuities: context.base.discontinuities,
                date_ms: context.base.date_of(self.ticks(start)),
            });
            let stretch = self.stretch.as_ref();
            let base = stretch.filter(|s| s.discontinuities == edge.discontinuities);
            let base = base.and_then(|stretch| stretch.base);
            let info = SegmentInfo {
                msn: missing,
                run: context.run,
                start,
                duration: end - start,
                bytes: 0,
                discontinuities: edge.discontinuities,
                date_ms: edge.date_ms,
                init: init.clone(),
                gap: true,
                base,
            };
            self.edge = Some(Edge::after(
                edge.discontinuities,
                edge.date_ms,
                info.duration,
                self.grid.timescale,
            ));
            self.resume_at = end;
            self.next_msn = Some(missing.next());
            self.redis.push(RedisOp::Segment {
                info: info.clone(),
                parts: Vec::new(),
                bytes: None,
            });
            self.store.push(StoreOp::Segment { info, bytes: None });
        }
        self.next_msn = Some(msn);
    }

    fn publish_segment(&mut self, msn: Msn) {
        let open = std::mem::take(&mut self.open);
        let (Some(context), Some((first, _))) = (self.context, open.first()) else {
            tracing::error!(rendition = %self.name, %msn, "a segment without parts");
            return;
        };
        let mut bytes = BytesMut::new();
        for (_, part) in &open {
            bytes.extend_from_slice(part);
        }
        let info = SegmentInfo {
            msn,
            run: context.run,
            start: first.start,
            duration: open.iter().map(|(part, _)| part.duration).sum(),
            bytes: bytes.len() as u64,
            discontinuities: first.discontinuities,
            date_ms: first.date_ms,
            init: first.init.clone(),
            gap: false,
            base: first.base,
        };
        let parts = open.into_iter().map(|(part, _)| part).collect();
        let bytes = bytes.freeze();
        self.next_msn = Some(msn.next());
        self.redis.push(RedisOp::Segment { info: info.clone(), parts, bytes: Some(bytes.clone()) });
        self.store.push(StoreOp::Segment { info, bytes: Some(bytes) });
    }

    /// A time of the rendition on the timeline.
    fn ticks(&self, units: i64) -> Ticks {
        Ticks::from_units(units, self.grid.timescale)
    }
}

fn write_part(cut: &PartCut, start: i64) -> Bytes {
    // A source with B-frames that is passed through begins to decode before
    // zero, which a file can't say: its offsets take the difference.
    let early = start.min(0);
    let samples: Vec<_> = cut
        .samples
        .iter()
        .map(|sample| cmaf::Sample {
            duration: u32::try_from(sample.duration).unwrap_or(0),
            composition_offset: sample
                .composition
                .saturating_add(i32::try_from(early).unwrap_or(i32::MIN)),
            sync: sample.sync,
            data: sample.data.clone(),
        })
        .collect();
    let number = cut.position.msn.0.wrapping_mul(64).wrapping_add(u64::from(cut.position.part));
    cmaf::Part {
        sequence: u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0),
        base_decode_time: u64::try_from(start).unwrap_or(0),
        samples: &samples,
    }
    .write()
}

#[cfg(test)]
mod tests;
