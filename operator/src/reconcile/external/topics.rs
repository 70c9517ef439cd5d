//! Kafka: the topic of a stream's frames, and the shared one of events.
//!
//! Streams that are reconciled at once share requests: what comes while one is
//! under way goes with the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_platform::kafka::{Admin, Ensured, TopicSpec};
use millrace_platform::names::topics;
use tokio::sync::oneshot;
use tracing::info;

use super::guard::Guard;
use super::memory::Memory;
use super::{Done, External, Service, StepError};
use crate::reconcile::validated::ValidatedStream;

/// Copies of each partition: the brokers' own default.
const REPLICATION: i32 = -1;
/// Events are ordered per stream only, so they may spread.
const EVENTS_PARTITIONS: i32 = 4;
/// A topic that was as it should be is not asked about again for so long.
const LIFE: Duration = Duration::from_mins(10);
/// Topics in one request.
const BATCH: usize = 50;

/// Make a stream's topics so.
///
/// # Errors
/// `KafkaUnavailable`, `TopicRefused`, `CleaningUp`.
pub async fn ensure(outside: &External, stream: &ValidatedStream) -> Result<Done, StepError> {
    outside.check_not_swept(&stream.id)?;
    let installation = &outside.installation;
    let events = TopicSpec::events(installation, EVENTS_PARTITIONS, REPLICATION);
    let window = stream.ingest.replay_window;
    let frames = TopicSpec::frames(installation, &stream.id, window, REPLICATION);
    let (events, frames) =
        tokio::join!(outside.topics.ensure(events), outside.topics.ensure(frames));
    Ok(if events? == Done::Written || frames? == Done::Written {
        Done::Written
    } else {
        Done::Unchanged
    })
}

/// Whether the topic of frames is there and as it should be, for a stream that
/// can't be registered: nothing is made that would be found by nobody.
///
/// # Errors
/// `KafkaUnavailable`; `unregistered` where something would have to be written.
pub(super) async fn find(
    outside: &External,
    stream: &ValidatedStream,
    unregistered: &StepError,
) -> Result<Done, StepError> {
    let window = stream.ingest.replay_window;
    let frames = TopicSpec::frames(&outside.installation, &stream.id, window, REPLICATION);
    if outside.topics.known.holds(&frames.name, &frames, LIFE, Instant::now()) {
        return Ok(Done::Unchanged);
    }
    match outside.guards.kafka.call(outside.admin.describe(&frames.name)).await? {
        Some(there) if frames.is_as_said_in(&there) => Ok(Done::Unchanged),
        _ => Err(unregistered.clone()),
    }
}

/// There was no such topic at this moment: what was seen of it before counts no
/// more. Whether it was seen.
pub(super) fn is_missing(
    outside: &External,
    stream: &millrace_media::id::StreamId,
    at: Instant,
) -> bool {
    outside.topics.known.forget_before(&topics::frames_topic(&outside.installation, stream), at)
}

/// A topic may not be what it was: ask about it with the next
/// [`ensure`].
pub(super) fn forget(outside: &External, stream: &millrace_media::id::StreamId) {
    outside.topics.known.forget(&topics::frames_topic(&outside.installation, stream));
}

type Answer = oneshot::Sender<Result<Ensured, StepError>>;

#[derive(Debug, Default)]
struct Waiting {
    topics: BTreeMap<String, (TopicSpec, Vec<Answer>)>,
    /// A task serves them.
    served: bool,
}

/// Makes topics so, many in a request. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    admin: Admin,
    kafka: Guard,
    known: Memory,
    waiting: Arc<Mutex<Waiting>>,
}

impl Topics {
    pub(super) fn new(admin: Admin, kafka: Guard) -> Self {
        Self { admin, kafka, known: Memory::default(), waiting: Arc::default() }
    }

    async fn ensure(&self, topic: TopicSpec) -> Result<Done, StepError> {
        if self.known.holds(&topic.name, &topic, LIFE, Instant::now()) {
            return Ok(Done::Unchanged);
        }
        // One is out to see whether Kafka is back: nobody waits with it.
        if self.kafka.is_away() && lock(&self.waiting).served {
            return Err(StepError::LeftAlone(Service::Kafka));
        }
        let (name, answer) = (topic.name.clone(), self.ask(topic));
        // The task ends only with the runtime.
        match answer.await.unwrap_or(Err(StepError::LeftAlone(Service::Kafka)))? {
            Ensured::Unchanged => Ok(Done::Unchanged),
            done => {
                info!(topic = name, ?done, "topic");
                Ok(Done::Written)
            }
        }
    }

    /// Has it done with the next request.
    fn ask(&self, topic: TopicSpec) -> oneshot::Receiver<Result<Ensured, StepError>> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        let entry = waiting.topics.entry(topic.name.clone());
        let (wanted, answers) = entry.or_insert_with(|| (topic.clone(), Vec::new()));
        // Of two that differ the later is the spec's.
        *wanted = topic;
        answers.push(answer);
        if !waiting.served {
            waiting.served = true;
            tokio::spawn(self.clone().serve());
        }
        answered
    }

    /// Until nothing waits.
    async fn serve(self) {
        loop {
            let batch: Vec<_> = {
                let mut waiting = lock(&self.waiting);
                if waiting.topics.is_empty() {
                    waiting.served = false;
                    return;
                }
                std::iter::from_fn(|| waiting.topics.pop_first()).take(BATCH).collect()
            };
            let (specs, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|(_, topic)| topic).unzip();
            match self.kafka.call(self.admin.ensure_all(&specs)).await {
                Ok(results) => {
                    for ((spec, answers), result) in specs.into_iter().zip(answers).zip(results) {
                        if result.is_ok() {
                            self.known.note(&spec.name, &spec, Instant::now());
                        }
                        tell(answers, &result.map_err(StepError::from));
                    }
                }
                Err(error) => {
                    for all in answers {
                        tell(all, &Err(error.clone()));
                    }
                }
            }
        }
    }
}

/// Who does not wait any more is told nothing.
fn tell(answers: Vec<Answer>, result: &Result<Ensured, StepError>) {
    for answer in answers {
        drop(answer.send(result.clone()));
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
