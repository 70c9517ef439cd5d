//! Who has Kubernetes' own roles view and edit may read and write LiveStreams, and nobody but the
//! operator their status.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use millrace_harness::cluster::{Account, Cluster, rbac};
use serde::Deserialize;
use serde_json::json;

use super::support::{cluster, stream, streams};

/// With the chart's roles, and until Kubernetes has added them to its own.
async fn account(cluster: &Cluster, namespace: &str, role: &str) -> Account {
    let text = include_str!("../../../charts/millrace/files/rbac/people.yaml");
    let api: Api<ClusterRole> = Api::all(cluster.client());
    for document in serde_yaml::Deserializer::from_str(text) {
        let role = ClusterRole::deserialize(document).unwrap();
        for rule in role.rules.iter().flatten() {
            assert_eq!(rbac::excesses(rule), Vec::<String>::new());
        }
        let params = PatchParams::apply("millrace-tests").force();
        api.patch(&role.name_any(), &params, &Patch::Apply(&role)).await.unwrap();
    }
    let wait = async {
        loop {
            let rules = api.get(role).await.unwrap().rules.unwrap_or_default();
            let ours = |rule: &k8s_openapi::api::rbac::v1::PolicyRule| {
                rule.api_groups.iter().flatten().any(|group| group == "millrace.dev")
            };
            let wanted = if role == "view" { 1 } else { 2 };
            if rules.iter().filter(|rule| ours(rule)).count() >= wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the roles are not added");
    let account = cluster.account(namespace, role).await.unwrap();
    account.bind_cluster_role(role).await.unwrap();
    account
}

fn forbidden<T: std::fmt::Debug>(result: Result<T, kube::Error>) {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn view_may_read_streams_and_no_more() {
    let Some(cluster) = cluster().await else { return };
    let namespace = cluster.namespace("view").await.unwrap();
    let spec = json!({ "broadcaster": "acme" });
    let admin = streams(cluster.client(), namespace.name());
    admin.create(&PostParams::default(), &stream("keynote", &spec)).await.unwrap();
    let viewer = account(&cluster, namespace.name(), "view").await;

    let api = streams(viewer.client(), namespace.name());
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
    api.get_status("keynote").await.unwrap();
    forbidden(api.create(&PostParams::default(), &stream("other", &spec)).await);
    forbidden(api.delete("keynote", &DeleteParams::default()).await);
}

#[tokio::test]
async fn edit_may_write_streams_but_not_their_status() {
    let Some(cluster) = cluster().await else { return };
    let namespace = cluster.namespace("edit").await.unwrap();
    let editor = account(&cluster, namespace.name(), "edit").await;

    let api = streams(editor.client(), namespace.name());
    let spec = json!({ "broadcaster": "acme" });
    api.create(&PostParams::default(), &stream("keynote", &spec)).await.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    let (params, suspend) = (PatchParams::default(), json!({ "spec": { "suspend": true } }));
    api.patch("keynote", &params, &Patch::Merge(&suspend)).await.unwrap();
    let live = json!({ "status": { "phase": "Live" } });
    forbidden(api.patch_status("keynote", &params, &Patch::Merge(&live)).await);
    api.delete("keynote", &DeleteParams::default()).await.unwrap();
}
