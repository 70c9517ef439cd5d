//! A LiveStream, through kubectl.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_harness::http::eventually;
use millrace_harness::repo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::command::{kubectl, kubectl_with};
use crate::place::Place;
use crate::release::STREAMS;

/// That of examples/keynote.yaml.
pub(crate) const KEYNOTE: LiveStream = LiveStream { namespace: STREAMS, name: "keynote" };

/// Where one is, or is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveStream {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
}

impl LiveStream {
    /// `<namespace>.<name>`.
    pub(crate) fn id(self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// The Secret with its publish keys.
    pub(crate) fn key_secret(self) -> String {
        format!("{}-publish-keys", self.name)
    }

    /// Merges into its spec.
    pub(crate) async fn patch(self, spec: &str) -> Result<()> {
        let patch = format!(r#"{{"spec":{spec}}}"#);
        self.kubectl(&["patch", "ls", self.name, "--type", "merge", "-p", &patch]).await?;
        Ok(())
    }

    /// Waits until it is Ready, and its status is about its spec.
    pub(crate) async fn ready(self) -> Result<()> {
        self.has("Ready", "True", Duration::from_mins(3)).await
    }

    /// Waits until a condition has this value, and its status is about its spec.
    pub(crate) async fn has(self, condition: &str, value: &str, limit: Duration) -> Result<()> {
        eventually(&format!("{condition} {value}"), limit, async || {
            let stream = self.get().await?;
            let observed = &stream["status"]["observedGeneration"];
            ensure!(*observed == stream["metadata"]["generation"], "{}", stream["status"]);
            let conditions = stream["status"]["conditions"].as_array().context("no conditions")?;
            let found = conditions.iter().find(|c| c["type"] == condition);
            ensure!(found.is_some_and(|c| c["status"] == value), "{}", stream["status"]);
            Ok(())
        })
        .await
    }

    /// One of its addresses, when there is one that begins so.
    pub(crate) async fn endpoint(self, name: &str, start: &str) -> Result<String> {
        eventually(&format!("{name} at {start}"), Duration::from_mins(1), async || {
            let stream = self.get().await?;
            let address = stream["status"]["endpoints"][name].as_str().context("no address")?;
            ensure!(address.starts_with(start), "it is {address}");
            Ok(address.to_owned())
        })
        .await
    }

    /// Where a broadcaster outside reaches it, once a node's port leads there: the network may learn
    /// of a Service after everybody else.
    pub(crate) async fn rtmp(self, place: &Place) -> Result<String> {
        let start = format!("rtmp://{}:", place.node);
        let rtmp = self.endpoint("rtmp", &start).await?;
        let port = rtmp.strip_prefix(&start).and_then(|rest| rest.split('/').next());
        let address = format!("{}:{}", place.node, port.context("no port")?);
        eventually(&format!("a way to {address}"), Duration::from_mins(1), async || {
            Ok(TcpStream::connect(&address).await.map(drop)?)
        })
        .await?;
        Ok(rtmp)
    }

    /// The key that a broadcaster publishes with.
    pub(crate) async fn key(self) -> Result<String> {
        let template = "go-template={{.data.main | base64decode}}";
        self.kubectl(&["get", "secret", &self.key_secret(), "-o", template]).await
    }

    /// The line that `kubectl get ls` has for it, in words, once it is Live and has viewers.
    pub(crate) async fn live_with_viewers(self) -> Result<Vec<String>> {
        eventually("Live with viewers", Duration::from_mins(2), async || {
            let line = self.kubectl(&["get", "ls", self.name, "--no-headers"]).await?;
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let viewers = words.get(2).and_then(|word| word.parse::<u64>().ok());
            ensure!(words.get(1).is_some_and(|phase| phase == "Live"), "{line}");
            ensure!(viewers.is_some_and(|viewers| viewers > 0), "{line}");
            Ok(words)
        })
        .await
    }

    /// Waits until nobody publishes to it any more.
    pub(crate) async fn not_live(self) -> Result<()> {
        eventually("the end of the broadcast", Duration::from_mins(2), async || {
            let stream = self.get().await?;
            ensure!(stream["status"]["phase"] != "Live", "{}", stream["status"]);
            Ok(())
        })
        .await
    }

    /// It, as the API server has it.
    pub(crate) async fn get(self) -> Result<Value> {
        let json = self.kubectl(&["get", "ls", self.name, "-o", "json"]).await?;
        Ok(serde_json::from_str(&json)?)
    }

    /// kubectl in its namespace.
    pub(crate) async fn kubectl(self, arguments: &[&str]) -> Result<String> {
        kubectl(&[&["-n", self.namespace], arguments].concat()).await
    }
}

/// Applies the example as it is.
pub(crate) async fn apply_example() -> Result<()> {
    let file = repo::root().join("examples/keynote.yaml").display().to_string();
    kubectl(&["apply", "-f", &file]).await?;
    Ok(())
}

/// Applies a manifest.
pub(crate) async fn apply(manifest: &str) -> Result<()> {
    kubectl_with(&["apply", "-f", "-"], manifest.as_bytes()).await?;
    Ok(())
}
