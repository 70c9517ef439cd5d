//! A Redis and a Postgres of one test's own, to be stopped and started again.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// One server, kept over its stops. Dropped, it is ended and its data deleted.
pub(crate) struct Server {
    kind: &'static str,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// A Redis that keeps its data.
    pub(crate) fn redis() -> Self {
        Self::first("redis")
    }

    /// A Postgres.
    pub(crate) fn postgres() -> Self {
        Self::first("postgres")
    }

    fn first(kind: &'static str) -> Self {
        for _ in 0..5 {
            // Below the range of outgoing connections' ports; somebody may be faster.
            let port = rand::random_range(15_000..32_000);
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            let server = Self { kind, folder: tempfile::tempdir().unwrap(), port };
            if server.script(&["start", &server.dir(), &port.to_string(), "durable"]) {
                return server;
            }
        }
        panic!("no {kind} starts");
    }

    pub(crate) fn url(&self) -> String {
        match self.kind {
            "redis" => format!("redis://127.0.0.1:{}", self.port),
            _ => format!("postgres://postgres@127.0.0.1:{}/postgres", self.port),
        }
    }

    pub(crate) fn stop(&self) {
        assert!(self.script(&["stop", &self.dir()]), "{} does not stop", self.kind);
    }

    /// Again, where it was, with what it had.
    pub(crate) fn start(&self) {
        let port = self.port.to_string();
        assert!(self.script(&["start", &self.dir(), &port, "durable"]), "{} is gone", self.kind);
    }

    fn dir(&self) -> String {
        self.folder.path().join("server").to_str().unwrap().to_owned()
    }

    fn script(&self, arguments: &[&str]) -> bool {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services");
        let script = root.join(format!("{}.sh", self.kind));
        let null = std::process::Stdio::null;
        Command::new(script).args(arguments).stdout(null()).status().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.script(&["stop", &self.dir(), "fast"]);
        if self.kind == "postgres" {
            self.script(&["drop", &self.dir()]);
        }
    }
}
