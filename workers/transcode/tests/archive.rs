//! The index and the checkpoint, with the real Kafka and a store that fails.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it stands")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_harness::proxy::{Mode, Proxy};
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{
    Access, BroadcastInfo, FrameRate, InitHash, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_media::record::Open;
use millrace_media::time::Ticks;
use millrace_media::timeline::{RestartPoint, Snapshot, Timeline};
use millrace_platform::config::Env;
use millrace_platform::health::Health;
use millrace_platform::kafka::{Admin, TopicSpec};
use millrace_platform::telemetry::Metrics;
use millrace_transcode::config::Config;
use millrace_transcode::metrics::TranscodeMetrics;
use millrace_transcode::publish::archive::{Archive, Ending, Note};
use millrace_transcode::publish::checkpoint::Candidate;
use millrace_transcode::services::{PublishError, Services};
use millrace_transcode::session::Session;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);
const SEGMENT: Ticks = Ticks::from_ms(2_000);
/// Its half is a segment of thirty seconds.
const REPLAY_WINDOW: &str = "60";
/// Where no Redis is.
const NOBODY: &str = "redis://127.0.0.1:9";

/// A store of a test's own, on the servers of all tests.
struct World {
    config: Arc<Config>,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    info: BroadcastInfo,
}

/// One process.
struct Process {
    services: Services,
    metrics: Metrics,
    health: Health,
    notes: mpsc::Sender<Note>,
    broadcast: BroadcastId,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = vec![
            ("STREAM_ID", "events.keynote".to_owned()),
            ("KAFKA_BROKERS", server("TEST_KAFKA_BROKERS")),
            ("REDIS_URL", server("TEST_REDIS_URL")),
            ("OBJECT_STORE_URL", format!("file://{}", folder.path().display())),
            ("MILLRACE_INSTALLATION", format!("t{}", &Uuid::new_v4().simple().to_string()[..16])),
            ("REPLAY_WINDOW_SECONDS", REPLAY_WINDOW.to_owned()),
        ];
        let config = Arc::new(Config::read(&Env::from_pairs(environment.clone())).unwrap());
        let window = Duration::from_mins(15);
        let spec = TopicSpec::frames(&config.installation, &config.stream, window, 1);
        Admin::open(&config.kafka).unwrap().ensure(&spec).await.unwrap();
        let info = BroadcastInfo {
            stream: config.stream.clone(),
            broadcast: BroadcastId(Uuid::now_v7()),
            started_ms: 0,
            segment_duration: SEGMENT,
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(60_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: vec![RenditionInfo {
                name: name(),
                kind: RenditionKind::Video { width: 1_280, height: 720 },
                codecs: "avc1.64001f".to_owned(),
                timescale: 90_000,
                bandwidth: 1,
                average_bandwidth: 1,
            }],
            ended: false,
            access: Access::default(),
        };
        Self { config, environment, folder, info }
    }

    /// A process that has claimed a run and archives.
    async fn process(&self) -> Process {
        let process = self.begin(&self.config, |archive| archive);
        process.claim(self.info.broadcast).await;
        process
    }

    /// A process that archives as `how` says, and has no run yet.
    fn begin(&self, config: &Arc<Config>, how: impl FnOnce(Archive) -> Archive) -> Process {
        let (metrics, health) = (Metrics::default(), Health::default());
        let counters = TranscodeMetrics::register(&metrics);
        let services = Services::connect(config, counters, &health).unwrap();
        let head = Head::new(self.info.clone(), Run(0));
        let (notes, inbox) = mpsc::channel(4);
        let archive = how(Archive::new(services.clone(), head, &[name()]));
        tokio::spawn(archive.run(inbox));
        Process { services, metrics, health, notes, broadcast: self.info.broadcast }
    }

    /// The settings of a process that reaches Redis there.
    fn with_redis(&self, url: &str) -> Arc<Config> {
        let mut environment = self.environment.clone();
        environment.push(("REDIS_URL", url.to_owned()));
        Arc::new(Config::read(&Env::from_pairs(environment)).unwrap())
    }

    /// Another process tries to take the broadcast over, and Redis does not hear of it.
    async fn take_over_in_vain(&self) {
        let config = self.with_redis(NOBODY);
        let counters = TranscodeMetrics::default();
        let other = Services::connect(&config, counters, &Health::default()).unwrap();
        other.take_over(self.info.broadcast).await.unwrap_err();
    }

