//! The queue: which stream is reconciled when. A stream is reconciled by one
//! task at a time; a failing one less and less often, without keeping others
//! from their turn. One that the API server sends away stays away for as long
//! as it is told, whatever happens to it meanwhile.

mod changes;
mod failing;
mod waiting;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, future, stream};
use kube::ResourceExt;
use kube::runtime::controller::{self, Action, ReconcileRequest, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use millrace_media::id::StreamId;
use millrace_platform::health::Check;
use millrace_platform::report::report;
use millrace_platform::supervise::Supervisor;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::metrics::ControllerMetrics;
use super::watches::{StreamWatch, Synced};
use crate::api::LiveStream;
use crate::reconcile::context::Context;
use crate::reconcile::external::sweep::Presence;
use crate::reconcile::run::{ReconcileError, reconcile};
use changes::Changes;
use failing::Failing;
use waiting::Waiting;

/// Changes that come within this are taken together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// A reconcile that takes longer is given up and tried again: every wait in it
/// is bounded by less, but there are many.
const LONGEST: Duration = Duration::from_mins(2);

/// The first looks at the logs are waited for so long while they bring nothing.
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
    failing: Arc<Mutex<HashMap<String, Failing>>>,
    waiting: Waiting,
    ready: watch::Receiver<bool>,
}

impl Queue {
    /// At most `concurrency` reconciles at once.
    pub fn new(context: Arc<Context>, metrics: ControllerMetrics, concurrency: u16) -> Self {
        let places = Arc::new(Semaphore::new(usize::from(concurrency)));
        let (_, ready) = watch::channel(false);
        let waiting = Waiting::new(metrics.waiting.clone());
        Self { context, metrics, places, concurrency, failing: Arc::default(), waiting, ready }
    }

    /// Start a queue for each watch of LiveStreams, with the streams that other
    /// watches have news of. Reconciles begin, and `check` is good, when all is
    /// known that they go by: what is not known yet would be taken for a change.
    pub fn spawn(
        mut self,
        supervisor: &mut Supervisor,
        watches: Vec<(StreamWatch, mpsc::Receiver<ObjectRef<LiveStream>>)>,
        synced: Synced,
        check: Check,
    ) {
        let (ready, is_ready) = watch::channel(false);
        self.ready = is_ready;
        let stop = supervisor.stop().clone();
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
        let changed = self.clone().changed(watch, store.clone());
        let (waiting, there) = (self.waiting.clone(), store.clone());
        let wanted = stream::select(changed, ReceiverStream::new(triggered))
            .inspect(move |stream: &ObjectRef<LiveStream>| {
                // One that is gone gets no turn.
                if there.get(stream).is_some() {
                    waiting.begin(stream);
                }
            })
            .map(|stream| Ok::<_, Infallible>(ReconcileRequest::from(stream)))
            .take_until(stop.cancelled_owned())
            // Lets go of the watch: who waits for its list need not wait.
            .chain(stream::empty());
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

    /// The streams that changed in a way that matters.
    fn changed(
        self,
        watch: StreamWatch,
        store: Store<LiveStream>,
    ) -> impl Stream<Item = ObjectRef<LiveStream>> {
        let (mut changes, mut listed) = (Changes::default(), false);
        watch.flat_map(move |event| {
            let Ok(event) = event else { return stream::iter(Vec::new()) };
            let news = changes.note(&event, &store);
            for (uid, stream) in &news.gone {
                self.forget(uid, stream);
            }
            if news.is_listed && !std::mem::replace(&mut listed, true) {
                self.context.note_listed();
            }
            stream::iter(news.wanted)
        })
    }

    async fn reconcile(
        mut self,
        stream: Arc<LiveStream>,
        context: Arc<Context>,
    ) -> Result<Action, ReconcileError> {
        if self.ready.wait_for(|ready| *ready).await.is_err() {
            // Told to stop before all was known.
            return Ok(Action::await_change());
        }
        let uid = stream.uid().unwrap_or_default();
        let put_off = self.put_off(&stream, &uid);
        if let Some(wait) = put_off {
            self.waiting.end(&ObjectRef::from_obj(&*stream));
            return Ok(Action::requeue(wait));
        }
        // Stays open as long as the process works.
        let _place = self.places.acquire().await;
        self.waiting.end(&ObjectRef::from_obj(&*stream));
        let begun = Instant::now();
        self.metrics.begun();
        let work = tokio::time::timeout(LONGEST, Box::pin(reconcile(stream.clone(), context)));
        let result = work.await.unwrap_or_else(|_| {
            let why = format!("took longer than {} s", LONGEST.as_secs());
            Err(ReconcileError::Incomplete { stage: "deadline", why, retry_after: None })
        });
        self.metrics.ended(begun.elapsed(), result.as_ref().err().map(ReconcileError::stage));
        if result.is_ok() {
            let mut failing = self.failing();
            failing.remove(&uid);
            self.metrics.failing(failing.len());
        }
        result
    }

    /// After how long it is looked at, if not now.
    fn put_off(&self, stream: &LiveStream, uid: &str) -> Option<Duration> {
        if let Some(wait) = self.failing().get(uid).and_then(Failing::sent_away) {
            return Some(wait);
        }
        let goes = stream.metadata.deletion_timestamp.is_some();
        (!goes && self.context.behind.is(&stream.metadata)).then_some(DEBOUNCE)
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream is gone, from the stores too.
    fn forget(&self, uid: &str, stream: &ObjectRef<LiveStream>) {
        {
            let mut failing = self.failing();
            failing.remove(uid);
            self.metrics.failing(failing.len());
        }
        self.waiting.end(stream);
        self.context.keys_known.forget(uid);
        self.context.behind.forget(uid);
        self.context.suspended.forget(uid);
        // Another may have the name.
        let id = StreamId::new(stream.namespace.as_deref().unwrap_or_default(), &stream.name);
        if let Ok(id) = id
            && !self.context.is_there(&id)
        {
            self.context.live.forget(&id);
        }
    }

    fn after_failure(&self, stream: &LiveStream, error: &ReconcileError) -> Action {
        let mut failing = self.failing();
        let uid = stream.uid().unwrap_or_default();
        // Nobody would forget it again. Looked at under the lock that forgetting takes.
        if !self.context.has(stream) {
            debug!(uid, error = report(error), "reconcile of one that is gone");
            return Action::await_change();
        }
        let failed = failing.entry(uid).or_insert_with(Failing::new);
        let wait = failed.next_try(error.to_string(), error.retry_after());
        let (namespace, name) = (stream.namespace().unwrap_or_default(), stream.name_any());
        let attempt = failed.attempts();
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

/// Wait until all streams are listed, and their logs were looked at; those only
/// as long as that gets on, for Kafka may be away.
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
    context.live.logs.all_known(FIRST_LOOK).await;
}
