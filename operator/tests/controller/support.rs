//! One operator and its namespaces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use millrace_harness::certificate::Certificate;
use millrace_harness::cluster::{Account, Cluster, Namespace};
use millrace_harness::ports;
use millrace_harness::process::Child;
use millrace_operator::api::LiveStream;
use millrace_operator::api::status::{Condition, LiveStreamStatus, Phase};
use millrace_operator::reconcile::kind::Kind;
use serde_json::{Value, json};
use sqlx::Connection;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::servers::Servers;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// One installation in the cluster: a namespace for workers, one for streams.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) workers: Namespace,
    pub(crate) streams: Namespace,
    pub(crate) account: Account,
    pub(crate) servers: Servers,
    folder: TempDir,
}

enum Rights {
    OfChart,
    InNamespaces,
}

/// Metrics with labels of which there is no line before one is set.
const LABELLED: [&str; 2] = ["operator_reconcile_errors_total", "operator_streams_conditions"];

/// A running operator.
pub(crate) struct Operator {
    process: Child,
    health: String,
    log: PathBuf,
}

impl World {
    /// None where the API server was left out.
    pub(crate) async fn shared() -> Option<Self> {
        Some(Self::on(Cluster::shared().await.unwrap()?, Rights::OfChart).await)
    }

    /// Where the operator has Roles only: it sees nothing that is in no
    /// namespace.
    pub(crate) async fn shared_without_cluster_role() -> Option<Self> {
        Some(Self::on(Cluster::shared().await.unwrap()?, Rights::InNamespaces).await)
    }

    /// With an API server of its own, to be disturbed.
    pub(crate) async fn own() -> Option<Self> {
        Self::own_with(&[]).await
    }

    /// With one of its own that has these flags more.
    pub(crate) async fn own_with(flags: &[&str]) -> Option<Self> {
        Some(Self::on(Cluster::start_with(flags).await.unwrap()?, Rights::OfChart).await)
    }

