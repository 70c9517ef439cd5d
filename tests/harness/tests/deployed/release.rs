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

/// Sees to it that the release stands, with the images of this run, and the namespace of streams is
/// there. The tests of this program share one that way: whoever comes first installs it.
pub(crate) async fn stands(place: &Place) -> Result<()> {
    let of_release = ["--namespace", NAMESPACE, "-o", "json"];
    let status = helm(&[&["status", NAME], &of_release[..]].concat()).await.unwrap_or_default();
    let values = helm(&[&["get", "values", NAME], &of_release[..]].concat()).await;
    let tag = format!(r#""tag":"{}""#, place.tag);
    if status.contains(r#""status":"deployed""#) && values.is_ok_and(|v| v.contains(&tag)) {
        return Ok(());
    }
    begin(place).await
}

/// Installs it from nothing.
pub(crate) async fn begin(place: &Place) -> Result<()> {
    clear().await?;
    for namespace in [NAMESPACE, STREAMS] {
        restricted_namespace(namespace).await?;
    }
    install(place).await
}

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
    let chart = chart();
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
    waiting(&arguments).await
}

/// Runs helm, which waits for what it makes; where it waits in vain, what is there tells why.
pub(crate) async fn waiting(arguments: &[&str]) -> Result<()> {
    let Err(error) = helm(arguments).await else { return Ok(()) };
    let pods = kubectl(&["get", "pods", "-A", "-o", "wide"]).await?;
    let events = kubectl(&["get", "events", "-A", "--sort-by=.lastTimestamp"]).await?;
    let last: Vec<&str> = events.lines().rev().take(40).collect();
    Err(error.context(format!("{pods}\n{}", last.join("\n"))))
}

/// Waits until all its Deployments are available.
pub(crate) async fn is_available() -> Result<()> {
    let all = ["wait", "--for=condition=Available", "deployments", "--all", "--timeout=2m"];
    kubectl(&[&["-n", NAMESPACE], &all[..]].concat()).await?;
    Ok(())
}

/// Upgrades it to the same chart with some other values.
pub(crate) async fn upgrade(values: &[&str]) -> Result<()> {
    let chart = chart();
    let mut arguments = vec!["upgrade", NAME, &chart, "--namespace", NAMESPACE];
    arguments.extend(["--reset-then-reuse-values", "--wait", "--atomic", "--timeout", "5m"]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    waiting(&arguments).await
}

/// Goes back to what was before the last upgrade.
pub(crate) async fn rollback() -> Result<()> {
    helm(&["rollback", NAME, "--namespace", NAMESPACE, "--wait", "--timeout", "5m"]).await?;
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

/// Of this clone.
pub(crate) fn chart() -> String {
    repo::root().join("charts/millrace").display().to_string()
}
