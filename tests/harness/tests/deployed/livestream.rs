//! The LiveStream of examples/keynote.yaml, through kubectl.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_harness::http::eventually;
use millrace_harness::repo;
use serde_json::Value;

use crate::command::kubectl;
use crate::release::STREAMS;

/// Its name.
pub(crate) const NAME: &str = "keynote";
/// `<namespace>.<name>`.
pub(crate) const ID: &str = "events.keynote";

/// Applies the example as it is.
pub(crate) async fn apply() -> Result<()> {
    let file = repo::root().join("examples/keynote.yaml").display().to_string();
    kubectl(&["apply", "-f", &file]).await?;
    Ok(())
}

/// Merges into its spec.
pub(crate) async fn patch(spec: &str) -> Result<()> {
    let patch = format!(r#"{{"spec":{spec}}}"#);
    kubectl(&["-n", STREAMS, "patch", "ls", NAME, "--type", "merge", "-p", &patch]).await?;
    Ok(())
}

/// Waits until it is Ready, and its status is about its spec.
pub(crate) async fn ready() -> Result<()> {
    eventually("Ready", Duration::from_mins(3), async || {
        let stream = get().await?;
        let observed = &stream["status"]["observedGeneration"];
        ensure!(*observed == stream["metadata"]["generation"], "{}", stream["status"]);
        let conditions = stream["status"]["conditions"].as_array().context("no conditions")?;
        let ready = conditions.iter().find(|c| c["type"] == "Ready").context("no Ready")?;
        ensure!(ready["status"] == "True", "{}", stream["status"]);
        Ok(())
    })
    .await
}

/// One of its addresses, when there is one that begins so.
pub(crate) async fn endpoint(name: &str, start: &str) -> Result<String> {
    eventually(&format!("{name} at {start}"), Duration::from_mins(1), async || {
        let stream = get().await?;
        let address = stream["status"]["endpoints"][name].as_str().context("no address")?;
        ensure!(address.starts_with(start), "it is {address}");
        Ok(address.to_owned())
    })
    .await
}

/// The key that a broadcaster publishes with.
pub(crate) async fn key() -> Result<String> {
    let secret = format!("{NAME}-publish-keys");
    let template = "go-template={{.data.main | base64decode}}";
    kubectl(&["-n", STREAMS, "get", "secret", &secret, "-o", template]).await
}

/// The line that `kubectl get ls` has for it, in words, once it is Live and has viewers.
pub(crate) async fn live_with_viewers() -> Result<Vec<String>> {
    eventually("Live with viewers", Duration::from_mins(2), async || {
        let line = kubectl(&["-n", STREAMS, "get", "ls", NAME, "--no-headers"]).await?;
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let viewers = words.get(2).and_then(|word| word.parse::<u64>().ok());
        ensure!(words.get(1).is_some_and(|phase| phase == "Live"), "{line}");
        ensure!(viewers.is_some_and(|viewers| viewers > 0), "{line}");
        Ok(words)
    })
    .await
}

/// Waits until nobody publishes to it any more.
pub(crate) async fn not_live() -> Result<()> {
    eventually("the end of the broadcast", Duration::from_mins(2), async || {
        let stream = get().await?;
        ensure!(stream["status"]["phase"] != "Live", "{}", stream["status"]);
        Ok(())
    })
    .await
}

async fn get() -> Result<Value> {
    let json = kubectl(&["-n", STREAMS, "get", "ls", NAME, "-o", "json"]).await?;
    Ok(serde_json::from_str(&json)?)
}