    async fn on(cluster: Cluster, rights: Rights) -> Self {
        cluster.install_crd().await.unwrap();
        let workers = cluster.namespace("workers").await.unwrap();
        let streams = cluster.namespace("streams").await.unwrap();
        let account = match rights {
            Rights::OfChart => cluster.operator_account(workers.name(), workers.name()).await,
            Rights::InNamespaces => {
                cluster.operator_account_within(workers.name(), streams.name()).await
            }
        };
        let account = account.unwrap();
        // The chart makes it.
        let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), workers.name());
        let name = Some("millrace-worker".to_owned());
        let worker = ServiceAccount {
            metadata: ObjectMeta { name, ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        accounts.create(&PostParams::default(), &worker).await.unwrap();
        let (servers, folder) = (Servers::new(), TempDir::new().unwrap());
        Self { cluster, workers, streams, account, servers, folder }
    }

    pub(crate) fn client(&self) -> Client {
        self.cluster.client()
    }

    /// Where the operator writes what it logs.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("operator.log")
    }

    /// Start an operator, and wait until it works.
    pub(crate) async fn operator(&self) -> Operator {
        let operator = self.start(&[]);
        operator.wait_ready().await;
        operator
    }

    /// Start one with more settings.
    pub(crate) fn start(&self, more: &[(&str, &str)]) -> Operator {
        let kubeconfig = self.kubeconfig();
        let port = ports::free().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-operator"));
        command
            .arg("run")
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAMESPACE", self.workers.name())
            .env("WATCH_NAMESPACES", self.streams.name())
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .env("HEALTH_PORT", port.to_string())
            .env("RUST_LOG", "info,millrace_operator=debug")
            // As the chart does: memory is measured.
            .env("MALLOC_ARENA_MAX", "2")
            .envs(self.servers.pairs())
            .envs(more.iter().copied());
        let process = Child::spawn("operator", &mut command, &self.log()).unwrap();
        Operator { process, health: format!("http://127.0.0.1:{port}"), log: self.log() }
    }

    /// The kubeconfig of the operator's account.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let kubeconfig = self.folder.path().join("kubeconfig");
        if !kubeconfig.exists() {
            self.account.write_kubeconfig(&kubeconfig, None).unwrap();
        }
        kubeconfig
    }

    /// Let operators ask the API server at another address.
    pub(crate) fn go_through(&self, url: &str) {
        self.account.write_kubeconfig(&self.folder.path().join("kubeconfig"), Some(url)).unwrap();
    }

    pub(crate) fn livestreams(&self) -> Api<LiveStream> {
        Api::namespaced(self.client(), self.streams.name())
    }

    /// Make a stream.
    pub(crate) async fn create(&self, name: &str, spec: Value) -> LiveStream {
        let stream = manifest(name, spec);
        self.livestreams().create(&PostParams::default(), &stream).await.unwrap()
    }

    /// Change its spec, by a merge patch.
    pub(crate) async fn patch(&self, name: &str, patch: Value) {
        let parameters = PatchParams::default();
        self.livestreams().patch(name, &parameters, &Patch::Merge(&patch)).await.unwrap();
    }

    /// Its status now.
    pub(crate) async fn status(&self, name: &str) -> LiveStreamStatus {
        self.livestreams().get(name).await.unwrap().status.unwrap_or_default()
    }

    /// Wait until its status is as wanted.
    pub(crate) async fn until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&LiveStreamStatus) -> bool,
    ) -> LiveStreamStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stream = self.livestreams().get(name).await.unwrap();
            let generation = stream.metadata.generation;
            if let Some(status) = stream.status
                && status.observed_generation == generation
                && wanted(&status)
            {
                return status;
            }
            if Instant::now() > deadline {
                let status = self.status(name).await;
                panic!("{name} is not {what}: {status:#?}\n{}", self.log_tail());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn until_phase(&self, name: &str, phase: Phase) -> LiveStreamStatus {
        self.until(name, &format!("{phase:?}"), |status| status.phase == Some(phase)).await
    }

    pub(crate) fn log_tail(&self) -> String {
        millrace_harness::process::tail(&self.log(), 40)
    }

    /// Objects of a kind of child.
    pub(crate) fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), namespace, &kind.resource())
    }

    /// Everything the operator has made for streams, by kind and name.
    pub(crate) async fn children(&self) -> Vec<String> {
        let mut all = Vec::new();
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=millrace-operator");
        for namespace in [self.workers.name(), self.streams.name()] {
            let client = self.client();
            all.extend(names::<Deployment>(client.clone(), namespace, &ours, "Deployment").await);
            all.extend(names::<Service>(client.clone(), namespace, &ours, "Service").await);
            all.extend(names::<Secret>(client.clone(), namespace, &ours, "Secret").await);
            all.extend(names::<PodDisruptionBudget>(client.clone(), namespace, &ours, "PDB").await);
            all.extend(names::<Ingress>(client.clone(), namespace, &ours, "Ingress").await);
            let routes = self.api(Kind::HttpRoute, namespace).list(&ours).await;
            match routes {
                Ok(found) => {
                    all.extend(
                        found.items.iter().map(|one| format!("HTTPRoute {}", one.name_any())),
                    );
                }
                // The Gateway API is not there.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => panic!("{error}"),
            }
        }
        all.sort();
        all
    }

    /// Say of all pods of a stream that they are ready, as a kubelet would.
    pub(crate) async fn pods_ready(&self, stream: &str) {
        let pods: Api<Pod> = Api::namespaced(self.client(), self.workers.name());
        let its = ListParams::default().labels(&format!("millrace.dev/livestream={stream}"));
        for pod in pods.list(&its).await.unwrap().items {
            let status = json!({ "status": { "phase": "Running", "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "PodScheduled", "status": "True" },
            ]}});
            // It may be gone by now.
            let _ = pods
                .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status))
                .await;
        }
    }

    /// Wait until a stream is Ready, its pods being said to be.
    pub(crate) async fn ready(&self, name: &str) -> LiveStreamStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.pods_ready(name).await;
            let status = self.status(name).await;
            if status.phase == Some(Phase::Ready) {
                return status;
            }
            assert!(Instant::now() < deadline, "{name}: {status:#?}\n{}", self.log_tail());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Wait until something is so.
    pub(crate) async fn eventually<F: Future<Output = bool>>(
        &self,
        what: &str,
        so: impl Fn() -> F,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !so().await {
            assert!(Instant::now() < deadline, "not {what}\n{}", self.log_tail());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Delete a stream and wait until it is gone.
    pub(crate) async fn delete(&self, name: &str) {
        self.livestreams().delete(name, &DeleteParams::default()).await.unwrap();
        let api = &self.livestreams();
        self.eventually("gone", || async { api.get_opt(name).await.unwrap().is_none() }).await;
    }

    /// Delete streams at once and wait until all are gone, and their children.
    pub(crate) async fn delete_all(&self, names: &[impl AsRef<str>]) {
        let (api, now) = (&self.livestreams(), DeleteParams::default());
        for name in names {
            api.delete(name.as_ref(), &now).await.unwrap();
        }
        for name in names {
            let gone = || async { api.get_opt(name.as_ref()).await.unwrap().is_none() };
            self.eventually("gone", gone).await;
        }
        self.eventually("without children", || async { self.children().await.is_empty() }).await;
    }

    /// Make a Secret with a certificate, or put another into it.
    pub(crate) async fn certificate(&self, name: &str) {
        let made = Certificate::new(1).unwrap();
        self.pair(name, &made.certificate, &made.key).await;
    }

    /// The same with any two texts.
    pub(crate) async fn pair(&self, name: &str, certificate: &str, key: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name },
            "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": certificate, "tls.key": key },
        });
        let secrets: Api<Secret> = Api::namespaced(self.client(), self.streams.name());
        let parameters = PatchParams::apply("somebody").force();
        secrets.patch(name, &parameters, &Patch::Apply(&secret)).await.unwrap();
    }

    /// Have a stream looked at again: Secrets are not watched.
    pub(crate) async fn touch(&self, name: &str) {
        let note = rand::random::<u32>().to_string();
        self.patch(name, json!({ "metadata": { "annotations": { "note": note } } })).await;
    }

    /// How many LiveStreams have something outside Kubernetes, as the register
    /// says.
    pub(crate) async fn registered(&self) -> i64 {
        let mut connection = sqlx::PgConnection::connect(&self.servers.database).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM livestreams WHERE installation = $1")
            .bind(&self.servers.installation)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// The publish keys in a stream's Secret.
    pub(crate) async fn keys(&self, name: &str) -> BTreeMap<String, String> {
        let secrets: Api<Secret> = Api::namespaced(self.client(), self.streams.name());
        let secret = secrets.get(&format!("{name}-publish-keys")).await.unwrap();
        let data = secret.data.unwrap_or_default().into_iter();
        data.map(|(name, value)| (name, String::from_utf8(value.0).unwrap())).collect()
    }
}

