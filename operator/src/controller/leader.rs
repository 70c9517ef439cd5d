//! Leader election by a Lease: one replica reconciles, and one that can't
//! renew its Lease ends before another may take it, so that never two do.
//!
//! Clocks are never compared. Who holds the Lease counts from before the
//! request that renewed it, who waits for it from after the answer that showed
//! it renewed, each by a clock of its own. Every write names the version that
//! was read, so of several that ask at once one gets it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use millrace_platform::backoff::Backoff;
use millrace_platform::report::report;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::place::Place;
use crate::reconcile::retry_after;

/// The Lease's name.
const NAME: &str = "millrace-operator";
/// Another replica takes over when the Lease was not renewed for this long.
const DURATION: Duration = Duration::from_secs(15);
/// Who did not renew it for this long has lost it: another may take it soon.
const LATEST: Duration = Duration::from_secs(12);
/// It is renewed this often.
const RENEW: Duration = Duration::from_secs(4);
/// Who does not hold it looks at it this often.
const LOOK: Duration = Duration::from_secs(2);
/// A request about it is answered within this.
pub const TIMEOUT: Duration = Duration::from_secs(3);

/// Nobody stays away for longer, whatever the API server asks for: who leads
/// has to renew in time, and without a leader nothing is done.
const LONGEST: Duration = Duration::from_secs(5);
/// Tries to give it up.
const TRIES: u32 = 3;

/// What failed is tried again after this at first,
const SOON: Duration = Duration::from_millis(500);
/// and after this at most.
const SELDOM: Duration = Duration::from_secs(2);

/// Why the process can't lead.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// Another replica leads now.
    #[error("the Lease {NAME} was lost to another replica")]
    Lost,
    /// Another replica may lead soon.
    #[error("the Lease {NAME} could not be renewed for {seconds} s", seconds = LATEST.as_secs())]
    Late,
    /// It stays held until it runs out.
    #[error("can't give up the Lease {NAME}")]
    Release(#[source] Box<kube::Error>),
}

/// This process's claim to the Lease.
pub struct Lease {
    api: Api<Object>,
    identity: String,
    /// Before the last request that took or renewed it.
    renewed: Instant,
    /// Another's, by its version, and when that was seen first.
    seen: Option<(String, Instant)>,
}

impl Lease {
    /// Make the claim. `client` answers within [`TIMEOUT`].
    pub fn new(client: Client, place: &Place) -> Self {
        let api = Api::namespaced(client, &place.own_namespace);
        Self { api, identity: place.identity.clone(), renewed: Instant::now(), seen: None }
    }

    /// Wait until the Lease is held, however long the API server is away.
    pub async fn take(&mut self) {
        info!("waiting for the Lease {NAME}");
        let mut backoff = Backoff::new(SOON, SELDOM);
        loop {
            let wait = match self.ask().await {
                Ok(true) => break,
                Ok(false) => {
                    backoff.reset();
                    LOOK
                }
                Err(error) => after(&error, &mut backoff),
            };
            sleep(wait).await;
        }
        info!("leading");
    }

    /// Keep it, until it is lost. While the API server can't be asked it is
    /// kept for as long as nobody else can have taken it.
    pub async fn keep(&mut self) -> LeaderError {
        let (mut backoff, mut wait) = (Backoff::new(SOON, SELDOM), RENEW);
        loop {
            let left = LATEST.saturating_sub(self.renewed.elapsed());
            let asked = timeout(left, async {
                sleep(wait).await;
                self.ask().await
            });
            wait = match asked.await {
                Err(_) => return LeaderError::Late,
                Ok(Ok(false)) => return LeaderError::Lost,
                Ok(Ok(true)) => {
                    backoff.reset();
                    RENEW
                }
                Ok(Err(error)) => after(&error, &mut backoff),
            };
        }
    }

    /// Give it up, after the last write.
    pub async fn release(self) -> Result<(), LeaderError> {
        for _ in 1..TRIES {
            // A renewal may have been under way.
            if self.give_up().await.is_ok() {
                return Ok(());
            }
            sleep(SOON).await;
        }
        self.give_up().await.map_err(|error| LeaderError::Release(Box::new(error)))
    }

    async fn give_up(&self) -> Result<(), kube::Error> {
        let found = self.api.get_opt(NAME).await?;
        let ours = found.filter(|lease| holder(lease) == Some(self.identity.as_str()));
        let Some(lease) = ours else { return Ok(()) };
        let nobody = json!({ "holderIdentity": null, "acquireTime": null, "renewTime": null });
        self.write(&lease, &nobody).await
    }

    /// Take it or renew it, if it is nobody else's. Whether it is ours now.
    async fn ask(&mut self) -> Result<bool, kube::Error> {
        let lease = match self.api.get_opt(NAME).await? {
            Some(lease) => lease,
            // Somebody deleted it. Who held it may not know yet.
            None if self.seen.as_ref().is_some_and(|(_, at)| at.elapsed() <= DURATION) => {
                return Ok(false);
            }
            None => self.api.create(&PostParams::default(), &unheld()).await?,
        };
        if self.is_anothers(&lease) {
            return Ok(false);
        }
        let (now, seconds) = (MicroTime(Timestamp::now()), DURATION.as_secs());
        let spec = if holder(&lease) == Some(self.identity.as_str()) {
            json!({ "renewTime": now, "leaseDurationSeconds": seconds })
        } else {
            let before = lease.spec.as_ref().and_then(|spec| spec.lease_transitions);
            json!({
                "holderIdentity": self.identity,
                "leaseDurationSeconds": seconds,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": before.map_or(0, |count| count.saturating_add(1)),
            })
        };
        let begun = Instant::now();
        self.write(&lease, &spec).await?;
        self.renewed = begun;
        self.seen = None;
        Ok(true)
    }

    /// Somebody else has it and has renewed it lately, as far as is seen.
    fn is_anothers(&mut self, lease: &Object) -> bool {
        if holder(lease).is_none_or(|holder| holder == self.identity) {
            return false;
        }
        let version = lease.resource_version().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() <= good_for(lease),
            _ => {
                self.seen = Some((version, Instant::now()));
                true
            }
        }
    }

    /// Refused with a conflict when somebody wrote it meanwhile.
    async fn write(&self, read: &Object, spec: &Value) -> Result<(), kube::Error> {
        let version = read.resource_version();
        let patch =
            Patch::Merge(json!({ "metadata": { "resourceVersion": version }, "spec": spec }));
        self.api.patch(NAME, &PatchParams::default(), &patch).await.map(drop)
    }
}

fn unheld() -> Object {
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    Object { metadata, ..Object::default() }
}

fn holder(lease: &Object) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// How long whoever holds it may take to renew it.
fn good_for(lease: &Object) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DURATION, Duration::from_secs)
}

/// After how long to ask again.
fn after(error: &kube::Error, backoff: &mut Backoff) -> Duration {
    warn!(error = report(error), "can't ask for the Lease {NAME}");
    backoff.next_delay().max(retry_after::of(error).unwrap_or_default()).min(LONGEST)
}
