//! The second of two transcoders: it folds the log as the writer does, holds
//! the pictures that are not published yet, undecoded, and watches in Redis how
//! far the writer has come. Where the writer stands still it takes over.
//!
//! It encodes nothing: an encoder that starts at the keyframe before the edge
//! is there within half a second, and two would cost twice as much for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_media::record::Open;
use millrace_media::time::Ticks;
use millrace_media::timeline::Event;
use millrace_platform::report::report;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::services::{PublishError, Services};
use crate::session::Source;

pub mod buffer;
pub mod edge;
pub mod patience;

use buffer::Buffer;
use edge::Edge;
use patience::{Patience, Pending, Takeovers};

/// How often the edge is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What is held at most: more than 20 s of 20 Mb/s.
const HELD: usize = 64 << 20;
/// How long a broadcast that viewers saw end waits for the writer to store the
/// rest of it, and how often that is looked at.
const STORED: Duration = Duration::from_secs(10);
const STORED_LOOK: Duration = Duration::from_millis(500);

/// See the module. Dropping it ends its look-out.
#[derive(Debug)]
pub struct Standby {
    services: Services,
    facts: Open,
    buffer: Buffer,
    /// To tell which pictures need none before them.
    source: Option<Source>,
    patience: Patience,
    /// The last picture in the log when the edge moved last.
    moved: Option<Ticks>,
    ends: bool,
    edges: watch::Receiver<Option<Edge>>,
    _lookout: JoinSet<()>,
}

impl Standby {
    /// Stands by in the broadcast of these facts.
    pub fn new(services: &Services, config: &Arc<Config>, facts: Open) -> Self {
        let (told, edges) = watch::channel(None);
        let mut lookout = JoinSet::new();
        lookout.spawn(look_out(services.clone(), facts.clone(), told));
        Self {
            services: services.clone(),
            facts,
            buffer: Buffer::new(HELD),
            source: None,
            patience: Patience::new(config.part_target, rand::random()),
            moved: None,
            ends: false,
            edges,
            _lookout: lookout,
        }
    }

    /// The broadcast.
    pub fn facts(&self) -> &Open {
        &self.facts
    }

    /// The next step of the timeline.
    pub fn take(&mut self, event: Event) {
        let idr = match &event {
            Event::VideoConfig(body) => {
                self.source = Source::parse(body.clone()).ok();
                false
            }
            Event::Video(frame) if frame.keyframe => {
                self.source.as_ref().is_some_and(|source| source.is_idr(&frame.payload))
            }
            _ => false,
        };
        self.buffer.push(event, idr);
    }

    /// Waits for the next look at what is published. May be cancelled.
    pub async fn look(&mut self) {
        if self.edges.changed().await.is_err() {
            // Its task never ends before it is dropped.
            std::future::pending::<()>().await;
        }
    }

    /// Takes in what was seen; whether the writer is given up.
    pub fn has_enough(&mut self, before: &Takeovers) -> bool {
        let now = Instant::now();
        let Some(edge) = self.edges.borrow_and_update().clone() else {
            self.patience.blind(now);
            return false;
        };
        if self.patience.see(now, edge) {
            self.moved = self.buffer.newest();
            if let Some(all) = self.patience.edge().all {
                self.buffer.published(all);
            }
        }
        let edge = self.patience.edge().pictures;
        let pending = Pending {
            after_edge: self.buffer.after(edge),
            since_moved: self.buffer.after(self.moved),
            opens: self.buffer.opens_after(edge),
            ends: self.ends,
        };
        self.patience.is_over(now, pending, before)
    }

    /// The writer could not be replaced: waits anew.
    pub fn wait_on(&mut self) {
        self.patience.blind(Instant::now());
    }

    /// The log has the broadcast's end. Waits until the writer has told it and
    /// stored what belongs to it; false if it is left to this one.
    pub async fn is_ended_by_the_writer(&mut self, before: &Takeovers) -> bool {
        self.ends = true;
        // Nobody has anything to show, or to end; or it is long over.
        let stored = self.services.is_stored_to_its_end(self.facts.broadcast).await;
        if !self.buffer.has_pictures() || matches!(stored, Ok(true)) {
            return true;
        }
        loop {
            self.look().await;
            let enough = self.has_enough(before);
            if self.patience.edge().ended {
                return self.is_stored().await;
            }
            if enough {
                return false;
            }
        }
    }

    /// Gives the writer its time. While the store does not answer, that does not
    /// pass: the writer can store nothing, and this one could take nothing over.
    async fn is_stored(&self) -> bool {
        let mut waited = Duration::ZERO;
        while waited < STORED {
            match self.services.is_stored_to_its_end(self.facts.broadcast).await {
                Ok(true) => return true,
                Ok(false) => waited += STORED_LOOK,
                Err(error @ PublishError::Store(_)) => {
                    tracing::warn!(error = report(&error), "the end in the store is not known");
                }
                Err(error) => {
                    tracing::error!(
                        error = report(&error),
                        "the end in the store is left as it is"
                    );
                    return true;
                }
            }
            tokio::time::sleep(STORED_LOOK).await;
        }
        false
    }

    /// What it held.
    pub fn into_buffer(self) -> Buffer {
        self.buffer
    }
}

/// Looks at what is published, until it is dropped.
async fn look_out(services: Services, facts: Open, told: watch::Sender<Option<Edge>>) {
    let mut blind = false;
    loop {
        let seen = match services.glance(facts.broadcast).await {
            Ok(glance) => Some(Edge::of(glance.as_ref())),
            Err(error) => {
                if !blind {
                    tracing::warn!(error = report(&error), "the writer can't be watched");
                }
                None
            }
        };
        blind = seen.is_none();
        if told.send(seen).is_err() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