async fn names<K>(client: Client, namespace: &str, which: &ListParams, kind: &str) -> Vec<String>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client, namespace);
    let all = api.list(which).await.unwrap();
    all.items.iter().map(|object| format!("{kind} {}", object.name_any())).collect()
}

/// A stream's manifest.
pub(crate) fn manifest(name: &str, spec: Value) -> LiveStream {
    let mut stream = LiveStream::new(name, serde_json::from_value(spec).unwrap());
    // What a person leaves out the API server fills in.
    stream.metadata.managed_fields = None;
    stream
}

/// The value in a line of metrics.
fn value(line: &str) -> f64 {
    let value = line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok());
    value.unwrap_or_else(|| panic!("no value in {line}"))
}

/// One condition of a status.
pub(crate) fn condition<'a>(status: &'a LiveStreamStatus, type_: &str) -> &'a Condition {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    found.unwrap_or_else(|| panic!("no {type_} in {status:#?}"))
}

impl Operator {
    /// Wait until it leads, and then until it says that it is ready: one that
    /// waits for the Lease says so too.
    pub(crate) async fn wait_ready(&self) {
        self.wait_leads().await;
        self.wait("ready", async || self.is_ready().await == Some(true)).await;
    }

    /// Wait until it answers, whether it leads or not.
    pub(crate) async fn wait_up(&self) {
        self.wait("up", async || self.is_ready().await.is_some()).await;
    }

    /// Wait until it leads, whether it is ready or not.
    pub(crate) async fn wait_leads(&self) {
        self.wait_up().await;
        self.wait("the leader", async || self.metric("operator_leader").await == 1).await;
    }

    async fn wait(&self, what: &str, so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so().await {
            assert!(Instant::now() < deadline, "it is not {what}\n{}", self.log_tail());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether it says that it is ready; none before it says anything.
    async fn is_ready(&self) -> Option<bool> {
        let http = millrace_harness::http::Http::new().unwrap();
        let answer = http.get(&format!("{}/health/ready", self.health)).await;
        answer.ok().map(|(status, _)| status.is_success())
    }

    /// One of its metrics, summed over its labels, rounded. It has to be there.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        self.sum(name).await.unwrap_or_else(|| panic!("no metric {name}"))
    }

    /// The same of one of [`LABELLED`]: 0 where no line has the name.
    pub(crate) async fn counted(&self, name: &str) -> i64 {
        let family = name.split('{').next().unwrap();
        assert!(LABELLED.contains(&family), "{family} is always there, or never");
        self.sum(name).await.unwrap_or_default()
    }

    async fn sum(&self, name: &str) -> Option<i64> {
        let http = millrace_harness::http::Http::new().unwrap();
        let text = http.text(&format!("{}/metrics", self.health)).await.unwrap();
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix("millrace_").and_then(|line| line.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values: Vec<_> = lines.map(value).collect();
        #[expect(clippy::cast_possible_truncation, reason = "small counts")]
        let sum = values.iter().sum::<f64>().round() as i64;
        (!values.is_empty()).then_some(sum)
    }

    /// What it says of one of its checks.
    pub(crate) async fn check(&self, name: &str) -> Value {
        let http = millrace_harness::http::Http::new().unwrap();
        let (_, body) = http.get(&format!("{}/health/ready", self.health)).await.unwrap();
        let report: Value = serde_json::from_slice(&body).unwrap();
        report["checks"][name].clone()
    }

    /// Its resident memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        millrace_harness::process::resident(self.process.pid()).unwrap()
    }

    /// End it as Kubernetes does.
    pub(crate) async fn stop(mut self) {
        let status = self.process.stop(Duration::from_secs(40)).await;
        let is_success = status.is_some_and(|status| status.success());
        assert!(is_success, "{status:?}\n{}", self.log_tail());
    }

    fn log_tail(&self) -> String {
        millrace_harness::process::tail(&self.log, 20)
    }

    /// End it as a crash does.
    pub(crate) fn kill(mut self) {
        self.process.kill_now();
    }

    /// Wait until it has ended by itself: its clients of other servers may take
    /// a moment.
    pub(crate) async fn wait_ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}
