//! nginx with Debian's libnginx-mod-rtmp: one application that only relays.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use millrace_harness::place::Place;
use millrace_harness::ports;
use tokio::process::Command;

use super::{Launch, Peer};

const PROGRAM: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// Its version, or why it can't be measured.
pub(crate) async fn version() -> Result<String, String> {
    if !Path::new(PROGRAM).exists() || !Path::new(MODULE).exists() {
        return Err("nginx with libnginx-mod-rtmp is not installed".to_owned());
    }
    let said = Command::new(PROGRAM).arg("-v").output().await.map_err(|error| error.to_string())?;
    // nginx version: nginx/1.22.1
    let line = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    Ok(line.rsplit('/').next().unwrap_or(&line).to_owned())
}

/// Starts it. Nothing of an installed nginx's configuration, logs or pid file is touched.
pub(crate) async fn start(place: &Place) -> Result<Peer> {
    Peer::start("nginx", place, |folder| {
        let port = ports::free()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(folder, port))
            .with_context(|| format!("writing {}", file.display()))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
        Ok(Launch { command, rtmp_port: port, hls_port: None })
    })
    .await
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "load_module {MODULE};
worker_processes 1;
daemon off;
pid \"{folder}/own.pid\";
error_log \"{folder}/error.log\" warn;
events {{ worker_connections 64; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        application live {{ live on; }}
    }}
}}
"
    )
}
