//! A broadcaster that is a pod in the LiveStream's namespace.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use millrace_harness::http::eventually;
use serde_json::json;

use crate::command::{kubectl, kubectl_with};
use crate::livestream::KEYNOTE;
use crate::place::Place;
use crate::release::STREAMS;

const POD: &str = "publisher";

/// Starts one that publishes the clip, over and over, to the stream's local name.
pub(crate) async fn start(place: &Place, clip: &Path) -> Result<()> {
    // Its clip comes by exec: it has no network but the cluster's.
    let script = format!(
        "until [ -f /tmp/whole ]; do sleep 0.1; done
         exec ffmpeg -nostdin -v warning -re -stream_loop -1 -i /tmp/clip.flv -c copy -f flv \
         \"rtmp://{}-rtmp/live/$KEY\"",
        KEYNOTE.name
    );
    let key = json!({ "secretKeyRef": { "name": KEYNOTE.key_secret(), "key": "main" } });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": POD, "namespace": STREAMS },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "ffmpeg",
                "image": format!("millrace/transcode:{}", place.tag),
                "command": ["sh", "-c", script],
                "env": [{ "name": "KEY", "valueFrom": key }],
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] } },
            }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        },
    });
    kubectl_with(&["apply", "-f", "-"], pod.to_string().as_bytes()).await?;
    let pod = format!("pod/{POD}");
    kubectl(&["-n", STREAMS, "wait", "--for=condition=Ready", &pod, "--timeout=60s"]).await?;
    let bytes = tokio::fs::read(clip).await?;
    let receive = ["-n", STREAMS, "exec", "-i", POD, "--", "sh", "-c"];
    let receive = [&receive[..], &["cat >/tmp/clip.flv && touch /tmp/whole"]].concat();
    kubectl_with(&receive, &bytes).await?;
    Ok(())
}

/// Fails with what ffmpeg said, when it has ended.
pub(crate) async fn check() -> Result<()> {
    let phase = ["-n", STREAMS, "get", "pod", POD, "-o", "jsonpath={.status.phase}"];
    let phase = kubectl(&phase).await?;
    if phase != "Running" {
        let said = kubectl(&["-n", STREAMS, "logs", POD]).await?;
        anyhow::bail!("the publisher is {phase}: {said}");
    }
    Ok(())
}

/// Ends it in order.
pub(crate) async fn stop() -> Result<()> {
    kubectl(&["-n", STREAMS, "delete", "pod", POD]).await?;
    eventually("the publisher's end", Duration::from_secs(30), async || {
        let left = kubectl(&["-n", STREAMS, "get", "pod", POD, "--ignore-not-found"]).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .await
}
