//! The Helm release.

use anyhow::Result;
use millrace_harness::repo;

use crate::command::{helm, kubectl};
use crate::place::{Place, SHARED_HOST};

/// Of the release, and of its workers.
pub(crate) const NAMESPACE: &str = "millrace";
/// Of the example.
pub(crate) const STREAMS: &str = "events";
const NAME: &str = "millrace";

/// Takes away what an earlier run left.
pub(crate) async fn clear() -> Result<()> {
    // Both fail where there is nothing.
    let _ = helm(&["uninstall", NAME, "--namespace", NAMESPACE, "--wait"]).await;
    let crd = "livestreams.millrace.dev";
    for namespace in [STREAMS, NAMESPACE] {
        kubectl(&["delete", "namespace", namespace, "--ignore-not-found"]).await?;
    }
    kubectl(&["delete", "crd", crd, "--ignore-not-found"]).await?;
    Ok(())
}

/// A namespace that takes only what Pod Security calls restricted.
pub(crate) async fn restricted_namespace(name: &str) -> Result<()> {
    kubectl(&["create", "namespace", name]).await?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    kubectl(&["label", "namespace", name, label]).await?;
    Ok(())
}

/// Installs the chart with all servers, and waits for everything.
pub(crate) async fn install(place: &Place) -> Result<()> {
    let chart = repo::root().join("charts/millrace").display().to_string();
    let values = [
        "quickstart.enabled=true".to_owned(),
        format!("image.tag={}", place.tag),
        "ingress.enabled=true".to_owned(),
        format!("ingress.hosts={{{SHARED_HOST}}}"),
        format!("publicUrl=http://{SHARED_HOST}"),
        format!("delivery.trustedProxies={{{}}}", place.proxies),
        format!("playback.rules[0].namespaces={{{STREAMS}}}"),
        "playback.rules[0].hostSuffixes={example.test}".to_owned(),
        format!("publishing.externalHost={}", place.node),
    ];
    let mut arguments = vec!["install", NAME, &chart, "--namespace", NAMESPACE];
    arguments.extend(["--wait", "--atomic", "--timeout", "10m"]);
    for value in &values {
        arguments.extend(["--set", value]);
    }
    helm(&arguments).await?;
    Ok(())
}

/// Runs the chart's own tests.
pub(crate) async fn test() -> Result<String> {
    helm(&["test", NAME, "--namespace", NAMESPACE, "--timeout", "5m"]).await
}

/// Takes the release away.
pub(crate) async fn uninstall() -> Result<()> {
    helm(&["uninstall", NAME, "--namespace", NAMESPACE, "--wait"]).await?;
    Ok(())
}
