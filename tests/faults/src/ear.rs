//! Listens to what the processes of a stack say of themselves, as long as a broadcast runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use millrace_harness::http::Http;
use millrace_harness::stack::{Stack, Worker};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::announced::{Announced, Tally};

/// How often it is asked.
const PERIOD: Duration = Duration::from_millis(500);
/// Who does not answer in this time does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// By what in its metrics a worker is told.
const WORKERS: [(&str, Worker); 3] =
    [("ingest", Worker::Ingest), ("transcode", Worker::Transcode), ("delivery", Worker::Delivery)];

/// Listens until dropped.
pub(crate) struct Ear {
    tally: Arc<Mutex<Tally>>,
    doors: Vec<Door>,
    /// What processes there were when it was last told to begin.
    before: Vec<(&'static str, Vec<i32>)>,
    _listening: JoinSet<()>,
}

/// Where a worker is asked.
#[derive(Clone)]
struct Door {
    number: usize,
    worker: &'static str,
    http: Http,
    metrics: String,
    health: String,
}

impl Ear {
    /// Begins, once every worker has said who it is.
    ///
    /// # Errors
    /// When one does not answer.
    pub(crate) async fn open(http: &Http, stack: &Stack) -> Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut doors = Vec::new();
        for (number, metrics) in stack.endpoints().metrics.split(',').enumerate() {
            let page = http.text(metrics).await?;
            let is = |name: &str| page.contains(&format!("millrace_{name}_"));
            let worker = WORKERS.iter().find(|(name, _)| is(name)).map_or("worker", |(n, _)| n);
            let health = metrics.replace("/metrics", "/health/ready");
            let (http, metrics) = (http.clone(), metrics.to_owned());
            doors.push(Door { number, worker, http, metrics, health });
        }
        let mut listening = JoinSet::new();
        for door in &doors {
            let (door, tally) = (door.clone(), tally.clone());
            listening.spawn(async move {
                loop {
                    door.listen(&tally).await;
                    sleep(PERIOD).await;
                }
            });
        }
        Ok(Self { tally, doors, before: pids(stack), _listening: listening })
    }

    /// What is said from now on is what counts.
    pub(crate) async fn begin(&mut self, stack: &Stack) {
        self.all().await;
        self.before = pids(stack);
        lock(&self.tally).clear();
    }

    /// What was said since.
    pub(crate) async fn heard(&self, stack: &Stack) -> Announced {
        self.all().await;
        let mut announced = lock(&self.tally).announced.clone();
        let now = pids(stack);
        let others = self.before.iter().zip(&now).filter(|(before, now)| before != now);
        announced.restarted = others.map(|((name, _), _)| (*name).to_owned()).collect();
        announced
    }

    async fn all(&self) {
        for door in &self.doors {
            door.listen(&self.tally).await;
        }
    }
}

impl Door {
    async fn listen(&self, tally: &Mutex<Tally>) {
        let page = timeout(PATIENCE, self.http.text(&self.metrics)).await;
        // One that is not ready says why.
        let health = timeout(PATIENCE, self.http.get(&self.health)).await;
        let mut tally = lock(tally);
        match (page, health) {
            (Ok(Ok(page)), Ok(Ok((_, answer)))) => {
                tally.metrics(self.number, &page);
                if let Ok(answer) = serde_json::from_slice::<Value>(&answer) {
                    tally.health(self.worker, &answer);
                }
            }
            _ => tally.failing(self.worker, "no answer"),
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of each worker; of transcoders there may be two.
fn pids(stack: &Stack) -> Vec<(&'static str, Vec<i32>)> {
    let both = |worker| if worker == Worker::Transcode { stack.transcoders().ok() } else { None };
    let all = |worker| both(worker).unwrap_or_else(|| stack.pid(worker).into_iter().collect());
    let raw = |worker| all(worker).into_iter().map(nix::unistd::Pid::as_raw).collect();
    WORKERS.iter().map(|(name, worker)| (*name, raw(*worker))).collect()
}
