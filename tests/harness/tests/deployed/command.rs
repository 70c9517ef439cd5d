//! The commands a user types.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// No command here takes longer, whatever it waits for.
const LONGEST: Duration = Duration::from_mins(15);

/// What `kubectl` says.
pub(crate) async fn kubectl(arguments: &[&str]) -> Result<String> {
    output("kubectl", arguments, b"").await
}

/// The same, with something on its standard input.
pub(crate) async fn kubectl_with(arguments: &[&str], input: &[u8]) -> Result<String> {
    output("kubectl", arguments, input).await
}

/// What `helm` says.
pub(crate) async fn helm(arguments: &[&str]) -> Result<String> {
    output("helm", arguments, b"").await
}

async fn output(program: &str, arguments: &[&str], input: &[u8]) -> Result<String> {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(what)?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let (written, output) = timeout(LONGEST, async {
        tokio::join!(
            async move {
                let written = stdin.write_all(input).await;
                drop(stdin);
                written
            },
            child.wait_with_output()
        )
    })
    .await
    .with_context(what)?;
    let output = output.with_context(what)?;
    if !output.status.success() {
        bail!("{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    written.with_context(what)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
