//! What two writers after each other publish of one rendition.

use bytes::Bytes;
use millrace_media::published::{Entry, RenditionInfo, RenditionKind};

use super::*;
use crate::publish::lane::Limit;
use crate::publish::resume;

const STEP: i64 = 3_600;

/// A writer that goes on after these entries, of which all parts are kept.
struct Writer {
    rendition: Rendition,
    lane: Arc<Lane<RedisOp>>,
}

impl Writer {
    fn after(entries: &[Entry], run: u64, base: Base) -> Self {
        let info = RenditionInfo {
            name: "720p".parse().unwrap(),
            kind: RenditionKind::Video { width: 1_280, height: 720 },
            codecs: String::new(),
            timescale: 90_000,
            bandwidth: 1,
            average_bandwidth: 1,
        };
        let grid = Grid {
            timescale: 90_000,
            segment: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
        };
        let limit = Limit { bytes: usize::MAX, items: usize::MAX };
        let (lane, store) = (Arc::new(Lane::new(limit)), Arc::new(Lane::new(limit)));
        let plan = resume::plan(&info, entries, None);
        let open = plan.open.iter().map(|part| (part.clone(), Bytes::from_static(b"p"))).collect();
        let mut rendition = Rendition::new(info.name, grid, &plan, open, lane.clone(), store);
        rendition.begin_run(RunContext { run: Run(run), base });
        Self { rendition, lane }
    }

    /// Encodes 25 pictures a second with these settings.
    fn encode(&mut self, settings: &'static [u8], seconds: std::ops::Range<f64>) {
        self.rendition.set_init(&Bytes::from_static(settings));
        #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
        let frame = |at: f64| (at * 25.0).round() as i64;
        for n in frame(seconds.start)..frame(seconds.end) {
            let start = n * STEP;
            let data = Bytes::from_static(b"x");
            let sample = Sample { start, composition: 0, duration: STEP, sync: true, data };
            self.rendition.push(sample).unwrap();
        }
    }

    /// What it has published, as Redis would have it.
    async fn publish(self, entries: &mut Vec<Entry>) {
        self.lane.close();
        while let Some(op) = self.lane.pop().await {
            match op {
                RedisOp::Part { info, .. } => entries.push(Entry::Part(info)),
                RedisOp::Segment { info, .. } => entries.push(Entry::Segment(info)),
                RedisOp::Init { .. } => {}
            }
            self.lane.done();
        }
    }
}

fn base(discontinuities: u32, seconds: i64) -> Base {
    let ms = seconds * 1_000;
    Base { at: Ticks::from_ms(ms), source_ms: ms, discontinuities, date_ms: ms }
}

/// Number, length in pictures, and base in seconds of the segments.
fn segments(entries: &[Entry]) -> Vec<(u64, i64, Option<i64>)> {
    let segment = |entry: &Entry| match entry {
        Entry::Segment(s) => {
            Some((s.msn.0, s.duration / STEP, s.base.map(|base| base.as_ms() / 1_000)))
        }
        _ => None,
    };
    entries.iter().filter_map(segment).collect()
}

#[tokio::test]
async fn an_encoder_of_the_same_settings_goes_on_in_the_middle_of_a_segment() {
    let mut entries = Vec::new();
    let mut first = Writer::after(&[], 1, base(0, 0));
    first.encode(b"a", 0.0..3.0);
    first.publish(&mut entries).await;
    let mut second = Writer::after(&entries, 2, base(0, 0));
    second.encode(b"a", 2.0..6.0);
    second.publish(&mut entries).await;
    assert_eq!(segments(&entries), [(0, 50, Some(0)), (1, 50, Some(0)), (2, 50, Some(0))]);
}

#[tokio::test]
async fn a_segment_that_an_encoder_of_other_settings_finds_open_ends_and_the_next_is_of_one() {
    let mut entries = Vec::new();
    let mut first = Writer::after(&[], 1, base(0, 0));
    first.encode(b"a", 0.0..3.0);
    first.publish(&mut entries).await;
    let mut second = Writer::after(&entries, 2, base(0, 0));
    second.encode(b"b", 2.0..3.6);
    second.publish(&mut entries).await;
    // Killed once more before the next segment: the short one is not begun again.
    let mut third = Writer::after(&entries, 3, base(0, 0));
    third.encode(b"b", 2.0..6.0);
    third.publish(&mut entries).await;
    assert_eq!(segments(&entries), [(0, 50, Some(0)), (1, 25, Some(0)), (2, 50, Some(4))]);
    for entry in &entries {
        let (msn, init) = match entry {
            Entry::Part(part) => (part.msn, &part.init),
            Entry::Segment(segment) => (segment.msn, &segment.init),
            Entry::End { .. } => continue,
        };
        let settings: &[u8] = if msn < Msn(2) { b"a" } else { b"b" };
        assert_eq!(*init, InitHash::of(settings), "segment {msn}");
    }
}

#[tokio::test]
async fn a_stretch_begins_at_its_discontinuity_or_where_its_init_segment_came() {
    let mut entries = Vec::new();
    let mut first = Writer::after(&[], 1, base(0, 0));
    first.encode(b"a", 0.0..4.0);
    first.publish(&mut entries).await;
    let mut second = Writer::after(&entries, 2, base(0, 0));
    second.encode(b"b", 4.0..8.0);
    second.rendition.end_base(1);
    second.rendition.begin_run(RunContext { run: Run(3), base: base(1, 8) });
    second.encode(b"b", 8.0..12.0);
    second.publish(&mut entries).await;
    let mut last = Writer::after(&entries, 4, base(1, 8));
    last.encode(b"a", 12.0..14.0);
    last.publish(&mut entries).await;
    let bases: Vec<_> = segments(&entries).into_iter().filter_map(|s| s.2).collect();
    assert_eq!(bases, [0, 0, 4, 4, 8, 8, 12]);
}

#[tokio::test]
async fn a_pause_is_listed_as_gaps_up_to_a_day_of_them_and_more_is_an_error() {
    let mut writer = Writer::after(&[], 1, base(0, 0));
    writer.encode(b"a", 0.0..2.0);
    let most = i64::try_from(MAX_GAPS).unwrap();
    let segment = |msn: i64| msn * 50 * STEP;
    let sample = |start| {
        let data = Bytes::from_static(b"x");
        Sample { start, composition: 0, duration: STEP, sync: true, data }
    };
    for far in [segment(most + 2), i64::MAX] {
        assert!(
            writer.rendition.reaches(far).is_err() && writer.rendition.push(sample(far)).is_err()
        );
    }
    writer.rendition.push(sample(segment(most + 1))).unwrap();
    writer.rendition.end_base(1);
    let mut entries = Vec::new();
    writer.publish(&mut entries).await;
    let listed = segments(&entries);
    assert!((0..).zip(&listed).all(|(msn, segment)| segment.0 == msn));
    assert_eq!(listed.len(), 43_202);
}
