//! What the API server was asked for, from its audit log: by whom, how often, and with what
//! answer. Without bodies; tests/cluster/audit.yaml says what is in it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::Cluster;

/// One line of the log: a request that was answered, or a watch that began (`ResponseStarted`) or
/// ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `ResponseStarted`, `ResponseComplete` or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who asked.
    pub user: User,
    /// On what; none for what is no resource.
    #[serde(default)]
    pub object_ref: Object,
    /// The answer.
    #[serde(default)]
    pub response_status: Status,
    /// When it came.
    #[serde(rename = "requestReceivedTimestamp")]
    pub received: Timestamp,
    /// When it was answered.
    #[serde(rename = "stageTimestamp")]
    pub answered: Timestamp,
}

/// Who asked.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// For a ServiceAccount `system:serviceaccount:<namespace>:<name>`.
    pub username: String,
}

/// What a request was about. What does not apply is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Object {
    /// Empty for the core group.
    pub api_group: String,
    /// The plural.
    pub resource: String,
    /// `status`, for example.
    pub subresource: String,
    /// Empty for all namespaces and for what is in none.
    pub namespace: String,
    /// Empty for a list, and for what is created by POST.
    pub name: String,
}

/// The answer to a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Of HTTP.
    pub code: u16,
}

impl Event {
    /// Whether it could change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether the asker lacked the right.
    pub fn is_forbidden(&self) -> bool {
        self.response_status.code == 403
    }
}

/// From when the first of these was asked to when the last was answered.
pub fn span<'a>(events: impl Iterator<Item = &'a Event> + Clone) -> Duration {
    let first = events.clone().map(|event| event.received).min();
    let last = events.map(|event| event.answered).max();
    let both = first.zip(last).map(|(first, last)| last.duration_since(first));
    both.and_then(|span| span.try_into().ok()).unwrap_or_default()
}

/// A moment in the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Moment(u64);

impl Cluster {
    /// Now: everything asked and answered before is before it.
    ///
    /// # Errors
    /// When the API server does not answer or its log cannot be read.
    pub async fn moment(&self) -> Result<Moment> {
        let name = format!("mark-{:016x}", rand::random::<u64>());
        let namespaces: Api<Namespace> = Api::all(self.client());
        let path = self.folder.join("audit.log");
        let before = std::fs::metadata(&path)?.len();
        namespaces.get_opt(&name).await.context("marking the audit log")?;
        // A line is written about when the answer is sent: perhaps just after it.
        let seen = async {
            loop {
                let text = read(&path, before)?;
                if let Some(at) = text.find(&name) {
                    let end = text.get(at..).and_then(|rest| rest.find('\n'));
                    if let Some(end) = end {
                        return Ok(Moment(before + u64::try_from(at + end + 1)?));
                    }
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), seen).await.context("the mark is not in the audit log")?
    }

    /// What `user` asked for since `moment` and got an answer to, oldest first. A request that was
    /// answered once is there once, but for a watch: when it begins, and when it ends.
    ///
    /// # Errors
    /// When the API server does not answer or its log cannot be read.
    pub async fn requests(&self, user: &str, moment: Moment) -> Result<Vec<Event>> {
        let now = self.moment().await?;
        let text = read(&self.folder.join("audit.log"), moment.0)?;
        let length = usize::try_from(now.0.saturating_sub(moment.0))?;
        let mut events = Vec::new();
        for line in text.get(..length).unwrap_or(&text).lines() {
            let event: Event = serde_json::from_str(line).context("a line of the audit log")?;
            if event.user.username == user {
                events.push(event);
            }
        }
        Ok(events)
    }
}

/// From `offset` to the end.
fn read(path: &std::path::Path, offset: u64) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One right: a verb on a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// `get`, for example.
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// The plural, and `/status` or the like.
    pub resource: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource } = self;
        if group.is_empty() {
            write!(f, "{verb} {resource}")
        } else {
            write!(f, "{verb} {resource}.{group}")
        }
    }
}

/// What `rules` grant and `events` made no use of. Pass the events of where the rules hold: a right
/// in the workers namespace is not used by a request in another.
pub fn unused<'a>(
    rules: impl IntoIterator<Item = &'a PolicyRule>,
    events: impl IntoIterator<Item = &'a Event>,
) -> Vec<Grant> {
    let used: BTreeSet<Grant> = events.into_iter().flat_map(uses).collect();
    let granted: BTreeSet<Grant> = rules.into_iter().flat_map(grants).collect();
    granted
        .into_iter()
        .filter(|grant| !asked_by_admission(grant) && !used.contains(grant))
        .collect()
}

/// Of whoever sets `blockOwnerDeletion`, and seen in no request of its own.
fn asked_by_admission(grant: &Grant) -> bool {
    grant.verb == "update" && grant.resource.ends_with("/finalizers")
}

fn grants(rule: &PolicyRule) -> Vec<Grant> {
    let mut grants = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                grants.push(Grant {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                });
            }
        }
    }
    grants
}

fn uses(event: &Event) -> Vec<Grant> {
    if event.is_forbidden() || event.object_ref.resource.is_empty() {
        return Vec::new();
    }
    let object = &event.object_ref;
    let resource = match object.subresource.as_str() {
        "" => object.resource.clone(),
        sub => format!("{}/{sub}", object.resource),
    };
    let grant = |verb: &str| Grant {
        verb: verb.to_owned(),
        group: object.api_group.clone(),
        resource: resource.clone(),
    };
    let mut grants = vec![grant(&event.verb)];
    // An apply that makes the object is asked for the right to create it too.
    if event.verb == "patch" && event.response_status.code == 201 {
        grants.push(grant("create"));
    }
    grants
}

#[cfg(test)]
mod tests;
