//! Where the faults happen: servers of our own, and one stack of Millrace on them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use millrace_harness::http::Http;
use millrace_harness::manifest::Manifest;
use millrace_harness::place::Place;
use millrace_harness::screen::Screen;
use millrace_harness::services::{Durability, More, S3, Servers};
use millrace_harness::stack::{Plan, Stack, database};
use millrace_media::id::StreamId;
use millrace_platform::config::{Env, Installation, KafkaConfig};
use millrace_platform::names::topics::{events_topic, frames_topic};

use crate::programs::Programs;
use crate::publisher::Materials;
use crate::setup::Setup;

/// One may die.
const BROKERS: u8 = 3;
/// Seconds. A broadcast that a fault leaves without its end must not keep the next one waiting.
const RECONNECT_WINDOW: u32 = 30;

mod between;

pub(crate) use between::Between;

/// All that runs for one fault after the other.
pub(crate) struct Arena {
    pub(crate) servers: Servers,
    pub(crate) between: Between,
    pub(crate) stack: Stack,
    pub(crate) kafka: KafkaConfig,
    /// The stream's log.
    pub(crate) topic: String,
    /// The topic of events.
    pub(crate) events: String,
    pub(crate) http: Http,
    /// What there is to publish.
    pub(crate) materials: Arc<Materials>,
    pub(crate) programs: Programs,
    /// What kind of stack it is.
    pub(crate) setup: Setup,
}

impl Arena {
    /// Starts servers, or finds them running, and the stack of this number on them.
    ///
    /// # Errors
    /// When one does not start.
    pub(crate) async fn open(
        place: &Place,
        number: usize,
        setup: Setup,
        materials: &Arc<Materials>,
        programs: &Programs,
        screen: &Screen,
    ) -> Result<Self> {
        let servers = place.path("servers");
        let more = More { s3: S3::is_possible(), brokers: BROKERS };
        let starting = Servers::start_with(&servers, Durability::Throwaway, &more);
        let servers = screen.step("Starting Postgres, Redis, Kafka and S3", starting).await?;
        let between = Between::start(&servers).await?;
        let plan = plan(place, number, setup, &servers, &between).await?;
        let env = Env::from_pairs([
            ("MILLRACE_INSTALLATION", plan.installation.as_str()),
            ("KAFKA_BROKERS", plan.servers.kafka.as_str()),
        ]);
        let (installation, kafka) = (Installation::read(&env)?, KafkaConfig::read(&env)?);
        let stack = screen.step("Starting Millrace", Stack::start(&plan)).await?;
        let stream =
            stack.endpoints().stream_id().parse::<StreamId>().context("the stream's id")?;
        let topic = frames_topic(&installation, &stream);
        let events = events_topic(&installation);
        let http = Http::new()?;
        let materials = Arc::clone(materials);
        let programs = programs.clone();
        Ok(Self { servers, between, stack, kafka, topic, events, http, materials, programs, setup })
    }
}

async fn plan(
    place: &Place,
    number: usize,
    setup: Setup,
    servers: &Servers,
    between: &Between,
) -> Result<Plan> {
    let name = format!("faults-{number}");
    let folder = place.path("run").join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let manifest: PathBuf = folder.join("stream.yaml");
    let stream = Manifest {
        ladder: setup.ladder.to_vec(),
        reconnect_window: RECONNECT_WINDOW,
        redundancy: setup.transcoders,
        dvr_window: setup.dvr_window,
        ..Manifest::new("faults")
    };
    fs::write(&manifest, stream.to_string())?;
    let mut servers = servers.addresses().clone();
    servers.database = database(&servers.database, &name).await?;
    let environment = between.environment(&name);
    between.redirect(&mut servers);
    Ok(Plan {
        manifest,
        folder,
        programs: place.path("bin"),
        servers,
        installation: name,
        environment,
    })
}
