//! The publisher: prepared material, sent by our own client, who says what was sent under which
//! stamp and does to clock and connection what it is told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::http::eventually;
use millrace_harness::rtmp::client::Target;
use millrace_harness::rtmp::numbered::{FPS, GOP_MS, Numbered, Recipe};
use millrace_harness::rtmp::publisher::{Over, Publisher, Sent, Turn};
use millrace_harness::screen::Screen;

/// Pictures per second.
pub(crate) const RATE: u32 = FPS as u32;
/// The numbers of the other material begin this much after those of the one.
pub(crate) const STEP: u32 = 100_000;
/// How long the other material is, in seconds.
const OTHER_LENGTH: u32 = 60;
const REORDERED_LENGTH: u32 = 120;
/// How long ingest may need to listen, and to take a publisher that comes again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection that is lost may seem to go on.
const NOTICE: Duration = Duration::from_secs(20);

/// Which pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// 1280x720.
    Wide,
    /// 960x720: it has bars beside it in a ladder of the other shape.
    Narrow,
    /// 1280x720 with B-frames.
    Reordered,
}

/// What there is to publish.
#[derive(Debug)]
pub(crate) struct Materials {
    wide: Numbered,
    narrow: Numbered,
    reordered: Option<Numbered>,
}

impl Materials {
    /// Reads it, or makes it, which takes a minute for five; the one that most is published of is so
    /// many seconds long. That with B-frames is there if wanted.
    ///
    /// # Errors
    /// When ffmpeg cannot encode.
    pub(crate) async fn get(
        seconds: u32,
        with_b_frames: bool,
        screen: &Screen,
    ) -> Result<Arc<Self>> {
        let wide = Recipe { width: 1_280, height: 720, first: 0, seconds, b_frames: 0 };
        let narrow = Recipe { width: 960, first: STEP, seconds: OTHER_LENGTH, ..wide };
        let reordered = Recipe { seconds: REORDERED_LENGTH, b_frames: 2, ..wide };
        let say = |what: &str| screen.say(what);
        let reordered =
            if with_b_frames { Some(Numbered::get(reordered, say).await?) } else { None };
        let (wide, narrow) = (Numbered::get(wide, say).await?, Numbered::get(narrow, say).await?);
        Ok(Arc::new(Self { wide, narrow, reordered }))
    }

    fn of(&self, size: Size) -> Result<&Numbered> {
        match size {
            Size::Wide => Ok(&self.wide),
            Size::Narrow => Ok(&self.narrow),
            Size::Reordered => self.reordered.as_ref().context("no material with B-frames"),
        }
    }
}

/// What one connection sent.
#[derive(Debug)]
pub(crate) struct Shot {
    pub(crate) material: Numbered,
    pub(crate) sent: Vec<Sent>,
}

/// Who publishes one broadcast, over one connection after the other.
#[derive(Debug)]
pub(crate) struct Broadcaster {
    target: Target,
    materials: Arc<Materials>,
    now: Option<(Size, Publisher)>,
    shots: Vec<Shot>,
    /// Connections that nobody closed.
    hanging: Vec<Over>,
}

impl Broadcaster {
    /// Begins to publish; the first message has this stamp.
    ///
    /// # Errors
    /// When nobody listens, or the answer is no.
    pub(crate) async fn begin(
        target: Target,
        materials: &Arc<Materials>,
        (size, stamp_ms): (Size, i64),
    ) -> Result<Self> {
        let (materials, shots, hanging) = (Arc::clone(materials), Vec::new(), Vec::new());
        let mut broadcaster = Self { target, materials, now: None, shots, hanging };
        broadcaster.publish(size, stamp_ms).await?;
        Ok(broadcaster)
    }