    /// Where the index goes.
    fn index(&self) -> PathBuf {
        let installation = self.config.installation.as_str();
        let stream = self.config.stream.to_string();
        let broadcast = self.info.broadcast.to_string();
        self.folder.path().join(installation).join(stream).join(broadcast).join("index")
    }

    /// No index can be written or read.
    fn break_store(&self) {
        std::fs::create_dir_all(self.index()).unwrap();
        std::fs::rename(self.index(), self.index().with_extension("away")).unwrap();
        // It leads nowhere.
        std::os::unix::fs::symlink(self.index(), self.index()).unwrap();
    }

    fn mend_store(&self) {
        std::fs::remove_file(self.index()).unwrap();
        std::fs::rename(self.index().with_extension("away"), self.index()).unwrap();
    }

    fn heads(&self) -> usize {
        std::fs::read_dir(self.index()).map_or(0, Iterator::count)
    }
}

impl Process {
    async fn claim(&self, broadcast: BroadcastId) {
        let run = self.services.claim_run(broadcast).await.unwrap();
        self.tell(Note::Run(run)).await;
    }

    async fn tell(&self, note: Note) {
        let sent = tokio::time::timeout(PATIENCE, self.notes.send(note)).await;
        let _ = sent.expect("the archive takes notes whatever the store does");
    }

    /// Keyframes each second; the record of second `n` is at offset `n`.
    async fn keyframes(&self, seconds: std::ops::Range<i64>) {
        for offset in seconds {
            let point = Box::new(RestartPoint { offset, snapshot: snapshot() });
            let at = Ticks::from_ms(offset * 1_000);
            self.tell(Note::Candidate(Candidate { at, point })).await;
        }
    }

    async fn stored(&self, msn: u64) {
        let segment = SegmentInfo {
            msn: Msn(msn),
            run: Run(1),
            start: i64::try_from(msn).unwrap() * SEGMENT.0,
            duration: SEGMENT.0,
            bytes: 9,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b"init"),
            gap: false,
            base: None,
        };
        self.tell(Note::Stored(name(), segment)).await;
    }

    /// The broadcast is over at this offset; answers when all is done.
    async fn end(&self, offset: i64) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        let snapshot = Some(Box::new(snapshot()));
        self.tell(Note::End(Ending { offset, snapshot, done })).await;
        finished
    }

    async fn index(&self) -> Option<Head> {
        self.services.head(self.broadcast).await.unwrap()
    }

    /// Waits until the index has this segment: the checkpoint was looked at after
    /// the one before.
    async fn indexed(&self, msn: u64) {
        let last = |head: &Head| head.segments.get(&name())?.last().map(|segment| segment.msn);
        until(async || self.index().await.as_ref().and_then(last) >= Some(Msn(msn))).await;
    }

    /// Waits until an archive whose index is behind has looked at the checkpoint.
    async fn looks_on(&self) {
        // A first look may have begun before.
        for _ in 0..2 {
            self.services.index_is(false, false);
            until_true(|| self.counted("millrace_index_behind") == 1).await;
        }
    }

    async fn checkpoint(&self) -> Option<i64> {
        self.services.checkpoint().await.unwrap().map(|(offset, _)| offset)
    }

    /// Waits until the store has failed so many times more.
    async fn failures(&self, more: u64) {
        let until = self.counted("millrace_store_failures_total") + more;
        until_true(|| self.counted("millrace_store_failures_total") >= until).await;
    }

    async fn reaches(&self, offset: i64) {
        let reached = async {
            while self.checkpoint().await != Some(offset) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let last = tokio::time::timeout(PATIENCE, reached).await;
        assert!(last.is_ok(), "{:?} is not {offset}", self.checkpoint().await);
    }

    fn counted(&self, metric: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }
}

