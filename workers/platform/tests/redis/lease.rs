//! Several writers of one stream, each of which may stand still between any two
//! of its steps, and a Redis that may lose everything: the scripts over a real
//! Redis, claims in a real store.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::{Entry, InitHash, PartInfo, SegmentInfo};
use millrace_platform::config::StoreConfig;
use millrace_platform::names::objects::{BroadcastObjects, run_of};
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{
    EntryId, Lease, MediaError, MediaReader, MediaWriter, Outcome,
};
use millrace_platform::store::{Created, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use crate::server::{Server, config, installation};

/// Parts of a segment.
const PARTS: u32 = 3;

/// What one of the writers, or Redis, does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The writer's next step.
    Step(usize),
    /// The writer dies, and another process begins in its place.
    Restart(usize),
    /// Redis loses everything.
    Empty,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        30 => (0..3_usize).prop_map(Act::Step),
        2 => (0..3_usize).prop_map(Act::Restart),
        1 => Just(Act::Empty),
    ];
    prop::collection::vec(act, 1..90)
}

/// The stream and all that was ever seen of it.
struct World {
    redis: Redis,
    client: redis::aio::MultiplexedConnection,
    store: Store,
    objects: BroadcastObjects,
    stream: StreamId,
    broadcast: BroadcastId,
    name: RenditionName,
    /// The playlist when it was last looked at; empty after Redis was.
    seen: BTreeMap<EntryId, Entry>,
    /// Every part's bytes, by number, part and run.
    bytes: HashMap<(u64, u32, u64), Bytes>,
    /// The highest run that Redis gave the lease to since it was empty.
    highest: Run,
}

/// Where a process is.
#[derive(Debug, Default)]
enum At {
    /// It has not read what is published.
    #[default]
    Start,
    /// It claims in the store.
    Claiming,
    /// The store's claim is its own; Redis's lease is to be taken.
    Claimed,
    /// It publishes.
    Publishing,
    /// Redis had lost what it published: the lease, the window and the parts of
    /// the open segment are to be there again.
    Lost(Again),
    /// Another has the stream.
    Over,
}

#[derive(Debug)]
enum Again {
    Lease,
    Window,
    Parts(usize),
}

struct Process {
    token: Uuid,
    at: At,
    writer: Option<MediaWriter>,
    read: Option<EntryId>,
    last: Option<EntryId>,
    next: (u64, u32),
    window: Vec<Entry>,
    open: Vec<(PartInfo, Bytes)>,
}

impl Process {
    fn new() -> Self {
        Self {
            token: Uuid::new_v4(),
            at: At::Start,
            writer: None,
            read: None,
            last: None,
            next: (0, 0),
            window: Vec::new(),
            open: Vec::new(),
        }
    }

    async fn step(&mut self, world: &mut World) {
        self.at = match std::mem::take(&mut self.at) {
            At::Start => self.read(world).await,
            At::Claiming => self.claim(world).await,
            At::Claimed => match self.writer().claim().await {
                Ok(()) => {
                    world.leased(self.run());
                    At::Publishing
                }
                Err(error) => self.refused(&error),
            },
            At::Publishing => self.publish(world).await,
            At::Lost(again) => self.recover(world, again).await,
            At::Over => At::Over,
        };
    }

    fn writer(&self) -> &MediaWriter {
        self.writer.as_ref().unwrap()
    }

    fn run(&self) -> Run {
        self.writer().lease().run
    }

    async fn read(&mut self, world: &World) -> At {
        let entries = world.entries().await;
        (self.read, self.last) = (entries.keys().next_back().copied(), None);
        self.last = self.read;
        self.next = match entries.values().next_back() {
            None => (0, 0),
            Some(Entry::Part(part)) => (part.msn.0, part.part + 1),
            Some(Entry::Segment(segment)) => (segment.msn.next().0, 0),
            Some(Entry::End { msn }) => (msn.0, 0),
        };
        let segments = entries.into_values().filter(|e| matches!(e, Entry::Segment(_)));
        self.window = segments.collect();
        At::Claiming
    }

