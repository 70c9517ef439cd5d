//! LiveStreams as bare JSON, and the cluster of all tests.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use millrace_harness::cluster::Cluster;
use millrace_operator::api::LiveStream;
use serde_json::{Value, json};

/// The cluster of all tests with the CRD in it; `None` where it was left out.
pub(crate) async fn cluster() -> Option<Cluster> {
    let cluster = Cluster::shared().await.unwrap()?;
    cluster.install_crd().await.unwrap();
    Some(cluster)
}

/// LiveStreams as bare JSON: what the types leave out or cannot say is seen too.
pub(crate) fn streams(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &ApiResource::erase::<LiveStream>(&()))
}

pub(crate) fn stream(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "metadata": { "name": name },
        "spec": spec,
    }))
    .unwrap()
}

/// What the API server would store, or why it would not.
pub(crate) async fn ask(
    api: &Api<DynamicObject>,
    name: &str,
    spec: &Value,
) -> Result<Value, String> {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&dry, &stream(name, spec)).await {
        Ok(stored) => Ok(stored.data["spec"].clone()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("{error}"),
    }
}
