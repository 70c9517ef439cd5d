//! Where a test plays: its turn, its stack, its publishers.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millrace_harness::http::{Http, eventually};
use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::{Publisher, Source};
use millrace_harness::recorder::{Mode, Recorder, Report};
use millrace_harness::services::{Addresses, create_database, psql};
use millrace_harness::stack::{Endpoints, Plan, Stack};
use millrace_harness::viewer::Viewer;
use millrace_harness::{clip, repo};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A place per processor, two at least: a stage whose pictures are counted takes two.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
});

/// A running stack and what belongs to it. Logs stay in target/test/e2e/<name>.
pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) http: Http,
    frames_topic: String,
    events_topic: String,
    brokers: String,
    database: String,
    clip: Source,
    folder: PathBuf,
    publishers: AtomicU32,
    _turn: SemaphorePermit<'static>,
}

impl Stage {
    /// Waits for its turn and starts Millrace with the manifest.
    pub(crate) async fn open(manifest: &Manifest) -> Self {
        Self::open_with(manifest, &[]).await
    }

    /// The same, for a test that mostly waits: beside another such one.
    pub(crate) async fn open_beside(manifest: &Manifest) -> Self {
        Self::start(manifest, &[], PLACES.acquire().await.unwrap()).await
    }

    /// The same, with more environment for the operator and its workers.
    pub(crate) async fn open_with(manifest: &Manifest, environment: &[(String, String)]) -> Self {
        Self::start(manifest, environment, PLACES.acquire_many(2).await.unwrap()).await
    }

    async fn start(
        manifest: &Manifest,
        environment: &[(String, String)],
        turn: SemaphorePermit<'static>,
    ) -> Self {
        let name = &manifest.name;
        let mut servers = Addresses::of_tests().unwrap();
        let unique = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        servers.database = create_database(&servers.database, &unique).await.unwrap();
        let folder = repo::root().join("target/test/e2e").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("livestream.yaml");
        fs::write(&file, manifest.to_string()).unwrap();
        let database = servers.database.clone();
        let plan = Plan {
            manifest: file,
            folder: folder.clone(),
            programs: programs(),
            servers,
            installation: unique.chars().take(30).collect(),
            environment: environment.to_vec(),
        };
        let frames_topic = format!("{}.stream-frames.{}", plan.installation, manifest.stream_id());
        let events_topic = format!("{}.stream-events", plan.installation);
        let brokers = plan.servers.kafka.clone();
        let stack = Stack::start(&plan).await.unwrap();
        Self {
            frames_topic,
            events_topic,
            brokers,
            database,
            stack,
            http: Http::new().unwrap(),
            clip: Source::Loop(clip::looping(|_| {}).await.unwrap()),
            folder,
            publishers: AtomicU32::new(0),
            _turn: turn,
        }
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        self.stack.endpoints()
    }

    pub(crate) fn clip(&self) -> &Source {
        &self.clip
    }

    /// Publishes the clip in a loop with the right key.
    pub(crate) fn publish(&self) -> Publisher {
        self.publish_source(&self.clip)
    }

    /// Publishes with the right key.
    pub(crate) fn publish_source(&self, source: &Source) -> Publisher {
        let number = self.publishers.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("publisher-{number}.log"));
        let to = self.endpoints();
        Publisher::start(source, &to.rtmp, &to.key, &log).unwrap()
    }

    /// Records the current broadcast from its beginning, every byte of it.
    pub(crate) async fn record(&self) -> Recorder {
        let index = &self.endpoints().hls;
        eventually("a broadcast to record", Duration::from_mins(1), async || {
            Recorder::start(&self.http, index, Mode::LowLatency, true).await
        })
        .await
        .unwrap()
    }

    /// Waits until pictures at the live edge decode.
    pub(crate) async fn viewer(&self) -> Viewer {
        let index = &self.endpoints().hls;
        eventually("video", Duration::from_mins(1), async || {
            let viewer = Viewer::join(&self.http, index).await?;
            viewer.decode().await?;
            Ok(viewer)
        })
        .await
        .unwrap()
    }

    /// The topic of the stream's log.
    pub(crate) fn frames_topic(&self) -> &str {
        &self.frames_topic
    }

    /// The topic of the events, and the brokers that have it.
    pub(crate) fn events_topic(&self) -> (&str, &str) {
        (&self.events_topic, &self.brokers)
    }

    /// What a query of the stack's database answers.
    pub(crate) async fn query(&self, statement: &str) -> String {
        psql(&self.database, statement).await.unwrap()
    }

    /// All workers' metrics.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        let mut all = String::new();
        for url in self.endpoints().metrics.split(',') {
            all += &self.http.text(url).await?;
        }
        Ok(all)
    }

    /// Kills the ffmpeg of the transcoder as a crash would.
    pub(crate) fn kill_encoder(&self) {
        self.stack.encoder().unwrap().kill();
    }

    /// Everything the processes have logged.
    pub(crate) fn logs(&self) -> String {
        let files = fs::read_dir(self.folder.join("logs")).unwrap();
        files
            .map(|file| file.unwrap().path())
            .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())
            .collect()
    }

    pub(crate) async fn close(self) {
        self.stack.stop().await;
        // Megabytes of segments, and nobody looks at them afterwards.
        let _ = fs::remove_dir_all(self.folder.join("media"));
    }
}

/// Follows the edge until `wanted` more video has appeared; waits out errors, for a while.
pub(crate) async fn watch_for(viewer: &mut Viewer, wanted: Duration) {
    viewer.watch(wanted, Duration::from_secs(30) + wanted).await.unwrap();
}

/// Everything the recorder holds a broadcast to, and no hole in it.
#[track_caller]
pub(crate) fn assert_sound(report: &Report) {
    assert_legal(report);
    assert_eq!(report.breaches(), 0, "promises broken:\n{report}");
    for rendition in &report.renditions {
        assert!(rendition.holes.is_empty(), "{}: {:?}", rendition.name, rendition.holes);
    }
}

/// Everything the recorder holds a rendition to by itself, and every number there.
#[track_caller]
pub(crate) fn assert_legal(report: &Report) {
    println!("{report}");
    for rendition in &report.renditions {
        assert_eq!(rendition.breaches, 0, "promises broken:\n{report}");
        assert!(!rendition.segments.is_empty(), "{} has none", rendition.name);
        assert_eq!(rendition.misnumbered(), [0; 0], "segments of {}", rendition.name);
    }
}

/// Beside the test programs: target/<profile>/deps/e2e-… and target/<profile>/millrace-….
pub(crate) fn programs() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().to_owned()
}