    async fn claim(&mut self, world: &World) -> At {
        let claims = world.store.list(&world.objects.runs()).await.unwrap();
        let run = claims.iter().filter_map(|path| run_of(path)).max().unwrap_or_default().next();
        let token = Bytes::from(self.token.to_string());
        if world.store.create(&world.objects.run(run), token).await.unwrap() != Created::Created {
            return At::Claiming;
        }
        let lease = Lease { broadcast: world.broadcast, run, token: self.token };
        let redis = world.redis.clone();
        self.writer = Some(MediaWriter::new(redis, &installation(), &world.stream, lease));
        At::Claimed
    }

    async fn publish(&mut self, world: &mut World) -> At {
        let (msn, number) = self.next;
        if number == PARTS {
            return self.segment(world, msn).await;
        }
        let part = part(msn, number, self.run());
        // Two encoders never make the same bytes.
        let bytes = Bytes::from(Uuid::new_v4().to_string());
        let writer = self.writer().clone().after(self.last);
        let entry = Entry::Part(part.clone());
        match writer.publish_part(&world.name, &part, &bytes).await {
            Ok(outcome) => {
                if outcome == Outcome::New {
                    world.accepted(self.run());
                    world.bytes.insert((msn, number, self.run().0), bytes.clone());
                    self.open.push((part, bytes));
                }
                self.next.1 += 1;
                self.went(&entry, &outcome)
            }
            Err(error) => self.refused(&error),
        }
    }

    async fn segment(&mut self, world: &mut World, msn: u64) -> At {
        let segment = segment(msn, self.run());
        let entry = Entry::Segment(segment.clone());
        let writer = self.writer().clone().after(self.last);
        let bytes = Bytes::from_static(b"whole");
        match writer.publish_segment(&world.name, &segment, &bytes, &[], Msn(0)).await {
            Ok(outcome) => {
                if outcome == Outcome::New {
                    world.accepted(self.run());
                }
                self.next = (msn + 1, 0);
                self.window.push(entry.clone());
                self.open.clear();
                self.went(&entry, &outcome)
            }
            Err(error) => self.refused(&error),
        }
    }

    /// What another has published since this one read ends it.
    fn went(&mut self, entry: &Entry, outcome: &Outcome) -> At {
        self.last = self.last.max(Some(EntryId::of(entry)));
        match outcome {
            Outcome::Kept(there) if Some(EntryId::of(there)) > self.read => At::Over,
            _ => At::Publishing,
        }
    }

    fn refused(&self, error: &MediaError) -> At {
        match error {
            MediaError::LeaseLost => At::Lost(Again::Lease),
            MediaError::Fenced { by } if by.run <= self.run() => At::Lost(Again::Lease),
            MediaError::Fenced { .. } | MediaError::OutOfOrder { .. } => At::Over,
            MediaError::Redis(error) => panic!("{error}"),
        }
    }

    async fn recover(&mut self, world: &mut World, again: Again) -> At {
        let done = match again {
            Again::Lease => self.writer().claim().await.map(|()| world.leased(self.run())),
            Again::Window => {
                let entry = |entry: &Entry| (world.name.clone(), entry.clone());
                self.writer().restore(&self.window.iter().map(entry).collect::<Vec<_>>()).await
            }
            Again::Parts(n) => match self.open.get(n) {
                None => {
                    self.last = None;
                    return At::Publishing;
                }
                Some((part, bytes)) => {
                    self.writer().publish_part(&world.name, part, bytes).await.map(drop)
                }
            },
        };
        match (done, again) {
            (Ok(()), Again::Lease) => At::Lost(Again::Window),
            (Ok(()), Again::Window) => At::Lost(Again::Parts(0)),
            // Or another's entries are there instead.
            (Ok(()) | Err(MediaError::OutOfOrder { .. }), Again::Parts(n)) => {
                At::Lost(Again::Parts(n + 1))
            }
            (Err(error), _) => self.refused(&error),
        }
    }
}

