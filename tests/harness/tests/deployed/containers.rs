//! Containers of pods, and the end of their processes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_harness::http::eventually;
use serde_json::{Value, json};

use crate::command::{kubectl, kubectl_with};
use crate::place::Place;
use crate::release::NAMESPACE;

/// The pod that reaches the node's processes, and its namespace, which is nobody else's.
const HAND: &str = "millrace-tests";
/// Sends SIGKILL to the container $1's process of the name $2, or to its first.
const KILL: &str = "for process in /proc/[0-9]*; do
  grep -qs $1 $process/cgroup || continue
  if [ \"$2\" ]; then [ \"$(cat $process/comm)\" = \"$2\" ]
  else grep -qsE '^NSpid:.*\\s1$' $process/status; fi || continue
  kill -KILL ${process#/proc/} && echo killed
done";

/// A container that runs.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) pod: String,
    /// UID of the pod.
    pub(crate) uid: String,
    /// As the container runtime has it.
    id: String,
    restarts: u64,
}

/// Those of a component's pods, of which each has one, in the release's namespace.
pub(crate) async fn of(component: &str) -> Result<Vec<Container>> {
    let selector = format!("app.kubernetes.io/component={component}");
    let list = kubectl(&["-n", NAMESPACE, "get", "pods", "-l", &selector, "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&list)?;
    let pods = list["items"].as_array().context("no pods")?;
    pods.iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(container)
        .collect()
}

/// The only one of a component.
pub(crate) async fn one(component: &str) -> Result<Container> {
    let mut all = of(component).await?;
    ensure!(all.len() == 1, "{} pods of {component}", all.len());
    all.pop().context("no pod")
}

/// The same, once it is ready: it may have to find out that a server is back.
pub(crate) async fn ready(component: &str) -> Result<Container> {
    eventually(component, Duration::from_mins(1), async || one(component).await).await
}

/// psql as the superuser, in the pod of Postgres.
pub(crate) const PSQL: &str = "PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U postgres";

/// What a shell says in the only pod of a component.
pub(crate) async fn exec(component: &str, script: &str) -> Result<String> {
    let pod = one(component).await?.pod;
    kubectl(&["-n", NAMESPACE, "exec", &pod, "--", "sh", "-c", script]).await
}

fn container(pod: &Value) -> Result<Container> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let status = &pod["status"]["containerStatuses"][0];
    ensure!(status["ready"] == true, "{} is not ready", pod["metadata"]["name"]);
    let id = text(&status["containerID"]).context("no container")?;
    Ok(Container {
        pod: text(&pod["metadata"]["name"]).context("no name")?,
        uid: text(&pod["metadata"]["uid"]).context("no UID")?,
        id: id.rsplit('/').next().unwrap_or_default().to_owned(),
        restarts: status["restartCount"].as_u64().context("no count")?,
    })
}

impl Container {
    /// `kill -9` of its first process, from outside of it: inside it would not be heard. Waits until
    /// the kubelet has started another, and that is ready.
    pub(crate) async fn kill(&self) -> Result<()> {
        kill(&self.id, "").await?;
        let what = format!("another container in {}", self.pod);
        eventually(&what, Duration::from_mins(2), async || {
            let get = ["-n", NAMESPACE, "get", "pod", &self.pod, "-o", "json"];
            let now = container(&serde_json::from_str(&kubectl(&get).await?)?)?;
            ensure!(now.restarts > self.restarts && now.uid == self.uid, "{now:?}");
            Ok(())
        })
        .await
    }

    /// `kill -9` of its process of this name.
    pub(crate) async fn kill_process(&self, name: &str) -> Result<()> {
        kill(&self.id, name).await
    }
}

/// Starts the pod that [`Container::kill`] needs: root among the node's processes.
pub(crate) async fn lend_a_hand(place: &Place) -> Result<()> {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "privileged" });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": HAND, "labels": labels } });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": HAND, "namespace": HAND },
        "spec": {
            "hostPID": true, "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "hand", "image": format!("millrace/transcode:{}", place.tag),
                "command": ["sleep", "infinity"],
                "securityContext": { "runAsUser": 0, "privileged": true },
            }],
        } });
    for object in [namespace, pod] {
        kubectl_with(&["apply", "-f", "-"], object.to_string().as_bytes()).await?;
    }
    let pod = format!("pod/{HAND}");
    kubectl(&["-n", HAND, "wait", "--for=condition=Ready", &pod, "--timeout=60s"]).await?;
    Ok(())
}

/// Takes it away.
pub(crate) async fn take_the_hand_away() -> Result<()> {
    kubectl(&["delete", "namespace", HAND, "--ignore-not-found"]).await?;
    Ok(())
}

async fn kill(container: &str, process: &str) -> Result<()> {
    let shell = ["-n", HAND, "exec", HAND, "--", "sh", "-c", KILL, "sh", container, process];
    let killed = kubectl(&shell).await?;
    ensure!(killed.lines().count() == 1, "killed of {container} {process:?}: {killed:?}");
    Ok(())
}
