//! The index and the checkpoint, with the real Kafka and a store that fails.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it stands")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::{BroadcastId, Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{
    Access, BroadcastInfo, FrameRate, InitHash, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_media::time::Ticks;
use millrace_media::timeline::{RestartPoint, Timeline};
use millrace_platform::config::Env;
use millrace_platform::health::Health;
use millrace_platform::kafka::{Admin, TopicSpec};
use millrace_platform::telemetry::Metrics;
use millrace_transcode::config::Config;
use millrace_transcode::metrics::TranscodeMetrics;
use millrace_transcode::publish::archive::{Archive, Note};
use millrace_transcode::publish::checkpoint::Candidate;
use millrace_transcode::services::{PublishError, Services};
use tempfile::TempDir;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);
const SEGMENT: Ticks = Ticks::from_ms(2_000);
/// Its half is a segment of thirty seconds.
const REPLAY_WINDOW: &str = "60";

/// A store of a test's own, on the servers of all tests.
struct World {
    config: Arc<Config>,
    folder: TempDir,
    info: BroadcastInfo,
}

/// One process.
struct Process {
    services: Services,
    metrics: Metrics,
    health: Health,
    notes: mpsc::Sender<Note>,
}

impl World {
    async fn new() -> Self {
        let server = |name: &str| std::env::var(name).expect("run `make test`");
        let folder = tempfile::tempdir().unwrap();
        let env = Env::from_pairs([
            ("STREAM_ID", "events.keynote".to_owned()),
            ("KAFKA_BROKERS", server("TEST_KAFKA_BROKERS")),
            ("REDIS_URL", server("TEST_REDIS_URL")),
            ("OBJECT_STORE_URL", format!("file://{}", folder.path().display())),
            ("MILLRACE_INSTALLATION", format!("t{}", &Uuid::new_v4().simple().to_string()[..16])),
            ("REPLAY_WINDOW_SECONDS", REPLAY_WINDOW.to_owned()),
        ]);
        let config = Arc::new(Config::read(&env).unwrap());
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
        Self { config, folder, info }
    }

    /// A process that has claimed a run and archives.
    async fn process(&self) -> Process {
        let (metrics, health) = (Metrics::default(), Health::default());
        let counters = TranscodeMetrics::register(&metrics);
        let services = Services::connect(&self.config, counters, &health).unwrap();
        let head = Head::new(self.info.clone(), Run(0));
        let (notes, inbox) = mpsc::channel(4);
        tokio::spawn(Archive::new(services.clone(), head, &[name()]).run(inbox));
        let process = Process { services, metrics, health, notes };
        process.claim(self.info.broadcast).await;
        process
    }

    /// Where the index goes.
    fn index(&self) -> PathBuf {
        let installation = self.config.installation.as_str();
        let stream = self.config.stream.to_string();
        let broadcast = self.info.broadcast.to_string();
        self.folder.path().join(installation).join(stream).join(broadcast).join("index")
    }

    /// No index can be written.
    fn break_store(&self) {
        std::fs::create_dir_all(self.index().parent().unwrap()).unwrap();
        std::fs::write(self.index(), b"a file where a folder should be").unwrap();
    }

    fn mend_store(&self) {
        std::fs::remove_file(self.index()).unwrap();
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
            let snapshot = Timeline::new(SEGMENT).snapshot().unwrap();
            let point = Box::new(RestartPoint { offset, snapshot });
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

async fn until_true(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
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
