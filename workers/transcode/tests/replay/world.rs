//! What Redis, the object store and Kafka hold, and when they take more. The
//! rules are those of the Lua scripts, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{Entry, InitHash, MediaName, PartInfo, SegmentInfo};
use millrace_media::timeline::Snapshot;
use millrace_platform::redis::media::EntryId;

/// Whose a run is: one process.
pub(crate) type Token = usize;

/// How a write to Redis went.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Done,
    Kept(Entry),
    Late,
    Lost,
    Fenced,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) redis: Redis,
    pub(crate) store: Store,
    /// The checkpoint.
    pub(crate) checkpoint: Option<(i64, Snapshot)>,
    /// Every name that ever had bytes, and what they were.
    names: HashMap<(RenditionName, String), Bytes>,
    /// Media that nobody had any more when its writer died.
    pub(crate) forgiven: BTreeSet<(RenditionName, Msn)>,
}

#[derive(Debug, Default)]
pub(crate) struct Redis {
    /// The broadcast is described.
    pub(crate) described: bool,
    lease: Option<(Run, Token)>,
    pub(crate) playlists: BTreeMap<RenditionName, BTreeMap<EntryId, Entry>>,
    bytes: HashMap<(RenditionName, String), Bytes>,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    claims: Vec<Token>,
    pub(crate) heads: BTreeMap<Run, Head>,
    bytes: HashMap<(RenditionName, String), Bytes>,
    pub(crate) inits: HashMap<InitHash, Bytes>,
}

pub(crate) fn part_name(part: &PartInfo) -> String {
    MediaName::Part { msn: part.msn, part: part.part, run: part.run }.to_string()
}

pub(crate) fn segment_name(segment: &SegmentInfo) -> String {
    MediaName::Segment { msn: segment.msn, run: segment.run }.to_string()
}

impl World {
    /// A name has its bytes for good, whoever serves them.
    fn named(&mut self, rendition: &RenditionName, name: &str, bytes: &Bytes) {
        let key = (rendition.clone(), name.to_owned());
        let there = self.names.entry(key).or_insert_with(|| bytes.clone());
        assert_eq!(there, bytes, "{rendition} {name} has other bytes than before");
    }

    /// claim_run: in the store, then in Redis, unless another has gone on.
    pub(crate) fn claim(&mut self, token: Token) -> Result<Run, Answer> {
        self.store.claims.push(token);
        let run = Run(self.store.claims.len().try_into().unwrap());
        match self.claim_lease(run, token) {
            Answer::Done => Ok(run),
            fenced => Err(fenced),
        }
    }

    /// claim.lua
    pub(crate) fn claim_lease(&mut self, run: Run, token: Token) -> Answer {
        match self.redis.lease {
            Some((there, by)) if there > run || there == run && by != token => Answer::Fenced,
            _ => {
                self.redis.lease = Some((run, token));
                Answer::Done
            }
        }
    }

    pub(crate) fn claimed_by(&self, run: Run) -> Token {
        self.store.claims[usize::try_from(run.0).unwrap() - 1]
    }

    pub(crate) fn is_overtaken(&self, run: Run, token: Token) -> bool {
        let after = usize::try_from(run.0).unwrap();
        self.store.claims.iter().skip(after).any(|claim| *claim != token)
    }

    fn lease_is(&self, run: Run, token: Token) -> Answer {
        match self.redis.lease {
            None => Answer::Lost,
            Some(lease) if lease == (run, token) => Answer::Done,
            // Redis was away when this run was claimed.
            Some((there, _)) if there <= run => Answer::Lost,
            Some(_) => Answer::Fenced,
        }
    }