fn part(msn: u64, part: u32, run: Run) -> PartInfo {
    PartInfo {
        msn: Msn(msn),
        part,
        run,
        start: 0,
        duration: 18_000,
        bytes: 5,
        independent: true,
        discontinuities: 0,
        date_ms: 0,
        init: InitHash::of(b"init"),
        base: None,
    }
}

fn segment(msn: u64, run: Run) -> SegmentInfo {
    SegmentInfo {
        msn: Msn(msn),
        run,
        start: 0,
        duration: 54_000,
        bytes: 5,
        discontinuities: 0,
        date_ms: 0,
        init: InitHash::of(b"init"),
        gap: false,
        base: None,
    }
}

impl World {
    async fn entries(&self) -> BTreeMap<EntryId, Entry> {
        let reader = MediaReader::new(self.redis.clone(), installation());
        let entries =
            reader.entries(&self.stream, self.broadcast, &self.name, EntryId::START).await;
        entries.unwrap().into_iter().map(|entry| (EntryId::of(&entry), entry)).collect()
    }

    fn leased(&mut self, run: Run) {
        assert!(run >= self.highest, "run {run} took the lease after {}", self.highest);
        self.highest = run;
    }

    fn accepted(&self, run: Run) {
        assert!(run >= self.highest, "run {run} published after {} had claimed", self.highest);
    }

    async fn empty(&mut self) {
        redis::cmd("FLUSHALL").query_async::<()>(&mut self.client).await.unwrap();
        self.seen.clear();
        self.highest = Run(0);
    }

    /// What holds after every act.
    async fn look(&mut self) {
        let now = self.entries().await;
        for (id, entry) in &self.seen {
            assert_eq!(now.get(id), Some(entry), "entry {id} has changed");
        }
        let mut runs: Vec<_> = Vec::new();
        let reader = MediaReader::new(self.redis.clone(), installation());
        for entry in now.values() {
            match entry {
                Entry::Part(part) => {
                    runs.push(part.run);
                    let name = (part.msn, part.part, part.run);
                    let got = reader.get_part(&self.stream, self.broadcast, &self.name, name);
                    let known = self.bytes.get(&(part.msn.0, part.part, part.run.0));
                    assert_eq!(got.await.unwrap().as_ref(), known, "bytes of {name:?}");
                }
                Entry::Segment(segment) => runs.push(segment.run),
                Entry::End { .. } => {}
            }
        }
        assert!(runs.is_sorted(), "runs are mixed: {runs:?}");
        self.seen = now;
    }
}

async fn play(server: &Server, acts: Vec<Act>) {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreConfig::Directory(folder.path().to_owned());
    let (stream, broadcast): (StreamId, _) = ("a.b".parse().unwrap(), BroadcastId(Uuid::now_v7()));
    let mut world = World {
        redis: Redis::connect(&config(server).media, "media").unwrap(),
        client: server.client(0).await,
        store: Store::open(&store, &installation()).unwrap(),
        objects: BroadcastObjects::new(&stream, broadcast),
        stream,
        broadcast,
        name: "720p".parse().unwrap(),
        seen: BTreeMap::new(),
        bytes: HashMap::new(),
        highest: Run(0),
    };
    world.empty().await;
    let mut processes = [Process::new(), Process::new(), Process::new()];
    for act in acts {
        match act {
            Act::Step(n) => processes.get_mut(n).unwrap().step(&mut world).await,
            Act::Restart(n) => *processes.get_mut(n).unwrap() = Process::new(),
            Act::Empty => world.empty().await,
        }
        world.look().await;
    }
}

#[test]
fn writers_that_stand_still_at_any_step_never_change_what_another_has_published() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start();
    let config = Config { failure_persistence: None, ..Config::default() };
    let config = Config { cases: config.cases / 5, ..config };
    let played = TestRunner::new(config).run(&acts(), |acts| {
        runtime.block_on(play(&server, acts));
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}
