//! The demo itself: start everything in order, watch it play, end everything.

use std::fs::{self, OpenOptions};
use std::future::pending;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use millrace_harness::ending::{Mode, told_to_end};
use millrace_harness::http::{Http, eventually};
use millrace_harness::place::Place;
use millrace_harness::process::ProcessId;
use millrace_harness::publisher::{Publisher, Source};
use millrace_harness::screen::Screen;
use millrace_harness::services::{Durability, Servers};
use millrace_harness::stack::{Endpoints, Plan, Stack, database};
use millrace_harness::viewer::Viewer;
use millrace_harness::{clip, repo};
use tokio::time::sleep;

use crate::live::Live;
use crate::settings::Settings;

/// Runs until it is told to end, or for the time asked for. Success means that video played.
pub(crate) async fn run(mode: Mode) -> Result<ExitCode> {
    let settings = Settings::from_environment()?;
    let screen = Screen::new();
    let place = Place::open("demo")?;
    if let Some(other) = place.owner() {
        bail!("a demo runs here already (process {}); make demo-down ends it", other.pid());
    }
    place.sweep().await?;
    place.own()?;

    let mut demo = Demo { stack: None, publisher: None };
    let outcome = tokio::select! {
        outcome = demo.play(&place, &settings, &screen, mode) => Some(outcome),
        reason = told_to_end(mode) => { reason?; None }
    };
    screen.step("Stopping everything", demo.stop(&place)).await?;
    match outcome {
        // Asked to end: whoever asked knows why.
        None => Ok(ExitCode::SUCCESS),
        Some(result) => result.map(|()| ExitCode::SUCCESS),
    }
}

/// What runs now, so that it can be ended from wherever the start has got to.
struct Demo {
    stack: Option<Stack>,
    publisher: Option<Publisher>,
}

impl Demo {
    async fn play(
        &mut self,
        place: &Place,
        settings: &Settings,
        screen: &Screen,
        mode: Mode,
    ) -> Result<()> {
        let folder = place.path("servers");
        let servers = screen
            .step(
                "Starting Postgres, Redis and Kafka, our own, on free ports",
                Servers::start(&folder, Durability::Durable),
            )
            .await?;
        let mut addresses = servers.addresses().clone();
        addresses.database = database(&addresses.database, "millrace").await?;
        let plan = Plan {
            manifest: repo::root().join("examples/keynote.yaml"),
            folder: place.path("stack"),
            programs: place.path("bin"),
            servers: addresses,
            installation: String::new(),
            environment: Vec::new(),
        };
        let stack = screen
            .step("Starting Millrace from examples/keynote.yaml", Stack::start(&plan))
            .await?;
        let endpoints = stack.endpoints().clone();
        let stack = self.stack.insert(stack);

        let http = Http::new()?;
        if settings.publish {
            let source = source(settings, screen).await?;
            let publisher = start_publisher(&source, &endpoints, place)?;
            let publisher = self.publisher.insert(publisher);
            let playing = async {
                eventually("video", Duration::from_mins(1), async || {
                    Viewer::join(&http, &endpoints.hls).await?.decode().await
                })
                .await
            };
            screen.step("Publishing; waiting until it plays", playing).await.map_err(|error| {
                match publisher.check() {
                    Err(ended) => ended.context("the publisher was not accepted"),
                    Ok(()) => {
                        error.context(format!("logs: {}", stack.folder().join("logs").display()))
                    }
                }
            })?;
            write_env(place, &endpoints, &plan)?;
            announce(screen, &endpoints, mode);
            self.watch(&source, http, &endpoints, place, settings, screen).await
        } else {
            write_env(place, &endpoints, &plan)?;
            announce(screen, &endpoints, mode);
            screen.say("Nothing is published: point OBS or ffmpeg at it.");
            let nobody = Source::Loop(std::path::PathBuf::new());
            self.watch(&nobody, http, &endpoints, place, settings, screen).await
        }
    }

