//! nginx with files in memory (tmpfs): the peer that only sends bytes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::http::{Http, eventually};
use millrace_harness::ports;
use millrace_harness::process::{Child, ProcessId, descendants};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Command;

use super::Site;

const PROGRAM: &str = "/usr/sbin/nginx";
const MEMORY: &str = "/dev/shm";

/// A running nginx; dropping it ends it and forgets the files.
pub(crate) struct Files {
    child: Child,
    root: TempDir,
    pub(crate) port: u16,
}

impl Files {
    /// Starts it; none where it is not installed.
    pub(crate) async fn start(site: &Site) -> Result<Option<Self>> {
        if !Path::new(PROGRAM).exists() {
            return Ok(None);
        }
        let root = tempfile::tempdir_in(MEMORY).context("a folder in memory")?;
        // Root's nginx reads them as somebody else.
        tokio::process::Command::new("chmod").arg("755").arg(root.path()).status().await?;
        let folder = site.folder.join("nginx");
        fs::create_dir_all(&folder)?;
        let port = ports::free()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(&folder, root.path(), port))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
        let child = Child::spawn("nginx", &mut command, &folder.join("log"))?;
        fs::write(root.path().join("up"), "up")?;
        let (http, up) = (Http::new()?, format!("http://127.0.0.1:{port}/up"));
        eventually("nginx", Duration::from_secs(10), async || http.text(&up).await).await?;
        Ok(Some(Self { child, root, port }))
    }

    /// Puts a file there.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().context("a file in no folder")?)?;
        fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))
    }

    /// Its master and worker.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let own = self.child.pid();
        let others = descendants(own).into_iter().map(ProcessId::pid);
        [own].into_iter().chain(others).collect()
    }

    pub(crate) async fn stop(mut self) {
        self.child.stop(Duration::from_secs(5)).await;
    }
}

/// As one serves media with it: sendfile, no log of each request, open files remembered, gzip not
/// asked for. As many workers as delivery has threads.
fn configuration(folder: &Path, root: &Path, port: u16) -> String {
    let (folder, root) = (folder.display(), root.display());
    format!(
        "worker_processes auto;
daemon off;
pid \"{folder}/own.pid\";
error_log \"{folder}/error.log\" warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    open_file_cache max=1000;
    types {{ video/mp4 m4s; application/vnd.apple.mpegurl m3u8; }}
    server {{
        listen 127.0.0.1:{port};
        root \"{root}\";
        add_header cache-control \"public, max-age=31536000, immutable\";
        add_header access-control-allow-origin *;
    }}
}}
"
    )
}
