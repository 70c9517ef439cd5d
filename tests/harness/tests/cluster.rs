//! The API server of the tests, as tests lean on it: who may do what, what the audit log says of
//! it, and what survives a restart.

#![expect(clippy::unwrap_used, reason = "tests and what helps them")]

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use millrace_harness::cluster::{Cluster, audit};
use serde_json::{Value, json};
use tokio::time::timeout;

fn rule(resource: &str, verbs: &[&str]) -> PolicyRule {
    let rule = json!({ "apiGroups": [""], "resources": [resource], "verbs": verbs });
    serde_json::from_value(rule).unwrap()
}

fn object(kind: &str, name: &str, owner: Option<&ConfigMap>) -> Value {
    let owners: Vec<Value> = owner
        .map(|owner| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(),
                    "uid": owner.uid().unwrap(), "blockOwnerDeletion": true })
        })
        .into_iter()
        .collect();
    json!({ "apiVersion": "v1", "kind": kind,
            "metadata": { "name": name, "ownerReferences": owners } })
}

#[tokio::test]
async fn an_account_may_do_what_it_was_granted_and_the_audit_log_says_what_it_used() {
    let Some(cluster) = Cluster::shared().await.unwrap() else { return };
    let (one, other) =
        (cluster.namespace("audit").await.unwrap(), cluster.namespace("audit").await.unwrap());
    let account = cluster.account(one.name(), "tester").await.unwrap();
    let rules = vec![rule("configmaps", &["create", "patch", "delete"])];
    account.grant_in(one.name(), rules.clone()).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(account.client(), one.name());

    let before = cluster.moment().await.unwrap();
    let (params, map) = (PatchParams::apply("test"), object("ConfigMap", "a", None));
    maps.patch("a", &params, &Patch::Apply(&map)).await.unwrap();
    let between = cluster.moment().await.unwrap();
    maps.patch("a", &params, &Patch::Apply(&map)).await.unwrap();
    let elsewhere: Api<ConfigMap> = Api::namespaced(account.client(), other.name());
    elsewhere.delete("a", &DeleteParams::default()).await.unwrap_err();

    let all = cluster.requests(&account.user(), before).await.unwrap();
    let seen: Vec<_> = all.iter().map(|event| (&*event.verb, event.response_status.code)).collect();
    assert_eq!(seen, [("patch", 201), ("patch", 200), ("delete", 403)]);
    assert!(all[2].is_forbidden() && all[2].object_ref.namespace == other.name());
    assert!(all.iter().all(audit::Event::is_write));
    let unused: Vec<String> = audit::unused(&rules, &all).iter().map(ToString::to_string).collect();
    assert_eq!(unused, ["delete configmaps"]);
    let later = cluster.requests(&account.user(), between).await.unwrap();
    assert_eq!(later.len(), 2);
    assert!(cluster.requests("nobody", before).await.unwrap().is_empty());
}

/// So that the rule on finalizers is one that can be missed.
#[tokio::test]
async fn to_make_an_owner_wait_needs_the_right_to_its_finalizers() {
    let Some(cluster) = Cluster::shared().await.unwrap() else { return };
    let namespace = cluster.namespace("owner").await.unwrap();
    let owners: Api<ConfigMap> = Api::namespaced(cluster.client(), namespace.name());
    let owner = serde_json::from_value(object("ConfigMap", "owner", None)).unwrap();
    let owner = owners.create(&PostParams::default(), &owner).await.unwrap();
    let account = cluster.account(namespace.name(), "tester").await.unwrap();
    account.grant_in(namespace.name(), vec![rule("secrets", &["create"])]).await.unwrap();

    let api: Api<Secret> = Api::namespaced(account.client(), namespace.name());
    let child = serde_json::from_value(object("Secret", "child", Some(&owner))).unwrap();
    let error = api.create(&PostParams::default(), &child).await.unwrap_err();
    assert!(error.to_string().contains("finalizers"), "{error}");
    let finalizers = vec![rule("configmaps/finalizers", &["update"])];
    account.grant_in(namespace.name(), finalizers).await.unwrap();
    api.create(&PostParams::default(), &child).await.unwrap();
}

#[tokio::test]
async fn an_own_cluster_keeps_its_objects_when_the_api_server_dies_and_ends_when_dropped() {
    let Some(cluster) = Cluster::start().await.unwrap() else { return };
    let namespace = cluster.namespace("kept").await.unwrap();
    let account = cluster.account(namespace.name(), "tester").await.unwrap();
    account.grant_in(namespace.name(), vec![rule("configmaps", &["get"])]).await.unwrap();
    let admin: Api<ConfigMap> = Api::namespaced(cluster.client(), namespace.name());
    let map = serde_json::from_value(object("ConfigMap", "a", None)).unwrap();
    admin.create(&PostParams::default(), &map).await.unwrap();

    cluster.stop_api_server().await.unwrap();
    let away = timeout(Duration::from_secs(2), admin.get("a")).await;
    assert!(!matches!(away, Ok(Ok(_))), "it answers after it was stopped");
    cluster.start_api_server().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(account.client(), namespace.name());
    maps.get("a").await.unwrap();

    let folder = cluster.kubeconfig().parent().unwrap().to_owned();
    drop((namespace, cluster));
    assert!(!folder.exists());
    timeout(Duration::from_secs(2), maps.get("a")).await.map(Result::unwrap_err).ok();
}

#[tokio::test]
async fn the_shared_cluster_cannot_be_stopped() {
    let Some(cluster) = Cluster::shared().await.unwrap() else { return };
    cluster.stop_api_server().await.unwrap_err();
    cluster.client().apiserver_version().await.unwrap();
}
