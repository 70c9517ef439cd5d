//! nginx in front of a replica, with the very configuration that docs/cdn.md
//! shows.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use millrace_harness::process::Child;
use millrace_harness::{ports, repo};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::until;

/// A running nginx.
pub(crate) struct Nginx {
    pub address: SocketAddr,
    folder: TempDir,
    _child: Child,
}

/// A request that it answered.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What was asked for, with the query.
    pub uri: String,
    /// `MISS`, `HIT`, `EXPIRED`, `REVALIDATED`, `BYPASS`, …
    pub cache: String,
    /// What we answered, if it asked us.
    pub upstream: Option<u16>,
}

impl Nginx {
    /// In front of the replica at this address, showing it this secret.
    pub(crate) async fn before(replica: SocketAddr, secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(folder.path(), replica, address, secret)).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        let errors = folder.path().join("errors");
        command.arg("-p").arg(folder.path()).arg("-e").arg(&errors).arg("-c").arg(file);
        let log = folder.path().join("output");
        let mut child = Child::spawn("nginx", &mut command, &log)
            .expect("nginx does not start: `make install` installs it");
        until(async || {
            child.check().unwrap();
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Self { address, folder, _child: child }
    }

    /// All it answered, once that are so many.
    pub(crate) async fn seen(&self, requests: usize) -> Vec<Seen> {
        let read = || std::fs::read_to_string(self.folder.path().join("requests")).unwrap();
        until(async || read().lines().count() >= requests).await;
        read().lines().map(Seen::read).collect()
    }
}

impl Seen {
    fn read(line: &str) -> Self {
        let [upstream, cache, uri] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        Self { uri: uri.to_owned(), cache: cache.to_owned(), upstream: upstream.parse().ok() }
    }
}

fn configuration(folder: &Path, replica: SocketAddr, own: SocketAddr, secret: &str) -> String {
    let mut shown = std::fs::read_to_string(repo::root().join("docs/cdn/nginx.conf")).unwrap();
    let place = folder.display().to_string();
    for (there, here) in [
        ("/var/cache/nginx", place.clone()),
        ("delivery.example:80", replica.to_string()),
        ("listen 8000", format!("listen {own}")),
        ("the value of ORIGIN_SECRET", secret.to_owned()),
    ] {
        assert!(shown.contains(there), "{there}");
        shown = shown.replace(there, &here);
    }
    // Its workers would be nobody, who may not write here.
    let root = std::fs::metadata(folder).unwrap().uid() == 0;
    let user = if root { "user root;" } else { "" };
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};\n"))
        .concat();
    format!(
        "daemon off; worker_processes 1; pid {place}/pid; {user}
        events {{ worker_connections 512; }}
        http {{
            log_format seen '$upstream_status $upstream_cache_status $request_uri';
            access_log {place}/requests seen;
            {folders}
            {shown}
        }}"
    )
}
