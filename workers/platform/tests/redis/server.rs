//! A Redis server of one test: on a free port, ended with it.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_platform::config::{Env, Installation, RedisConfig};
use tempfile::TempDir;

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
    scheme: &'static str,
    password: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Without a password.
    pub(crate) fn start() -> Self {
        Self::with("redis", None)
    }

    /// That asks for this password.
    pub(crate) fn with_password(password: &str) -> Self {
        Self::with("redis", Some(password))
    }

    /// That speaks TLS alone, with a certificate of its own; none where this
    /// redis-server is built without TLS.
    pub(crate) fn with_tls() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let supported = Command::new("redis-server")
            .args(["--tls-port", "0", "--port", "0", "--tls-cert-file"])
            .arg(folder.path().join("server.pem"))
            .args(["--bind", "127.0.0.1", "--save", "", "--no-such-option"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&supported.stdout).into_owned()
            + &String::from_utf8_lossy(&supported.stderr);
        // Options are read in order: without TLS it stumbles over the first.
        said.contains("no-such-option").then(|| Self::with("rediss", Some("s3cret")))
    }

    fn with(scheme: &'static str, password: Option<&str>) -> Self {
        // Somebody may take the port between our look and the server's start.
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.arg("--dir").arg(folder.path());
            if let Some(password) = password {
                command.args(["--requirepass", password]);
            }
            if scheme == "rediss" {
                certify(folder.path());
                let file = |name: &str| folder.path().join(name);
                command.args(["--port", "0", "--tls-port", &port.to_string()]);
                command.arg("--tls-cert-file").arg(file("server.pem"));
                command.arg("--tls-key-file").arg(file("server.key"));
                command.arg("--tls-ca-cert-file").arg(file("ca.pem"));
                command.args(["--tls-auth-clients", "no"]);
            } else {
                command.args(["--port", &port.to_string()]);
            }
            let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let child = child.expect("redis-server is not installed: run `make install`");
            let password = password.map(str::to_owned);
            let mut server = Self { child, port, folder, scheme, password };
            if server.opens() {
                return server;
            }
        }
        panic!("redis-server did not start");
    }

    fn opens(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                let mut said = String::new();
                let _ = self.child.stdout.take().unwrap().read_to_string(&mut said);
                assert!(said.contains("in use"), "redis-server ended: {said}");
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server did not open its port");
    }

    /// Its URL, without a database.
    pub(crate) fn url(&self) -> String {
        let user = self.password.as_ref().map_or(String::new(), |word| format!(":{word}@"));
        format!("{}://{user}127.0.0.1:{}", self.scheme, self.port)
    }

    /// The certificate that vouches for it.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Connections that it has taken so far, with the one that this takes.
    pub(crate) async fn connections(&self) -> u64 {
        let mut client = self.client(0).await;
        let mut info = redis::cmd("INFO");
        let info: String = info.arg("stats").query_async(&mut client).await.unwrap();
        let taken = info.lines().find_map(|l| l.strip_prefix("total_connections_received:"));
        taken.unwrap().trim().parse().unwrap()
    }

    /// A client of its own, beside the modules.
    pub(crate) async fn client(&self, database: u8) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("{}/{database}", self.url())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

/// A CA and a certificate of 127.0.0.1 by it: `ca.pem`, `server.pem`, `server.key`.
fn certify(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(folder).output();
        let output = output.expect("openssl is not installed: run `make install`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = ["-x509", "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&new[..], &ca[..]].concat());
    let request = ["-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&new[..], &request[..]].concat());
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ]);
}

/// All four databases on one server.
pub(crate) fn config(server: &Server) -> RedisConfig {
    RedisConfig::read(&Env::from_pairs([("REDIS_URL", server.url())])).unwrap()
}

/// An installation.
pub(crate) fn installation() -> Installation {
    Installation::read(&Env::from_pairs([("MILLRACE_INSTALLATION", "blue")])).unwrap()
}
