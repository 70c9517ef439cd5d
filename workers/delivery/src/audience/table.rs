//! The viewers and counters of every stream at this replica. Pure: time is
//! passed in, ms since 1970.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use millrace_media::id::{RenditionName, StreamId};
use millrace_platform::redis::metrics::Counters;
use millrace_platform::redis::viewers::{Report, Viewer, Visit};

use super::entry::{Entry, Known};
use super::sighting::Sighting;

/// What was not asked for in this time is forgotten here, ms.
const IDLE: i64 = 60_000;
/// Viewers that are new are counted by address over this time, ms.
const ARRIVALS: i64 = 60_000;
/// A salt is asked for again after this time, ms: it changes once a day.
const SALT: i64 = 60_000;

#[derive(Debug)]
struct Stream {
    viewers: HashMap<Viewer, Entry>,
    counted: Counters,
    salt: Option<(Arc<str>, i64)>,
    used_ms: i64,
}

/// See the module.
#[derive(Debug)]
pub struct Table {
    streams: HashMap<StreamId, Stream>,
    viewers: usize,
    bounds: Bounds,
    /// New viewers since a moment, by the network they come from.
    arrivals: (i64, HashMap<IpAddr, u32>),
}

/// What a table holds at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Viewers.
    pub viewers: usize,
    /// New viewers of one address (in IPv6, of one /64) in a minute.
    pub arrivals: u32,
}

impl Table {
    /// Empty, and never more than this.
    pub fn new(bounds: Bounds) -> Self {
        Self { streams: HashMap::new(), viewers: 0, bounds, arrivals: (0, HashMap::new()) }
    }

    /// Viewers kept.
    pub fn viewers(&self) -> usize {
        self.viewers
    }

    fn stream(&mut self, stream: &StreamId, now: i64) -> &mut Stream {
        let new = || Stream {
            viewers: HashMap::new(),
            counted: Counters::default(),
            salt: None,
            used_ms: now,
        };
        let stream = self.streams.entry(stream.clone()).or_insert_with(new);
        stream.used_ms = now;
        stream
    }

    /// Takes a sign of a viewer; false if there is no place for another one.
    pub fn see(&mut self, stream: &StreamId, sighting: Sighting, now: i64) -> bool {
        let known = self.streams.get(stream).map(|stream| &stream.viewers);
        if !known.is_some_and(|viewers| viewers.contains_key(&sighting.viewer))
            && (self.viewers >= self.bounds.viewers || !self.may_arrive(sighting.network, now))
        {
            return false;
        }
        let viewers = &mut self.stream(stream, now).viewers;
        match viewers.get_mut(&sighting.viewer) {
            // Another broadcast is another visit.
            Some(entry) if sighting.broadcast > entry.broadcast => {
                *entry = Entry::new(sighting, now);
            }
            Some(entry) => entry.update(sighting, now),
            None => {
                viewers.insert(sighting.viewer.clone(), Entry::new(sighting, now));
                self.viewers += 1;
            }
        }
        true
    }

    /// Counts a new viewer; false if too many come from there.
    fn may_arrive(&mut self, network: Option<IpAddr>, now: i64) -> bool {
        let (since, counted) = &mut self.arrivals;
        if !(0..ARRIVALS).contains(&now.saturating_sub(*since)) {
            *since = now;
            counted.clear();
        }
        let Some(network) = network else { return true };
        let count = counted.entry(network).or_default();
        let may = *count < self.bounds.arrivals;
        *count += u32::from(may);
        may
    }

    /// Bytes were sent.
    pub fn sent(&mut self, stream: &StreamId, rendition: &RenditionName, bytes: u64, now: i64) {
        let sent = &mut self.stream(stream, now).counted.egress_bytes;
        match sent.get_mut(rendition) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => drop(sent.insert(rendition.clone(), bytes)),
        }
    }

    /// The stream's salt, if it is known.
    pub fn salt(&mut self, stream: &StreamId, now: i64) -> Option<Arc<str>> {
        self.stream(stream, now).salt.as_ref().map(|(salt, _)| Arc::clone(salt))
    }

    /// The streams whose salt should be asked for.
    pub fn unsalted(&self, now: i64) -> Vec<StreamId> {
        let due = |stream: &Stream| {
            stream.salt.as_ref().is_none_or(|(_, asked)| now.saturating_sub(*asked) >= SALT)
        };
        self.streams.iter().filter(|(_, stream)| due(stream)).map(|(id, _)| id.clone()).collect()
    }

    /// A stream's salt is this one.
    pub fn set_salt(&mut self, stream: &StreamId, salt: &str, now: i64) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.salt = Some((salt.into(), now));
        }
    }

    /// What is to be reported now. Each report is followed by
    /// [`Table::settle`] or [`Table::put_back`].
    pub fn due(&mut self, now: i64) -> Vec<(StreamId, Vec<Report>)> {
        let mut due = Vec::new();
        for (id, stream) in &mut self.streams {
            let viewers = stream.viewers.iter_mut();
            let reports: Vec<_> =
                viewers.filter_map(|(viewer, entry)| entry.report(viewer, now)).collect();
            if !reports.is_empty() {
                due.push((id.clone(), reports));
            }
        }
        due
    }

    /// A report was taken; `visit` is what all know then, none for a guess that
    /// is unnecessary. What it added is counted.
    pub fn settle(
        &mut self,
        stream: &StreamId,
        report: &Report,
        visit: Option<Visit>,
    ) -> Option<Known> {
        let stream = self.streams.get_mut(stream)?;
        let entry = stream.viewers.get_mut(&report.viewer)?;
        let known = visit.map(|visit| entry.settle(report, visit));
        if let Some(Known { visit, .. }) = &known {
            let counted = &mut stream.counted;
            counted.buffering_events += u64::from(visit.new_stalls);
            counted.dropped_frames =
                counted.dropped_frames.saturating_add(visit.new_dropped_frames);
        }
        if entry.is_over(report) {
            stream.viewers.remove(&report.viewer);
            self.viewers = self.viewers.saturating_sub(1);
        }
        known
    }

    /// A report was not taken: it is made again. What this replica knows alone.
    pub fn put_back(&mut self, stream: &StreamId, report: &Report) -> Option<Known> {
        self.streams.get_mut(stream)?.viewers.get_mut(&report.viewer)?.put_back(report)
    }

    /// What was counted since the last call, of every stream with any.
    pub fn take_counted(&mut self) -> Vec<(StreamId, Counters)> {
        let streams = self.streams.iter_mut();
        let counted = streams.map(|(id, stream)| (id, std::mem::take(&mut stream.counted)));
        counted.filter(|(_, c)| !c.is_empty()).map(|(id, c)| (id.clone(), c)).collect()
    }

    /// What was counted could not be told: stalls and dropped frames are told
    /// with the next second, bytes would be a rate that never was.
    pub fn count_again(&mut self, counted: Vec<(StreamId, Counters)>) {
        for (id, lost) in counted {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.counted.add(Counters { egress_bytes: BTreeMap::new(), ..lost });
            }
        }
    }

    /// Forgets whom and what nobody asked for any more.
    pub fn forget(&mut self, now: i64) {
        let idle = |at: i64| now.saturating_sub(at) > IDLE;
        for stream in self.streams.values_mut() {
            stream.viewers.retain(|_, entry| !idle(entry.seen_ms));
        }
        self.streams.retain(|_, stream| !stream.viewers.is_empty() || !idle(stream.used_ms));
        self.viewers = self.streams.values().map(|stream| stream.viewers.len()).sum();
    }
}

#[cfg(test)]
mod tests;
