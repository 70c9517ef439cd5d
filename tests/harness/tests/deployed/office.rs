//! The administrators' API as people of the cluster use it: through a port-forward, with a token
//! of Kubernetes.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_harness::http::eventually;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::livestream::LiveStream;
use crate::release::NAMESPACE;

const ACCOUNT: &str = "auditor";
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads what is told of a live stream with the token of an account that may `view` its namespace,
/// and sees that it may no more.
pub(crate) async fn audit(stream: LiveStream) -> Result<()> {
    let namespace = stream.namespace;
    stream.kubectl(&["create", "serviceaccount", ACCOUNT]).await?;
    let stranger = stream.kubectl(&["create", "token", ACCOUNT]).await?;
    let office = Office::open().await?;
    let (id, list) = (stream.id(), format!("streams?namespace={namespace}"));
    office.refuses(&list, &stranger).await?;

    let account = format!("--serviceaccount={namespace}:{ACCOUNT}");
    stream.kubectl(&["create", "rolebinding", ACCOUNT, "--clusterrole=view", &account]).await?;
    let token = stream.kubectl(&["create", "token", ACCOUNT, "--duration=1h"]).await?;
    // What RBAC said is remembered for some seconds.
    let reading = async || office.get(&list, &token).await;
    let streams = eventually("the right to read", PATIENCE, reading).await?;
    let listed = streams["items"].as_array().context("no list")?;
    let found = listed.iter().find(|item| item["streamId"] == id.as_str());
    ensure!(found.is_some_and(|item| item["state"] == "live"), "{streams}");
    let status = office.get(&format!("streams/{id}"), &token).await?;
    ensure!(status["renditions"].as_array().is_some_and(|all| all.len() > 1), "{status}");
    let broadcast = status["broadcast"].as_str().context("no broadcast")?;
    office.get(&format!("streams/{id}/metrics"), &token).await?;

    office.refuses("streams", &token).await?;
    let end = office.url(&format!("streams/{id}/broadcasts/{broadcast}/end"));
    let refused = office.client.post(end).bearer_auth(token.trim()).send().await?;
    ensure!(refused.status() == StatusCode::FORBIDDEN, "{refused:?}");
    let page = office.client.get(office.address.clone() + "/dashboard").send().await?;
    ensure!(page.status() == StatusCode::OK, "{page:?}");
    Ok(())
}

/// The listener, while this lives.
struct Office {
    address: String,
    client: reqwest::Client,
    _forward: Child,
    /// It says a line for each connection, and ends when it can't.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Office {
    async fn open() -> Result<Self> {
        let mut forward = Command::new("kubectl")
            .args(["-n", NAMESPACE, "port-forward", "service/millrace-delivery-admin", ":8081"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = forward.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(said).lines();
        let first = timeout(PATIENCE, lines.next_line()).await;
        let first = first.context("kubectl port-forward")??.context("it ended")?;
        // "Forwarding from 127.0.0.1:40123 -> 8081"
        let address = first.split(' ').nth(2).with_context(|| first.clone())?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { address: format!("http://{address}"), client, _forward: forward, _lines: lines })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.address)
    }

    async fn get(&self, path: &str, token: &str) -> Result<Value> {
        let answer = self.client.get(self.url(path)).bearer_auth(token.trim()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == StatusCode::OK, "{path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    async fn refuses(&self, path: &str, token: &str) -> Result<()> {
        let answer = self.client.get(self.url(path)).bearer_auth(token.trim()).send().await?;
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{path}: {answer:?}");
        Ok(())
    }
}