    /// Shows the live line until the time is over, and keeps the publisher running.
    async fn watch(
        &mut self,
        source: &Source,
        http: Http,
        endpoints: &Endpoints,
        place: &Place,
        settings: &Settings,
        screen: &Screen,
    ) -> Result<()> {
        let end = async {
            match settings.duration {
                Some(duration) => sleep(duration).await,
                None => pending().await,
            }
        };
        let mut live = Live::new(http, endpoints);
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = live.advance(screen) => {}
            }
            if let Some(stack) = &mut self.stack {
                stack.check()?;
            }
            if let Some(Err(ended)) = self.publisher.as_mut().map(Publisher::check) {
                screen.say(&format!("The publisher ended and is started again: {ended:#}"));
                self.publisher = Some(start_publisher(source, endpoints, place)?);
            }
        }
        let asked = settings.duration.unwrap_or_default();
        let frames = live.decode().await?;
        let seen = live.seen();
        ensure!(
            seen * 2 >= asked,
            "only {:.1} s of video appeared in {} s",
            seen.as_secs_f64(),
            asked.as_secs()
        );
        screen.say(&format!(
            "Played: {:.1} s of new video in {} s; the newest {frames} pictures decode.",
            seen.as_secs_f64(),
            asked.as_secs()
        ));
        Ok(())
    }

    /// In the order of the data: nobody is cut off by us while still writing.
    async fn stop(&mut self, place: &Place) -> Result<()> {
        if let Some(publisher) = self.publisher.take() {
            publisher.stop().await;
        }
        if let Some(stack) = self.stack.take() {
            stack.stop().await;
        }
        place.sweep().await
    }
}

async fn source(settings: &Settings, screen: &Screen) -> Result<Source> {
    if let Some(file) = &settings.clip {
        return Ok(Source::Loop(file.clone()));
    }
    let made = screen.step("Preparing the clip", clip::looping(|what| screen.say(what))).await;
    Ok(match made {
        Ok(file) => Source::Loop(file),
        Err(error) => {
            screen.say(&format!("No real clip, so a test picture instead: {error:#}"));
            Source::Numbered { fps: 30, first: 0 }
        }
    })
}

fn start_publisher(source: &Source, endpoints: &Endpoints, place: &Place) -> Result<Publisher> {
    let publisher =
        Publisher::start(source, &endpoints.rtmp, &endpoints.key, &place.path("publisher.log"))?;
    if let Some(process) = ProcessId::of(publisher.child().pid()) {
        process.write(&place.path("publisher.pid"))?;
    }
    Ok(publisher)
}

/// Last of all: whoever waits for this file finds everything ready.
fn write_env(place: &Place, endpoints: &Endpoints, plan: &Plan) -> Result<()> {
    let lines = [
        ("RTMP_URL", &endpoints.rtmp),
        ("STREAM_KEY", &endpoints.key),
        ("HLS_URL", &endpoints.hls),
        ("PLAYER_URL", &endpoints.player),
        ("API_URL", &endpoints.api),
        ("API_TOKEN", &endpoints.token),
        ("WS_URL", &endpoints.ws),
        ("METRICS_URLS", &endpoints.metrics),
        ("DATABASE_URL", &plan.servers.database),
        ("REDIS_URL", &plan.servers.redis),
        ("KAFKA_BROKERS", &plan.servers.kafka),
    ];
    let text: String = lines.map(|(name, value)| format!("{name}={value}\n")).concat();
    let new = place.path("env.new");
    // It has the key and the token: for its owner only.
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, place.path("env"))?;
    Ok(())
}

fn announce(screen: &Screen, endpoints: &Endpoints, mode: Mode) {
    screen.say("");
    screen.say(&format!("  Watch    {}", endpoints.player));
    screen.say(&format!("  HLS      {}", endpoints.hls));
    screen.say(&format!("  Publish  {}", endpoints.rtmp));
    // In the background this is a log file.
    let key =
        if mode == Mode::Background { "(STREAM_KEY in the env file)" } else { &endpoints.key };
    screen.say(&format!("  Key      {key}"));
    screen.say("");
}
