//! The queue: which stream is reconciled when. A stream is reconciled by one
//! task at a time; a failing one less and less often, without keeping others
//! from their turn.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, future, stream};
use kube::ResourceExt;
use kube::runtime::controller::{self, Action, ReconcileRequest, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use millrace_media::id::StreamId;
use millrace_platform::backoff::Backoff;
use millrace_platform::health::Health;
use millrace_platform::report::report;
use millrace_platform::supervise::Supervisor;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::metrics::ControllerMetrics;
use super::watches::{StreamWatch, Synced};
use crate::api::LiveStream;
use crate::reconcile::context::Context;
use crate::reconcile::run::{ReconcileError, reconcile};
use crate::reconcile::status::table;

/// A failing stream is tried again after this at first,
const SOON: Duration = Duration::from_millis(500);
/// and after this at most.
const SELDOM: Duration = Duration::from_mins(2);
/// Changes that come within this are taken together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// A reconcile that takes longer is given up and tried again: every wait in it
/// is bounded by less, but there are many.
const LONGEST: Duration = Duration::from_mins(2);

/// The first look at the logs is waited for so long.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Whether all streams are listed is looked at this often.
const LISTED: Duration = Duration::from_millis(20);

/// What all queues share.
#[derive(Clone)]
pub struct Queue {
    context: Arc<Context>,
    metrics: ControllerMetrics,
    places: Arc<Semaphore>,
    concurrency: u16,
    failing: Arc<Mutex<HashMap<String, Backoff>>>,
    ready: watch::Receiver<bool>,
}

impl Queue {
    /// At most `concurrency` reconciles at once.
    pub fn new(context: Arc<Context>, metrics: ControllerMetrics, concurrency: u16) -> Self {
        let places = Arc::new(Semaphore::new(usize::from(concurrency)));
        let (_, ready) = watch::channel(false);
        Self { context, metrics, places, concurrency, failing: Arc::default(), ready }
    }

    /// Start a queue for each watch of LiveStreams, with the streams that other
    /// watches have news of. Reconciles begin when all is known that they go
    /// by: what is not known yet would be taken for a change.
    pub fn spawn(
        mut self,
        supervisor: &mut Supervisor,
        health: &Health,
        watches: Vec<(StreamWatch, mpsc::Receiver<ObjectRef<LiveStream>>)>,
        synced: Synced,
    ) {
        let (ready, is_ready) = watch::channel(false);
        self.ready = is_ready;
        let stop = supervisor.stop().clone();
        let check = health.needed("synced");
        let context = self.context.clone();
        supervisor.spawn("synced", async move {
            let known = async {
                synced.wait().await;
                all_known(&context).await;
                info!("all streams, their children and logs are known");
                check.ok();
                let _ = ready.send(true);
            };
            if stop.run_until_cancelled(known).await.is_some() {
                stop.cancelled().await;
            }
            Ok::<_, Infallible>(())
        });
        let stores = self.context.streams.clone();
        for ((watch, triggered), store) in watches.into_iter().zip(stores) {
            let work = self.clone().run(store, watch, triggered, supervisor.stop().clone());
            supervisor.spawn("reconciles", work.map(Ok::<_, Infallible>));
        }
    }

    async fn run(
        self,
        store: Store<LiveStream>,
        watch: StreamWatch,
        triggered: mpsc::Receiver<ObjectRef<LiveStream>>,
        stop: CancellationToken,
    ) {
        let changed = changed(watch, store.clone(), self.clone());
        let wanted = stream::select(changed, ReceiverStream::new(triggered))
            .map(|stream| Ok::<_, Infallible>(ReconcileRequest::from(stream)))
            .take_until(stop.cancelled_owned());
        let (work, policy, context) = (self.clone(), self.clone(), self.context.clone());
        let results = applier(
            move |stream, context| Box::pin(work.clone().reconcile(stream, context)),
            move |stream, error, _| policy.after_failure(&stream, error),
            context,
            store,
            wanted,
            controller::Config::default().debounce(DEBOUNCE).concurrency(self.concurrency),
        );
        results.for_each(|_| future::ready(())).await;
    }

    async fn reconcile(
        mut self,
        stream: Arc<LiveStream>,
        context: Arc<Context>,
    ) -> Result<Action, ReconcileError> {
        // Both stay open as long as the process works.
        let _ = self.ready.wait_for(|ready| *ready).await;
        let _place = self.places.acquire().await;
        let begun = Instant::now();
        self.metrics.begun();
        let work = tokio::time::timeout(LONGEST, Box::pin(reconcile(stream.clone(), context)));
        let result = work.await.unwrap_or_else(|_| {
            Err(ReconcileError::Incomplete(format!("took longer than {} s", LONGEST.as_secs())))
        });
        self.metrics.ended(begun.elapsed(), result.as_ref().err().map(ReconcileError::stage));
        if result.is_ok() {
            let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            failing.remove(&stream.uid().unwrap_or_default());
            self.metrics.failing(failing.len());
        }
        result
    }

    /// A stream is gone.
    fn forget(&self, gone: &LiveStream) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.remove(&gone.uid().unwrap_or_default());
        self.metrics.failing(failing.len());
        if let Ok(id) = StreamId::new(&gone.namespace().unwrap_or_default(), &gone.name_any()) {
            self.context.live.forget(&id);
        }
    }

    fn after_failure(&self, stream: &LiveStream, error: &ReconcileError) -> Action {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let backoff = failing
            .entry(stream.uid().unwrap_or_default())
            .or_insert_with(|| Backoff::new(SOON, SELDOM));
        let wait = backoff.next_delay();
        let (namespace, name) = (stream.namespace().unwrap_or_default(), stream.name_any());
        let attempt = backoff.attempts();
        warn!(
            namespace,
            name,
            attempt,
            wait_ms = wait.as_millis(),
            error = report(error),
            "reconcile"
        );
        self.metrics.failing(failing.len());
        Action::requeue(wait)
    }
}