async fn until(condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

async fn until_true(condition: impl Fn() -> bool) {
    until(async || condition()).await;
}

/// The address of one of the tests' servers.
fn server(name: &str) -> String {
    std::env::var(name).expect("run `make test`")
}

fn snapshot() -> Snapshot {
    Timeline::new(SEGMENT).snapshot().unwrap()
}

/// A broadcast before that of any world.
fn earlier(number: u128) -> BroadcastId {
    BroadcastId(Uuid::from_u128(number))
}

fn name() -> RenditionName {
    "720p".parse().unwrap()
}

#[tokio::test]
async fn the_checkpoint_waits_for_an_index_that_the_store_does_not_take() {
    let world = World::new().await;
    world.break_store();
    let process = world.process().await;
    process.keyframes(0..20).await;
    process.stored(0).await;
    process.failures(3).await;
    process.stored(1).await;
    process.failures(3).await;
    assert_eq!(process.checkpoint().await, None);
    assert_eq!(process.counted("millrace_index_behind"), 1);
    assert!(process.health.is_ready());
    world.mend_store();
    process.reaches(4).await;
    until_true(|| process.counted("millrace_index_behind") == 0).await;
    assert_eq!((world.heads(), process.counted("millrace_index_left_behind_total")), (1, 0));
}

#[tokio::test]
async fn after_half_the_replay_window_the_checkpoint_moves_on_without_the_index() {
    let world = World::new().await;
    world.break_store();
    let process = world.process().await;
    process.keyframes(0..30).await;
    process.stored(0).await;
    process.failures(3).await;
    assert_eq!(process.checkpoint().await, None);
    process.keyframes(30..31).await;
    process.reaches(2).await;
    until_true(|| !process.health.is_ready()).await;
    assert_eq!(process.counted("millrace_index_left_behind_total"), 1);
    world.mend_store();
    until_true(|| process.health.is_ready()).await;
    process.stored(1).await;
    process.reaches(4).await;
    assert_eq!(process.counted("millrace_index_left_behind_total"), 1);
}

#[tokio::test]
async fn a_process_that_another_has_overtaken_moves_the_checkpoint_no_more() {
    let world = World::new().await;
    let first = world.process().await;
    first.keyframes(0..20).await;
    first.stored(0).await;
    first.reaches(2).await;
    // Its own next run is no other process's.
    first.claim(world.info.broadcast).await;
    first.stored(1).await;
    first.reaches(4).await;
    let second = world.process().await;
    first.stored(2).await;
    first.notes.closed().await;
    assert_eq!(second.checkpoint().await, Some(4));
    second.keyframes(0..20).await;
    for msn in 0..4 {
        second.stored(msn).await;
    }
    second.reaches(8).await;
}

#[tokio::test]
async fn a_process_is_to_read_again_when_another_wrote_the_index_before_its_claim() {
    let world = World::new().await;
    let broadcast = world.info.broadcast;
    let first = world.process().await;
    until_true(|| world.heads() == 1).await;
    assert!(first.services.index_is_still(broadcast, None).await.is_ok(), "its own");
    let found = first.services.published(broadcast).await.unwrap().head;
    let second = world.process().await;
    until_true(|| world.heads() == 2).await;
    for head in [None, found.as_ref()] {
        let told = first.services.index_is_still(broadcast, head).await;
        assert!(matches!(told, Err(PublishError::Unread { .. })), "{told:?}");
    }
    assert!(second.services.index_is_still(broadcast, found.as_ref()).await.is_ok(), "its own");
    let found = first.services.published(broadcast).await.unwrap().head;
    assert!(first.services.index_is_still(broadcast, found.as_ref()).await.is_ok(), "as read");
}

#[tokio::test]
async fn a_takeover_that_failed_does_not_stop_the_archive_of_the_writer() {
    let world = World::new().await;
    let writer = world.process().await;
    writer.keyframes(0..20).await;
    writer.stored(0).await;
    writer.reaches(2).await;
    world.take_over_in_vain().await;
    writer.stored(1).await;
    writer.reaches(4).await;
    writer.end(50).await.await.unwrap();
    assert_eq!(writer.checkpoint().await, Some(50));
}

#[tokio::test]
async fn while_redis_can_not_say_who_writes_nothing_is_committed_and_the_index_goes_on() {
    let world = World::new().await;
    let redis = server("TEST_REDIS_URL");
    let proxy = Proxy::start(redis.trim_start_matches("redis://").parse().unwrap()).await.unwrap();
    let config = world.with_redis(&format!("redis://{}", proxy.address()));
    let writer = world.begin(&config, |archive| archive);
    writer.claim(world.info.broadcast).await;
    writer.keyframes(0..20).await;
    writer.stored(0).await;
    writer.reaches(2).await;
    world.take_over_in_vain().await;
    proxy.set(Mode::Reset);
    for msn in 1..4 {
        writer.stored(msn).await;
        writer.indexed(msn).await;
    }
    assert_eq!(writer.checkpoint().await, Some(2));
    // Neither is its end.
    let mut done = writer.end(50).await;
    until(async || writer.index().await.is_some_and(|head| head.info.ended)).await;
    assert!(done.try_recv().is_err() && writer.checkpoint().await == Some(2));
    proxy.set(Mode::Pass);
    done.await.unwrap();
    assert_eq!(writer.checkpoint().await, Some(50));
}

#[tokio::test]
async fn who_cannot_know_whether_it_writes_moves_on_when_the_log_could_lose_what_is_between() {
    let world = World::new().await;
    let redis = server("TEST_REDIS_URL");
    let proxy = Proxy::start(redis.trim_start_matches("redis://").parse().unwrap()).await.unwrap();
    let config = world.with_redis(&format!("redis://{}", proxy.address()));
    let writer = world.begin(&config, |archive| archive);
    writer.claim(world.info.broadcast).await;
    world.take_over_in_vain().await;
    proxy.set(Mode::Reset);
    writer.keyframes(0..30).await;
    for msn in 0..2 {
        writer.stored(msn).await;
        writer.indexed(msn).await;
    }
    assert_eq!(writer.checkpoint().await, None);
    writer.keyframes(30..31).await;
    writer.reaches(4).await;
}

#[tokio::test]
async fn who_is_overtaken_writes_its_end_into_its_own_index_and_commits_nothing() {
    let world = World::new().await;
    let first = world.process().await;
    let second = world.process().await;
    first.end(50).await.await.unwrap();
    assert!(world.heads() > 0);
    assert_eq!(second.checkpoint().await, None);
}

#[tokio::test]
async fn an_archive_that_has_not_read_its_index_holds_the_checkpoint_and_then_goes_on_after_it() {
    let world = World::new().await;
    let first = world.process().await;
    first.stored(0).await;
    first.indexed(0).await;
    world.break_store();
    let second = world.begin(&world.config, Archive::unread);
    second.claim(world.info.broadcast).await;
    second.keyframes(0..20).await;
    second.stored(1).await;
    second.looks_on().await;
    assert_eq!(second.checkpoint().await, None);
    assert!(second.health.is_ready(), "it is not overdue");
    world.mend_store();
    second.reaches(4).await;
    let segments = second.index().await.unwrap().segments.remove(&name()).unwrap();
    assert_eq!(segments.iter().map(|segment| segment.msn.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(second.counted("millrace_index_left_behind_total"), 0);
}

#[tokio::test]
async fn an_index_that_is_not_read_is_overdue_like_one_that_is_not_written() {
    let world = World::new().await;
    world.break_store();
    let process = world.begin(&world.config, Archive::unread);
    process.claim(world.info.broadcast).await;
    process.keyframes(0..30).await;
    process.stored(0).await;
    process.looks_on().await;
    assert_eq!((process.checkpoint().await, process.health.is_ready()), (None, true));
    process.keyframes(30..31).await;
    process.reaches(2).await;
    until_true(|| !process.health.is_ready()).await;
}

#[tokio::test]
async fn no_checkpoint_passes_what_any_earlier_broadcast_owes() {
    let world = World::new().await;
    let [first, second] = [1, 2].map(earlier);
    let process = world.process().await;
    process.services.leave(first);
    process.services.leave(second);
    process.keyframes(0..20).await;
    for msn in 0..2 {
        process.stored(msn).await;
        process.indexed(msn).await;
    }
    assert_eq!(process.checkpoint().await, None, "both owe");
    process.services.bring_away(first);
    for msn in 2..4 {
        process.stored(msn).await;
        process.indexed(msn).await;
    }
    assert_eq!(process.checkpoint().await, None, "the second owes");
    let mut done = process.end(50).await;
    until(async || process.index().await.is_some_and(|head| head.info.ended)).await;
    assert!(done.try_recv().is_err() && process.checkpoint().await.is_none(), "at the end too");
    process.services.bring_away(second);
    done.await.unwrap();
    assert_eq!(process.checkpoint().await, Some(50));
}

#[tokio::test]
async fn a_broadcast_without_a_picture_commits_nothing_while_an_earlier_one_owes() {
    let world = World::new().await;
    let process = world.process().await;
    let session = async || {
        let facts = Open {
            broadcast: BroadcastId(Uuid::now_v7()),
            nonce: Uuid::new_v4(),
            key_id: "abcd".parse().unwrap(),
            started_ms: 0,
            resumed: false,
        };
        let (services, config) = (process.services.clone(), world.config.clone());
        Session::start(services, config, facts, None).await.unwrap()
    };
    process.services.leave(world.info.broadcast);
    session().await.end(50, Some(snapshot())).await.unwrap().await;
    assert_eq!(process.checkpoint().await, None);
    process.services.bring_away(world.info.broadcast);
    session().await.end(60, Some(snapshot())).await.unwrap().await;
    assert_eq!(process.checkpoint().await, Some(60));
}