    /// Publishes from the first keyframe that was not sent yet, as soon as it is let.
    async fn publish(&mut self, size: Size, stamp_ms: i64) -> Result<()> {
        let material = self.materials.of(size)?;
        let film =
            material.film(self.reached(material), stamp_ms).context("no material is left")?;
        let publisher = eventually("a publisher to be accepted", PATIENCE, async || {
            Publisher::start(&self.target, film.clone()).await
        })
        .await?;
        self.now = Some((size, publisher));
        Ok(())
    }

    /// How far the material was sent, in ms.
    fn reached(&self, material: &Numbered) -> i64 {
        let shots =
            self.shots.iter().filter(|shot| Arc::ptr_eq(&shot.material.tags, &material.tags));
        let last = shots.filter_map(|shot| material.tags.get(shot.sent.last()?.tag)).next_back();
        last.map_or(0, |tag| i64::from(tag.time_ms) + 1)
    }

    /// Fails if the connection is over.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn check(&self) -> Result<()> {
        let goes_on = self.now.as_ref().is_some_and(|(_, publisher)| !publisher.is_over());
        goes_on.then_some(()).context("the publisher has lost its connection")
    }

    /// Lets something happen to the clock or to the pace.
    ///
    /// # Errors
    /// When nothing is published.
    pub(crate) async fn turn(&self, turn: Turn) -> Result<()> {
        let (_, publisher) = self.now.as_ref().context("nothing is published")?;
        publisher.turn(turn).await
    }

    /// The middle of a group of pictures in the material: that much after a multiple, in ms.
    pub(crate) fn middle(&self) -> (i64, i64) {
        let first = self.materials.wide.tags.iter().find(|tag| tag.is_keyframe());
        (first.map_or(0, |tag| i64::from(tag.time_ms)) + GOP_MS / 2, GOP_MS)
    }

    /// Waits until the connection is lost.
    ///
    /// # Errors
    /// When it goes on.
    pub(crate) async fn lost(&mut self) -> Result<()> {
        if let Some((size, publisher)) = self.now.take() {
            let over = publisher.lost(NOTICE).await?;
            self.note(size, over)?;
        }
        Ok(())
    }

    /// Ends the connection with a reset.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) async fn reset(&mut self) -> Result<()> {
        if let Some((size, publisher)) = self.now.take() {
            let over = publisher.reset().await?;
            self.note(size, over)?;
        }
        Ok(())
    }

    /// Lets the connection hang: nothing is sent or read, and nobody closes it.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) async fn hang(&mut self) -> Result<()> {
        if let Some((size, publisher)) = self.now.take() {
            let over = publisher.hang().await?;
            self.note(size, over)?;
        }
        Ok(())
    }

    fn note(&mut self, size: Size, mut over: Over) -> Result<()> {
        let sent = std::mem::take(&mut over.sent);
        self.shots.push(Shot { material: self.materials.of(size)?.clone(), sent });
        self.hanging.push(over);
        Ok(())
    }

    /// Publishes again, from stamp 0, as soon as it is let.
    ///
    /// # Errors
    /// When it is refused again and again.
    pub(crate) async fn again(&mut self, size: Size) -> Result<()> {
        self.publish(size, 0).await
    }

    /// Somebody else with the same key publishes for `time`, if let. What is published so is none of
    /// what this one says it sent.
    ///
    /// # Errors
    /// When there is nothing to publish.
    pub(crate) async fn somebody_else(&self, time: Duration) -> Result<()> {
        let film = self.materials.narrow.film(0, 0).context("no material")?;
        if let Ok(mut other) = Publisher::start(&self.target, film).await {
            let _ = other.during(tokio::time::sleep(time)).await;
        }
        Ok(())
    }

    /// Ends the publish in order; says what all connections sent.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) async fn close(mut self) -> Result<Vec<Shot>> {
        if let Some((size, publisher)) = self.now.take() {
            let material = self.materials.of(size)?.clone();
            self.shots.push(Shot { material, sent: publisher.stop().await? });
        }
        Ok(self.shots)
    }
}
