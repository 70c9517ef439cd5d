//! What is rendered for a stream (the golden files), an API server takes: no field it does not
//! know, and pods that the restricted Pod Security Standard admits.

use std::path::Path;

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::ResourceExt;
use kube::api::{
    Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective,
};
use kube::core::{GroupVersionKind, TypeMeta};
use millrace_harness::cluster::Cluster;
use serde_json::{Value, json};

#[tokio::test]
async fn every_rendered_child_is_taken_and_every_pod_is_restricted() {
    let Some(cluster) = Cluster::start().await.unwrap() else { return };
    cluster.install_http_routes().await.unwrap();
    let namespace = cluster.namespace("children").await.unwrap();
    restrict(&cluster, namespace.name()).await;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (mut children, mut pods) = (0, 0);
    for folder in golden.read_dir().unwrap() {
        for file in folder.unwrap().path().read_dir().unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let child: Value = serde_yaml::from_str(&text).unwrap();
            let shown = path.strip_prefix(&golden).unwrap().display().to_string();
            apply(&cluster, namespace.name(), child.clone()).await.expect(&shown);
            children += 1;
            if child["kind"] == "Deployment" {
                admit(&cluster, namespace.name(), &child).await.expect(&shown);
                pods += 1;
            }
        }
    }
    assert!(children > 20 && pods > 5, "{children} children, {pods} pods");
}

/// The check can fail.
#[tokio::test]
async fn a_pod_that_is_not_restricted_is_refused() {
    let Some(cluster) = Cluster::shared().await.unwrap() else { return };
    let namespace = cluster.namespace("children").await.unwrap();
    restrict(&cluster, namespace.name()).await;
    let deployment = json!({ "spec": { "template": { "spec": {
        "serviceAccountName": "millrace-worker",
        "containers": [{ "name": "a", "image": "b" }],
    } } } });
    let error = admit(&cluster, namespace.name(), &deployment).await.unwrap_err();
    assert!(error.to_string().contains("restricted"), "{error}");
}

/// As the chart makes the workers namespace.
async fn restrict(cluster: &Cluster, namespace: &str) {
    let api: Api<Namespace> = Api::all(cluster.client());
    let label =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    api.patch(namespace, &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
    let account = json!({ "metadata": { "name": "millrace-worker" } });
    let account: ServiceAccount = serde_json::from_value(account).unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
    accounts.create(&PostParams::default(), &account).await.unwrap();
}

async fn apply(cluster: &Cluster, namespace: &str, mut child: Value) -> kube::Result<()> {
    child["metadata"]["namespace"] = json!(namespace);
    let object: DynamicObject = serde_json::from_value(child).unwrap();
    let TypeMeta { api_version, kind } = object.types.clone().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), namespace, &kind);
    let mut params = PatchParams::apply("test").force().dry_run();
    params.field_validation = Some(ValidationDirective::Strict);
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.map(drop)
}

/// A Deployment is stored whatever its pods are: they are refused when they are made.
async fn admit(cluster: &Cluster, namespace: &str, deployment: &Value) -> kube::Result<()> {
    let template = &deployment["spec"]["template"];
    let mut pod = json!({ "metadata": template["metadata"], "spec": template["spec"] });
    pod["metadata"]["name"] = json!("pod");
    if let Some(class) = template["spec"]["priorityClassName"].as_str() {
        let object = json!({ "metadata": { "name": class }, "value": 1 });
        let object: PriorityClass = serde_json::from_value(object).unwrap();
        let api: Api<PriorityClass> = Api::all(cluster.client());
        api.patch(class, &PatchParams::apply("test"), &Patch::Apply(&object)).await?;
    }
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let api: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &pod).await.map(drop)
}