    /// publish.lua
    pub(crate) fn publish(
        &mut self,
        (run, token): (Run, Token),
        rendition: &RenditionName,
        entry: &Entry,
        bytes: &Bytes,
        last: Option<EntryId>,
    ) -> Answer {
        let lease = self.lease_is(run, token);
        if lease != Answer::Done {
            return lease;
        }
        let playlist = self.redis.playlists.entry(rendition.clone()).or_default();
        let newest = playlist.keys().next_back().copied();
        if last.is_some_and(|last| newest.is_none_or(|newest| newest < last)) {
            return Answer::Lost;
        }
        let id = EntryId::of(entry);
        match playlist.get(&id) {
            Some(there) if there != entry => return Answer::Kept(there.clone()),
            Some(_) => {}
            None if newest.is_some_and(|newest| newest > id) => return Answer::Late,
            None => _ = playlist.insert(id, entry.clone()),
        }
        let name = match entry {
            Entry::Part(part) => part_name(part),
            Entry::Segment(segment) => segment_name(segment),
            Entry::End { .. } => return Answer::Done,
        };
        self.named(rendition, &name, bytes);
        self.redis.bytes.insert((rendition.clone(), name), bytes.clone());
        Answer::Done
    }

    /// append.lua
    pub(crate) fn append(
        &mut self,
        (run, token): (Run, Token),
        rendition: &RenditionName,
        entries: &[Entry],
    ) -> Answer {
        let lease = self.lease_is(run, token);
        if lease != Answer::Done {
            return lease;
        }
        let playlist = self.redis.playlists.entry(rendition.clone()).or_default();
        for entry in entries {
            let id = EntryId::of(entry);
            if playlist.keys().next_back().is_none_or(|newest| *newest < id) {
                playlist.insert(id, entry.clone());
            }
        }
        Answer::Done
    }

    pub(crate) fn describe(&mut self, lease: (Run, Token)) -> Answer {
        let held = self.lease_is(lease.0, lease.1);
        self.redis.described |= held == Answer::Done;
        held
    }

    pub(crate) fn empty_redis(&mut self) {
        self.redis = Redis::default();
    }

    /// All parts' bytes are too old.
    pub(crate) fn expire_parts(&mut self) {
        self.redis.bytes.retain(|(_, name), _| !name.trim_end_matches(".m4s").contains('.'));
    }

    pub(crate) fn put(&mut self, rendition: &RenditionName, segment: &SegmentInfo, bytes: &Bytes) {
        let name = segment_name(segment);
        self.named(rendition, &name, bytes);
        self.store.bytes.entry((rendition.clone(), name)).or_insert_with(|| bytes.clone());
    }

    pub(crate) fn put_head(&mut self, head: &Head) {
        self.store.heads.insert(head.run, head.clone());
    }

    pub(crate) fn head(&self) -> Option<&Head> {
        self.store.heads.values().next_back()
    }

    pub(crate) fn entries(&self, rendition: &RenditionName) -> Vec<Entry> {
        let playlist = self.redis.playlists.get(rendition);
        playlist.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    pub(crate) fn part(&self, rendition: &RenditionName, part: &PartInfo) -> Option<Bytes> {
        self.redis.bytes.get(&(rendition.clone(), part_name(part))).cloned()
    }

    pub(crate) fn segment(
        &self,
        rendition: &RenditionName,
        segment: &SegmentInfo,
    ) -> Option<Bytes> {
        let key = (rendition.clone(), segment_name(segment));
        self.redis.bytes.get(&key).or_else(|| self.store.bytes.get(&key)).cloned()
    }

    pub(crate) fn stored(
        &self,
        rendition: &RenditionName,
        segment: &SegmentInfo,
    ) -> Option<&Bytes> {
        self.store.bytes.get(&(rendition.clone(), segment_name(segment)))
    }

    /// A process dies: what Redis lists and nobody has bytes of is lost, however
    /// the next goes on.
    pub(crate) fn one_died(&mut self) {
        for (rendition, playlist) in &self.redis.playlists {
            for entry in playlist.values() {
                if let Entry::Segment(segment) = entry
                    && !segment.gap
                    && self.segment(rendition, segment).is_none()
                {
                    self.forgiven.insert((rendition.clone(), segment.msn));
                }
            }
        }
    }
}
