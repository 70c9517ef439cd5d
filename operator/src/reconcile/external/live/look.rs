//! The task: asks Kafka each second and keeps the view.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use millrace_media::id::StreamId;
use millrace_platform::kafka::{Ends, KafkaError, Stretch, Tails};
use millrace_platform::log::fold_tails;
use millrace_platform::names::topics::frames_topic;
use millrace_platform::report::report;
use millrace_platform::wall;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::External;
use super::super::topics::is_missing;
use super::watched::Watched;
use super::{LiveView, Seen};

/// How often Kafka is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Logs asked about at once: what is in memory meanwhile grows with it.
const AT_ONCE: usize = 500;
/// What Kafka said last is believed for so long.
const BELIEVED: Duration = Duration::from_secs(10);
/// Of a topic that was made within this a broker may not know yet.
const NEW: Duration = Duration::from_secs(5);
/// Records read in one go, over all logs: of frames at most as many megabytes
/// pass as there are hundreds.
const RECORDS: i64 = 4_000;
/// How long that may take.
const READ: Duration = Duration::from_secs(5);
/// Goes in one look; the rest is read after the next one.
const GOES: usize = 4;

pub(super) struct Looking {
    outside: External,
    view: LiveView,
    ends: Ends,
    tails: Tails,
    changes: mpsc::Sender<StreamId>,
    logs: BTreeMap<StreamId, Watched>,
    /// The last one whose tail was to be read.
    tried: Option<StreamId>,
    /// Changed, and not told yet.
    pending: BTreeSet<StreamId>,
    answered: Instant,
    away: bool,
}

impl Looking {
    pub(super) fn new(
        outside: External,
        view: LiveView,
        (ends, tails): (Ends, Tails),
        changes: mpsc::Sender<StreamId>,
    ) -> Self {
        Self {
            outside,
            view,
            ends,
            tails,
            changes,
            logs: BTreeMap::new(),
            tried: None,
            pending: BTreeSet::new(),
            answered: Instant::now(),
            away: false,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let look = async {
                ticks.tick().await;
                self.look().await;
            };
            if stop.run_until_cancelled(look).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self) {
        let streams = self.view.watched();
        self.logs.retain(|stream, _| streams.binary_search(stream).is_ok());
        match self.look_at_ends(&streams).await {
            Ok(()) => {
                if std::mem::take(&mut self.away) {
                    info!("Kafka says again who publishes");
                }
                self.read(&streams).await;
                self.show(&streams);
            }
            Err(error) => {
                if self.answered.elapsed() >= BELIEVED {
                    if !std::mem::replace(&mut self.away, true) {
                        warn!("who publishes is not known: {}", report(&error));
                    }
                    for stream in &streams {
                        self.note(stream, Seen::Unknown);
                    }
                }
            }
        }
        self.tell();
    }

    async fn look_at_ends(&mut self, streams: &[StreamId]) -> Result<(), KafkaError> {
        for some in streams.chunks(AT_ONCE) {
            let begun = Instant::now();
            let ends = self.ends.last(some.iter().map(|one| self.topic(one)).collect()).await?;
            self.answered = Instant::now();
            for stream in some {
                let said = ends.get(&self.topic(stream)).copied();
                let log = self.logs.entry(stream.clone()).or_default();
                if said == Some(None) {
                    log.is_silent(self.answered);
                    continue;
                }
                let end = said.flatten();
                // Whoever made it should look again, unless he made it just now.
                let before = begun.checked_sub(NEW).unwrap_or(begun);
                if end.is_none() && is_missing(&self.outside, stream, before) {
                    self.pending.insert(stream.clone());
                }
                if log.is_new() {
                    self.view.gets_on();
                }
                log.ends_at(end, self.answered);
            }
        }
        Ok(())
    }

    fn topic(&self, stream: &StreamId) -> String {
        frames_topic(&self.outside.installation, stream)
    }

    /// Reads what the logs want read, some of it, and begins after those of the
    /// last look: logs that can't be read take no other one's turn.
    async fn read(&mut self, streams: &[StreamId]) {
        let mut wanted: Vec<_> = streams
            .iter()
            .filter_map(|stream| Some((stream, self.logs.get(stream)?.wants()?)))
            .collect();
        let begin = wanted.partition_point(|(stream, _)| Some(*stream) <= self.tried.as_ref());
        wanted.rotate_left(begin);
        let mut rest = wanted.as_slice();
        for _ in 0..GOES {
            let mut records = 0_i64;
            let some = rest.iter().take_while(|(_, (from, to))| {
                let begins = records == 0;
                records = records.saturating_add(to.saturating_sub(*from));
                begins || records <= RECORDS
            });
            let (some, later) = rest.split_at(some.count());
            let Some((last, _)) = some.last() else { break };
            self.tried = Some((*last).clone());
            if let Err(error) = self.read_some(some).await {
                debug!("tails of logs are not read: {}", report(&error));
                break;
            }
            rest = later;
        }
    }

    async fn read_some(&mut self, wanted: &[(&StreamId, (i64, i64))]) -> Result<(), KafkaError> {
        let topics = wanted.iter().map(|(stream, _)| self.topic(stream)).collect();
        let firsts = self.ends.first(topics).await?;
        let mut pieces = Vec::with_capacity(wanted.len());
        for (stream, (from, to)) in wanted {
            let topic = self.topic(stream);
            let Some(log) = self.logs.get_mut(*stream) else { continue };
            let first = match firsts.get(&topic) {
                Some(None) => continue,
                Some(Some(first)) => first,
                None => to,
            };
            let from = from.max(first);
            if from < to {
                pieces.push((Stretch { topic, from: *from, to: *to }, log.control()));
            } else {
                log.is_void(*to, Instant::now());
            }
        }
        if pieces.is_empty() {
            return Ok(());
        }
        let stretches: HashMap<_, _> =
            pieces.iter().map(|(piece, _)| (piece.topic.clone(), (piece.from, piece.to))).collect();
        let mut folded = fold_tails(&self.tails, pieces, READ).await?;
        for (stream, _) in wanted {
            let topic = self.topic(stream);
            let (Some(log), Some(said), Some(stretch), Some(first)) = (
                self.logs.get_mut(*stream),
                folded.remove(&topic),
                stretches.get(&topic),
                firsts.get(&topic).copied().flatten(),
            ) else {
                continue;
            };
            log.says(*stretch, first, said, Instant::now());
        }
        Ok(())
    }

    fn show(&mut self, streams: &[StreamId]) {
        let now_ms = wall::ms();
        for stream in streams {
            let Some(log) = self.logs.get(stream) else { continue };
            if log.silence(self.answered) >= BELIEVED {
                self.note(stream, Seen::Unknown);
            } else if let Some(seen) = log.seen(now_ms) {
                self.note(stream, seen);
            }
        }
    }

    fn note(&mut self, stream: &StreamId, seen: Seen) {
        if self.view.put(stream, seen) {
            self.pending.insert(stream.clone());
        }
    }

    /// Tells what changed; what there is no room for is told later.
    fn tell(&mut self) {
        while let Some(stream) = self.pending.pop_first() {
            match self.changes.try_send(stream) {
                Ok(()) => {}
                Err(TrySendError::Full(stream)) => {
                    self.pending.insert(stream);
                    return;
                }
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}