/// Wait until all streams are listed, and their logs were looked at; for those
/// only a moment, for Kafka may be away.
async fn all_known(context: &Context) {
    while !context.are_listed() {
        tokio::time::sleep(LISTED).await;
    }
    for store in &context.streams {
        for stream in store.state() {
            let namespace = stream.namespace().unwrap_or_default();
            if let Ok(id) = StreamId::new(&namespace, &stream.name_any()) {
                context.live.logs.watch(id);
            }
        }
    }
    let _ = tokio::time::timeout(FIRST_LOOK, context.live.logs.all_known()).await;
}

/// The streams that changed in a way that matters: our own writes of status
/// don't.
fn changed(
    watch: StreamWatch,
    store: Store<LiveStream>,
    queue: Queue,
) -> impl Stream<Item = ObjectRef<LiveStream>> {
    let mut known: HashMap<Option<String>, (u64, Option<String>)> = HashMap::new();
    let mut listed = false;
    watch.flat_map(move |event| {
        let mut wanted = Vec::new();
        match event {
            Ok(Event::Apply(stream) | Event::InitApply(stream)) => {
                let now = (digest(&stream), stream.spec.playback.hostname.clone());
                let before = known.insert(stream.uid(), now.clone());
                if before.as_ref() != Some(&now) {
                    wanted.push(ObjectRef::from_obj(&stream));
                    if now.1.is_some() || before.is_some_and(|before| before.1.is_some()) {
                        wanted.extend(waiting_for_hosts(&store));
                    }
                }
            }
            Ok(Event::Delete(stream)) => {
                known.remove(&stream.uid());
                queue.forget(&stream);
                wanted.extend(waiting_for_hosts(&store));
            }
            Ok(Event::InitDone) => {
                let there: HashSet<_> = store.state().iter().map(|stream| stream.uid()).collect();
                known.retain(|uid, _| there.contains(uid));
                if !std::mem::replace(&mut listed, true) {
                    queue.context.note_listed();
                }
            }
            Ok(Event::Init) | Err(_) => {}
        }
        stream::iter(wanted)
    })
}

fn digest(stream: &LiveStream) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = &stream.metadata;
    metadata.generation.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.finalizers.hash(&mut hasher);
    hasher.finish()
}

/// Streams that may get a host name that another has given up.
fn waiting_for_hosts(store: &Store<LiveStream>) -> Vec<ObjectRef<LiveStream>> {
    let taken = table::HOST_TAKEN.reason;
    let waits = |stream: &LiveStream| {
        let conditions = stream.status.as_ref().map(|status| status.conditions.as_slice());
        conditions.unwrap_or_default().iter().any(|condition| condition.reason == taken)
    };
    store.state_filter(waits).iter().map(|stream| ObjectRef::from_obj(&**stream)).collect()
}
