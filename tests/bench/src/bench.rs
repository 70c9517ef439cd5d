//! What is measured, in order; one thing runs at a time.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::http::Http;
use millrace_harness::manifest::Manifest;
use millrace_harness::place::Place;
use millrace_harness::process::ProcessId;
use millrace_harness::rtmp::client::Target;
use millrace_harness::rtmp::publisher::Publisher;
use millrace_harness::screen::Screen;
use millrace_harness::services::{Addresses, Durability, Servers};
use millrace_harness::stack::{Plan, Stack, Worker, database};
use nix::unistd::Pid;

use crate::Cli;
use crate::cpu::Machine;
use crate::glass::{self, Glass, Subject, Witness};
use crate::latency::{self, Anchor, Spread};
use crate::lookups::Lookups;
use crate::material::Material;
use crate::peers::{Peer, mediamtx, nginx};
use crate::report::{Figures, Row, decimals, milliseconds};
use crate::seconds;
use crate::serving::{self, Serving, Site};
use crate::viewer;
use crate::window::{self, Window};
use crate::{hour, relaying};

/// What the publisher sends, video and audio together, in kbit/s.
const BITRATES: [u32; 2] = [600, 3_000];

/// How long what is beside the point of it is played, at the most.
const MINUTE: u32 = 60;

/// What transcoding does in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transcoding {
    /// Packages the source: next to nothing, so that ingest is measured alone.
    Mock,
    /// As in production.
    Real,
}

