//! Everything one rendition offered, as it came, and what was wrong with it.
//! Pure: [`super::follow`] brings the bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;

use super::fragment::{Frame, Init, sha};
use super::report::{RenditionReport, SeenSegment};
use super::rules;
use super::snapshot::{Segment, Snapshot};
use super::{Mode, Origin};

/// Breaches kept; more are only counted.
const KEPT: usize = 200;

/// A file the playlist lists that has not been fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) uri: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Init,
    Part(Box<WantedPart>),
    Segment(Box<Segment>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct WantedPart {
    segment: u64,
    index: usize,
    micros: i64,
    independent: bool,
    map: String,
    /// [`rules::short_before`].
    short_before: Option<i64>,
}

/// Judges one rendition.
pub(super) struct Judge {
    mode: Mode,
    origin: Origin,
    keep_media: bool,
    before: Option<Snapshot>,
    /// Hash of every file fetched, or `None` while it is wanted.
    files: HashMap<String, Option<u64>>,
    inits: HashMap<String, (Init, Bytes)>,
    /// Init segments that are not understood here.
    opaque: HashMap<String, Bytes>,
    /// Length of what was listed of each segment, in microseconds.
    lengths: BTreeMap<u64, i64>,
    /// Bytes of the parts of segments that are not complete.
    parts: BTreeMap<u64, Vec<Option<Bytes>>>,
    report: RenditionReport,
}

impl Judge {
    pub(super) fn new(name: String, mode: Mode, origin: Origin, keep_media: bool) -> Self {
        Self {
            mode,
            origin,
            keep_media,
            before: None,
            files: HashMap::new(),
            inits: HashMap::new(),
            opaque: HashMap::new(),
            lengths: BTreeMap::new(),
            parts: BTreeMap::new(),
            report: RenditionReport { name, ..RenditionReport::default() },
        }
    }

    /// Looks at the next version of the playlist; returns what it lists anew,
    /// in the order to fetch it.
    pub(super) fn playlist(&mut self, text: &str) -> Vec<Wanted> {
        let now = match Snapshot::parse(text, self.origin) {
            Ok(now) => now,
            Err(error) => {
                self.broken(format!("unreadable playlist: {error:#}\n{text}"));
                return Vec::new();
            }
        };
        self.report.versions += 1;
        let mut broken = Vec::new();
        rules::alone(&now, self.origin.rounds(), &mut broken);
        if let Some(before) = &self.before {
            rules::step(before, &now, self.origin, &mut broken);
        }
        for what in broken {
            self.broken(what);
        }
        let mut wanted = Vec::new();
        for segment in &now.segments {
            self.want(segment, now.part_target, &mut wanted);
            self.lengths.insert(segment.msn, segment.length());
            if segment.gap && self.report.gaps.last().is_none_or(|last| *last < segment.msn) {
                self.report.gaps.push(segment.msn);
            }
        }
        self.report.ended = now.ended;
        self.before = Some(now);
        wanted
    }

    fn want(&mut self, segment: &Segment, part_target: i64, wanted: &mut Vec<Wanted>) {
        let mut new = |uri: &str, what: What| {
            if !self.files.contains_key(uri) {
                self.files.insert(uri.to_owned(), None);
                wanted.push(Wanted { uri: uri.to_owned(), what });
            }
        };
        if !segment.map.is_empty() {
            new(&segment.map, What::Init);
        }
        // Classic players don't know parts.
        let parts = if self.mode == Mode::LowLatency { &segment.parts[..] } else { &[] };
        for (index, part) in parts.iter().enumerate() {
            let part_of = WantedPart {
                segment: segment.msn,
                index,
                micros: part.micros,
                independent: part.independent,
                map: segment.map.clone(),
                short_before: rules::short_before(part_target, segment, index),
            };
            new(&part.uri, What::Part(Box::new(part_of)));
        }
        if let Some(uri) = segment.uri.as_ref().filter(|_| !segment.gap) {
            new(uri, What::Segment(Box::new(segment.clone())));
        }
    }

    /// `_HLS_msn` and `_HLS_part` to wait for next.
    pub(super) fn next(&self) -> Option<(u64, usize)> {
        self.before.as_ref().map(Snapshot::next)
    }

    /// EXT-X-TARGETDURATION in seconds, once known.
    pub(super) fn target(&self) -> Option<i64> {
        self.before.as_ref().map(|list| list.target)
    }

    /// How much was listed in all, also of what is not listed any more.
    pub(super) fn listed(&self) -> Duration {
        let micros: i64 = self.lengths.values().sum();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    }

    pub(super) fn ended(&self) -> bool {
        self.report.ended
    }

    /// Takes the bytes of a wanted file.
    pub(super) fn fetched(&mut self, wanted: &Wanted, bytes: &Bytes) {
        self.files.insert(wanted.uri.clone(), Some(sha(bytes)));
        let result = match &wanted.what {
            What::Init => self.begin(&wanted.uri, bytes),
            What::Part(part) => {
                let parts = self.parts.entry(part.segment).or_default();
                parts.resize(parts.len().max(part.index + 1), None);
                if let Some(place) = parts.get_mut(part.index) {
                    *place = Some(bytes.clone());
                }
                self.report.parts += 1;
                self.part(&wanted.uri, part, bytes)
            }
            What::Segment(segment) => self.segment(segment, bytes),
        };
        if let Err(error) = result {
            self.broken(format!("{}: {error:#}", wanted.uri));
        }
    }

    /// Takes an init segment.
    fn begin(&mut self, uri: &str, bytes: &Bytes) -> anyhow::Result<()> {
        match Init::parse(bytes) {
            Ok(init) => _ = self.inits.insert(uri.to_owned(), (init, bytes.clone())),
            Err(error) if self.origin == Origin::Ours => return Err(error),
            Err(error) => {
                self.report.unread.get_or_insert(format!("{error:#}"));
                self.opaque.insert(uri.to_owned(), bytes.clone());
            }
        }
        Ok(())
    }

    /// The init segment's bytes of media that nobody here can look into: none where there is none,
    /// as with MPEG-TS.
    fn opaque(&mut self, map: &str) -> Option<Bytes> {
        if map.is_empty() {
            self.report.unread.get_or_insert("no EXT-X-MAP".to_owned());
            return Some(Bytes::new());
        }
        self.opaque.get(map).cloned()
    }

    fn init(&self, map: &str) -> anyhow::Result<(Init, Bytes)> {
        let init = self.inits.get(map).cloned();
        anyhow::Context::with_context(init, || format!("its init segment {map} is not known"))
    }

    fn part(&mut self, uri: &str, part: &WantedPart, bytes: &[u8]) -> anyhow::Result<()> {
        if self.opaque(&part.map).is_some() {
            return Ok(());
        }
        let (init, _) = self.init(&part.map)?;
        let frames = init.frames(bytes)?;
        self.length(uri, init, &frames, part.micros);
        let Some(first) = frames.first() else { return Ok(()) };
        if part.independent && !first.sync {
            self.broken(format!("{uri}: INDEPENDENT without a keyframe first"));
        }
        // A source may leave out pictures: one that stays long has no place in the part before.
        let first = first.duration * 1_000_000 / i64::from(init.timescale);
        let target = self.before.as_ref().map_or(0, |list| list.part_target);
        if let Some(micros) = part.short_before.filter(|micros| micros + first <= target) {
            self.broken(format!("before {uri}: {micros} µs is under 85 %, and {first} had place"));
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment, bytes: &Bytes) -> anyhow::Result<()> {
        let uri = segment.uri.clone().unwrap_or_default();
        if let Some(init) = self.opaque(&segment.map) {
            self.check_parts(segment, bytes);
            self.seen(segment, Vec::new(), init, bytes);
            return Ok(());
        }
        let (init, init_bytes) = self.init(&segment.map)?;
        let frames = init.frames(bytes)?;
        self.length(&uri, init, &frames, segment.micros);
        self.check_parts(segment, bytes);
        if frames.first().is_none_or(|frame| !frame.sync) {
            self.broken(format!("{uri}: does not begin with a keyframe"));
        }
        self.check_follows(&uri, segment, &frames);
        self.report.video = init.is_video();
        self.report.timescale = init.timescale;
        self.seen(segment, frames, init_bytes, bytes);
        Ok(())
    }

    fn seen(&mut self, segment: &Segment, frames: Vec<Frame>, init: Bytes, bytes: &Bytes) {
        self.report.segments.push(SeenSegment {
            msn: segment.msn,
            uri: segment.uri.clone().unwrap_or_default(),
            discontinuity: segment.discontinuity,
            frames,
            media: self.keep_media.then(|| (init, bytes.clone())),
        });
    }

    /// What the playlist says of the length against what is inside.
    fn length(&mut self, uri: &str, init: Init, frames: &[Frame], micros: i64) {
        let ticks: i64 = frames.iter().map(|frame| frame.duration).sum();
        let inside = ticks * 1_000_000 / i64::from(init.timescale);
        if (inside - micros).abs() > self.origin.rounds() {
            self.broken(format!("{uri}: {micros} µs are listed, {inside} µs are inside"));
        }
    }

    /// A segment is its parts, byte for byte. Parts that were never listed to
    /// us, because the recording began later, can't be compared.
    fn check_parts(&mut self, segment: &Segment, bytes: &Bytes) {
        let Some(parts) = self.parts.remove(&segment.msn) else { return };
        let known: Option<Vec<Bytes>> = parts.into_iter().collect();
        let Some(known) = known.filter(|known| known.len() == segment.parts.len()) else { return };
        self.report.compared += 1;
        if known.concat() != *bytes {
            self.broken(format!("segment {}: is not the sum of its parts", segment.msn));
        }
    }

    /// Decode times go on where the last segment ended.
    fn check_follows(&mut self, uri: &str, segment: &Segment, frames: &[Frame]) {
        let last = self.report.segments.last();
        let mut end = last.and_then(|s| s.frames.last()).map(|frame| frame.dts + frame.duration);
        let mut jump_allowed = last.is_some_and(|s| s.discontinuity != segment.discontinuity);
        let rounds = match self.origin {
            Origin::Ours => 0,
            Origin::Any => i64::from(self.report.timescale) / 1_000,
        };
        let mut broken = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            if let Some(end) = end.filter(|end| (*end - frame.dts).abs() > rounds) {
                let by = frame.dts - end;
                if by > 0 && index == 0 && !jump_allowed {
                    let hole = format!("{uri}: decode time jumps by {by} ticks at {}", frame.dts);
                    self.report.holes.push(hole);
                } else if !jump_allowed || by < 0 {
                    broken.push(format!("{uri}: decode time jumps by {by} ticks at {}", frame.dts));
                }
            }
            jump_allowed = false;
            end = Some(frame.dts + frame.duration);
        }
        for what in broken {
            self.broken(what);
        }
    }

    /// Files that are listed now and were fetched before, each once.
    pub(super) fn to_check_again(&self) -> Vec<String> {
        let mut uris = BTreeSet::new();
        for segment in self.before.iter().flat_map(|list| &list.segments) {
            uris.insert(&segment.map);
            uris.extend(segment.parts.iter().map(|part| &part.uri));
            uris.extend(segment.uri.as_ref());
        }
        let fetched = |uri: &&&String| self.files.get(**uri).is_some_and(Option::is_some);
        uris.iter().filter(fetched).map(|uri| (*uri).clone()).collect()
    }

    /// Whether a playlist that is gone when the recording ends takes along what it listed.
    pub(super) fn may_vanish(&self) -> bool {
        self.origin == Origin::Any
    }

    /// A URL's bytes never change.
    pub(super) fn fetched_again(&mut self, uri: &str, bytes: &[u8]) {
        let before = self.files.get(uri).copied().flatten();
        self.report.fetched_again += 1;
        if before.is_some_and(|before| before != sha(bytes)) {
            self.broken(format!("{uri}: its bytes changed"));
        }
    }

    /// A request that got no good answer. Not a breach: servers die in tests.
    pub(super) fn failed(&mut self, what: &str) {
        self.report.failures += 1;
        self.report.last_failure = Some(what.to_owned());
    }

    /// A promise that was not kept.
    pub(super) fn broken(&mut self, what: String) {
        self.report.breaches += 1;
        if self.report.broken.len() < KEPT {
            self.report.broken.push(what);
        }
    }

    pub(super) fn finish(self) -> RenditionReport {
        self.report
    }
}

impl Origin {
    /// How far what is listed may be from what is so, in microseconds.
    fn rounds(self) -> i64 {
        match self {
            Self::Ours => 1,
            Self::Any => 1_000,
        }
    }
}
