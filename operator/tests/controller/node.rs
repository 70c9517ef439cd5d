//! A node without a kubelet: it says that it is ready, and pods are put on it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node as Object, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::support::World;

/// A kubelet says that often that its node is ready; after 50 s of silence its
/// pods would be deleted.
const BEAT: Duration = Duration::from_secs(5);

/// One that is ready for as long as this lives.
pub(crate) struct Node {
    name: String,
    api: Api<Object>,
    beats: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn new(world: &World) -> Self {
        let name = format!("node-{:08x}", rand::random::<u32>());
        let api: Api<Object> = Api::all(world.client());
        let object = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        beat(&api, &name).await.unwrap();
        let (nodes, node) = (api.clone(), name.clone());
        let beats = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                // The API server may be busy: the next one will do.
                let _ = beat(&nodes, &node).await;
            }
        });
        Self { name, api, beats }
    }

    pub(crate) async fn cordon(&self) {
        self.spec(json!({ "unschedulable": true })).await;
    }

    /// All that says that it is being emptied goes.
    pub(crate) async fn uncordon(&self) {
        self.spec(json!({ "unschedulable": null, "taints": null })).await;
    }

    /// Change its spec, by a merge patch.
    pub(crate) async fn spec(&self, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api.patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Put the stream's ingest pod on it, as a scheduler would, and say that
    /// it is ready.
    pub(crate) async fn takes_ingest(&self, world: &World) {
        let pod = ingest_pod(world).await;
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.name },
        });
        let bound: Value = pods(world)
            .create_subresource("binding", &pod, &PostParams::default(), &binding)
            .await
            .unwrap();
        assert_eq!(bound["status"], "Success", "{bound}");
        world.pods_ready("keynote").await;
    }

    pub(crate) async fn delete(self) {
        self.api.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

async fn beat(api: &Api<Object>, name: &str) -> Result<(), kube::Error> {
    let now = Timestamp::now();
    let ready = json!({ "status": { "conditions": [{
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }]}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&ready)).await.map(drop)
}

fn pods(world: &World) -> Api<Pod> {
    Api::namespaced(world.client(), world.workers.name())
}

/// The one that is not being deleted, of the only stream there is.
pub(crate) async fn ingest_pod(world: &World) -> String {
    let ingest = ListParams::default().labels("app.kubernetes.io/component=ingest");
    let all = pods(world).list(&ingest).await.unwrap().items;
    let mut all = all.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    all.next().unwrap().name_any()
}

/// Ask for a pod's eviction once, as `kubectl drain` does; the HTTP status of
/// the answer. The usual client would ask again for minutes after a 429.
pub(crate) async fn evict(world: &World, pod: &str) -> u16 {
    let kubeconfig = Kubeconfig::read_from(world.cluster.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    let pods: Api<Pod> = Api::namespaced(client, world.workers.name());
    match pods.evict(pod, &EvictParams::default()).await {
        Ok(_) => 201,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn budget(client: Client, namespace: &str) -> PodDisruptionBudget {
    let api: Api<PodDisruptionBudget> = Api::namespaced(client, namespace);
    api.list(&ListParams::default()).await.unwrap().items.remove(0)
}

/// Wait until the disruption controller allows as many evictions, by the
/// budget as it is now.
pub(crate) async fn allows(world: &World, evictions: i32) {
    world
        .eventually(&format!("{evictions} evictions allowed"), || async {
            let budget = budget(world.client(), world.workers.name()).await;
            let status = budget.status.unwrap_or_default();
            status.observed_generation == budget.metadata.generation
                && status.current_healthy == 1
                && status.disruptions_allowed == evictions
        })
        .await;
}