/// A run, and what runs now, so that it can be ended from wherever the run has got to.
pub(crate) struct Bench<'a> {
    cli: &'a Cli,
    screen: &'a Screen,
    place: &'a Place,
    stack: Option<Stack>,
    peer: Option<Peer>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(cli: &'a Cli, screen: &'a Screen, place: &'a Place) -> Self {
        Self { cli, screen, place, stack: None, peer: None }
    }

    /// All of it. What it started last may still run when this fails.
    pub(crate) async fn measure(&mut self) -> Result<Figures> {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let folder = self.place.path("servers");
        let starting = Servers::start(&folder, Durability::Durable);
        let servers = self.screen.step("Starting Postgres, Redis and Kafka", starting).await?;
        let mut figures = Figures {
            cpus: Machine::now()?.cpus(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            window: self.window(),
            bitrates: BITRATES.to_vec(),
            costs: Vec::new(),
            conditions: Vec::new(),
            parts: self.cli.parts,
            latencies: Vec::new(),
            lookups: Vec::new(),
            relayed: Vec::new(),
            seconds: Vec::new(),
            serving: Serving::default(),
            glass: Glass::default(),
        };
        if self.cli.glass {
            Box::pin(self.glass(servers.addresses(), &mut figures.glass)).await?;
            return Ok(figures);
        }
        if self.cli.serving {
            figures.serving = Box::pin(self.serving(servers.addresses())).await?;
            return Ok(figures);
        }
        Box::pin(self.record(servers.addresses(), &mut figures)).await?;
        if self.cli.record {
            return Ok(figures);
        }
        figures.serving = Box::pin(self.serving(servers.addresses())).await?;
        let mut materials = Vec::new();
        for kbps in BITRATES {
            materials.push(Arc::new(Material::get(kbps, self.screen).await?));
        }
        let source = materials.last().context("nothing to publish")?.clone();
        self.cost_of_ingest(servers.addresses(), &materials, &mut figures).await?;
        self.cost_of_nginx(&materials, &mut figures).await?;
        self.cost_of_mediamtx(&materials, &mut figures).await?;
        self.latency_of_millrace(servers.addresses(), &source, &mut figures).await?;
        self.latency_of_mediamtx(&source, &mut figures).await?;
        Box::pin(self.glass(servers.addresses(), &mut figures.glass)).await?;
        Ok(figures)
    }

    /// The look-ups, the events' relay, and what delivery writes each second.
    async fn record(&self, servers: &Addresses, figures: &mut Figures) -> Result<()> {
        let folder = self.place.path("run").join("record");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let database = database(&servers.database, "record").await?;
        let environment: Vec<(String, String)> = [
            ("DATABASE_URL", database),
            ("REDIS_URL", servers.redis.clone()),
            ("OBJECT_STORE_URL", format!("file://{}", folder.join("media").display())),
            ("MILLRACE_INSTALLATION", "record".to_owned()),
            ("LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("HTTP_PORT", "0".to_owned()),
            ("KAFKA_BROKERS", servers.kafka.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let lookups = async {
            let lookups = Lookups::prepare(environment.clone()).await?;
            lookups.measure().await
        };
        figures.lookups = Box::pin(self.screen.step("Look-ups", lookups)).await?;
        let relaying = Box::pin(relaying::measure(environment.clone()));
        figures.relayed.push(self.screen.step("Relaying 50,000 events", relaying).await?);
        let (programs, log) = (self.place.path("bin"), folder.join("delivery.log"));
        let window = self.window();
        let seconds = seconds::measure(environment.clone(), &programs, &log, window);
        figures.seconds.push(self.screen.step("Seconds of 1,000 live streams", seconds).await?);
        let hour = hour::measure(environment);
        figures.lookups.push(self.screen.step("An hour among a million rows", hour).await?);
        Ok(())
    }

    /// What viewers cost delivery.
    async fn serving(&self, servers: &Addresses) -> Result<Serving> {
        let folder = self.place.path("run").join("serving");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let programs = self.place.path("bin");
        let site = Site { programs, folder, redis: servers.redis.clone() };
        serving::measure(&site, self.screen).await
    }

    async fn cost_of_ingest(
        &mut self,
        servers: &Addresses,
        materials: &[Arc<Material>],
        figures: &mut Figures,
    ) -> Result<()> {
        let kafka = ProcessId::read(&self.place.path("servers/kafka/1/pid"));
        let kafka = kafka.context("Kafka's process is not known")?.pid();
        let stack = self.start_stack(servers, Transcoding::Mock, "cost").await?;
        let groups = [vec![stack.pid(Worker::Ingest)?], vec![kafka]];
        let target = target(stack);
        let windows = self.windows("millrace-ingest", &target, materials, &groups).await?;
        self.stop().await;
        figures.costs.push(cost("millrace-ingest", &windows, 0, "RTMP to Kafka, acknowledged"));
        figures.costs.push(cost(
            "  Kafka broker meanwhile",
            &windows,
            1,
            "stores it; one reader, the transcoder",
        ));
        figures.add_conditions("millrace-ingest", &windows);
        Ok(())
    }

    async fn cost_of_nginx(
        &mut self,
        materials: &[Arc<Material>],
        figures: &mut Figures,
    ) -> Result<()> {
        match nginx::version().await {
            Err(reason) => figures.costs.push(Row::missing("nginx-rtmp", &reason)),
            Ok(version) => {
                let peer = self.peer.insert(nginx::start(self.place).await?);
                let (target, groups) = (peer.target.clone(), [peer.processes()]);
                let windows = self.windows("nginx-rtmp", &target, materials, &groups).await?;
                self.stop().await;
                let name = format!("nginx-rtmp (nginx {version})");
                figures.costs.push(cost(&name, &windows, 0, "relay only, keeps nothing"));
                figures.add_conditions("nginx-rtmp", &windows);
            }
        }
        Ok(())
    }

    async fn cost_of_mediamtx(
        &mut self,
        materials: &[Arc<Material>],
        figures: &mut Figures,
    ) -> Result<()> {
        match self.cli.mediamtx() {
            Err(reason) => figures.costs.push(Row::missing("MediaMTX", reason)),
            Ok(program) => {
                let started = mediamtx::start(self.place, program, mediamtx::Work::Relay).await?;
                let peer = self.peer.insert(started);
                let (target, groups) = (peer.target.clone(), [peer.processes()]);
                let windows = self.windows("MediaMTX", &target, materials, &groups).await?;
                self.stop().await;
                figures.costs.push(cost("MediaMTX", &windows, 0, "relay only, keeps nothing"));
                figures.add_conditions("MediaMTX", &windows);
            }
        }
        Ok(())
    }

    async fn latency_of_millrace(
        &mut self,
        servers: &Addresses,
        source: &Arc<Material>,
        figures: &mut Figures,
    ) -> Result<()> {
        let numbers = source.pictures();
        for (transcoding, anchor, name, note) in [
            (Transcoding::Real, Anchor::FirstSegment, "Millrace", "decodes, encodes 720p and 480p"),
            (
                Transcoding::Mock,
                Anchor::Content(&numbers),
                "Millrace, MOCK_FFMPEG",
                "the same without ffmpeg: remuxes only",
            ),
        ] {
            let stack = self.start_stack(servers, transcoding, "latency").await?;
            let (target, index) = (target(stack), stack.endpoints().hls.clone());
            let values = self.latencies(name, &target, &index, source, anchor).await?;
            self.stop().await;
            figures.latencies.push(Row::new(name, values, note));
        }
        Ok(())
    }

    async fn latency_of_mediamtx(
        &mut self,
        source: &Arc<Material>,
        figures: &mut Figures,
    ) -> Result<()> {
        match self.cli.mediamtx() {
            Err(reason) => figures.latencies.push(Row::missing("MediaMTX", reason)),
            Ok(program) => {
                let work = mediamtx::Work::LowLatencyHls;
                let peer = self.peer.insert(mediamtx::start(self.place, program, work).await?);
                let (target, index) = (peer.target.clone(), peer.hls.clone());
                let index = index.context("MediaMTX offers no HLS")?;
                let numbers = source.pictures();
                let anchor = Anchor::Content(&numbers);
                let values = self.latencies("MediaMTX", &target, &index, source, anchor).await?;
                self.stop().await;
                figures.latencies.push(Row::new("MediaMTX", values, "remuxes only"));
            }
        }
        Ok(())
    }

    /// From a camera to the screen of a browser.
    async fn glass(&mut self, servers: &Addresses, glass: &mut Glass) -> Result<()> {
        let folder = self.place.path("run").join("glass");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let one = Manifest { ladder: vec![("720p", 720, 2_000)], ..Manifest::new("bench") };
        let near = Manifest { pieces: Some(("100ms", "1s")), ..one.clone() };
        let two = Manifest::new("bench");
        let short = self.cli.playing.min(MINUTE);
        for (manifest, purpose, note, seconds) in [
            (near, "glass-near", "720p; parts of 100 ms, segments of 1 s", self.cli.playing),
            (one, "glass-one", "720p; parts of 200 ms, segments of 2 s, as by default", short),
            (two, "glass-two", "720p and 480p; parts of 200 ms, segments of 2 s", short),
        ] {
            let stack = self.start_stack_of(servers, Transcoding::Real, &manifest, purpose).await?;
            let (target, index) = (target(stack), stack.endpoints().hls.clone());
            let (stream, installation) = (manifest.stream_id(), format!("{purpose}-real"));
            let witness = Witness::open(&servers.redis, &servers.kafka, &installation, &stream);
            let witness = Some(witness.await?);
            let folder = folder.clone();
            let name = "Millrace".to_owned();
            let starts = self.cli.starts;
            let subject = Subject { name, note, target, index, witness, folder, seconds, starts };
            self.glass_of(subject, glass).await?;
            self.stop().await;
        }
        let program = match self.cli.mediamtx() {
            Ok(program) => program,
            Err(reason) => {
                glass.latencies.push(Row::missing("MediaMTX", reason));
                return Ok(());
            }
        };
        let work = mediamtx::Work::LowLatencyHls;
        let peer = self.peer.insert(mediamtx::start(self.place, program, work).await?);
        let subject = Subject {
            name: "MediaMTX".to_owned(),
            note: "remuxes only; parts of 200 ms, segments of 1 s",
            target: peer.target.clone(),
            index: peer.hls.clone().context("MediaMTX offers no HLS")?,
            witness: None,
            folder,
            seconds: short,
            starts: self.cli.starts,
        };
        self.glass_of(subject, glass).await?;
        self.stop().await;
        Ok(())
    }

    async fn glass_of(&self, subject: Subject, glass: &mut Glass) -> Result<()> {
        let what = format!("Glass to glass: {}, {}", subject.name, subject.note);
        let measuring = Box::pin(glass::measure(&subject, glass));
        self.screen.step(&what, measuring).await.context(what)
    }

    /// One window while nobody publishes, and one for each bitrate.
    async fn windows(
        &self,
        name: &str,
        target: &Target,
        materials: &[Arc<Material>],
        groups: &[Vec<Pid>],
    ) -> Result<Vec<Window>> {
        let idling = window::idle(groups);
        let idle = self.screen.step(&format!("CPU time of {name} when idle"), idling).await?;
        let mut windows = vec![idle];
        for material in materials {
            let what = format!("CPU time of {name} at {} kb/s", material.kbps);
            let measuring = window::measure(target, material, groups, self.window());
            windows.push(self.screen.step(&what, measuring).await.with_context(|| what.clone())?);
        }
        Ok(windows)
    }

    /// What a row says of the parts of one stream.
    async fn latencies(
        &self,
        name: &str,
        target: &Target,
        index: &str,
        source: &Arc<Material>,
        anchor: Anchor<'_>,
    ) -> Result<Vec<String>> {
        let what = format!("Latency of {name} over {} parts", self.cli.parts);
        let watching = async {
            let http = Http::new()?;
            let mut publisher = Publisher::start(target, source.film()).await?;
            let before = Machine::now()?;
            let count = usize::try_from(self.cli.parts)?;
            let seen = publisher.during(viewer::watch(&http, index, count)).await??;
            let busy = before.busy_until(Machine::now()?);
            let written = source.written(&publisher.stop().await?);
            let all = latency::of_parts(&seen, &written, anchor)?;
            let mut values = milliseconds(&Spread::of(all).context("no part")?);
            values.push(decimals(busy, 2));
            anyhow::Ok(values)
        };
        self.screen.step(&what, watching).await.with_context(|| what.clone())
    }

    /// A stack with a database, a folder and an installation of its own.
    async fn start_stack(
        &mut self,
        servers: &Addresses,
        transcoding: Transcoding,
        purpose: &str,
    ) -> Result<&Stack> {
        self.start_stack_of(servers, transcoding, &Manifest::new("bench"), purpose).await
    }

    /// The same, with this stream.
    async fn start_stack_of(
        &mut self,
        servers: &Addresses,
        transcoding: Transcoding,
        stream: &Manifest,
        purpose: &str,
    ) -> Result<&Stack> {
        let (mode, environment) = match transcoding {
            Transcoding::Mock => ("mock", vec![("MOCK_FFMPEG".to_owned(), "true".to_owned())]),
            Transcoding::Real => ("real", Vec::new()),
        };
        let name = format!("{purpose}-{mode}");
        let folder = self.place.path("run").join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let manifest = folder.join("stream.yaml");
        fs::write(&manifest, stream.to_string())?;
        let mut servers = servers.clone();
        servers.database = database(&servers.database, &name).await?;
        let plan = Plan {
            manifest,
            folder,
            programs: self.place.path("bin"),
            servers,
            installation: name,
            environment,
        };
        let stack = self.screen.step("Starting Millrace", Stack::start(&plan)).await?;
        Ok(self.stack.insert(stack))
    }

    /// Ends what runs, except the servers.
    pub(crate) async fn stop(&mut self) {
        if let Some(stack) = self.stack.take() {
            stack.stop().await;
        }
        if let Some(peer) = self.peer.take() {
            peer.stop().await;
        }
    }

    fn window(&self) -> Duration {
        Duration::from_secs(self.cli.window.into())
    }
}

fn target(stack: &Stack) -> Target {
    let endpoints = stack.endpoints();
    Target { url: endpoints.rtmp.clone(), name: endpoints.key.clone() }
}

/// What the processes of `group` used.
fn cost(name: &str, windows: &[Window], group: usize, note: &'static str) -> Row {
    let cpu = windows.iter().filter_map(|window| window.cpu.get(group));
    Row::new(name, cpu.map(|seconds| decimals(*seconds, 3)).collect(), note)
}
