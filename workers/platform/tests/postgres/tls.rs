//! A server of its own that takes passwords, and only over TLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_platform::config::{Env, RolesConfig};
use millrace_platform::postgres::{Database, grant_roles, migrate};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{PATIENCE, config};

struct Server {
    folder: tempfile::TempDir,
    port: u16,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services/postgres.sh")
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for 127.0.0.1 that signs itself.
fn certificate(folder: &Path, name: &str) {
    succeed(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=millrace test"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(folder.join(format!("{name}.key")))
            .arg("-out")
            .arg(folder.join(format!("{name}.crt"))),
    );
}

impl Server {
    async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("postgres");
        // Somebody may take the port before the server does.
        let port = (0..5)
            .find_map(|_| {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                drop(listener);
                let mut start = Command::new(script());
                start.arg("start").arg(&place).arg(port.to_string());
                start.status().unwrap().success().then_some(port)
            })
            .expect("a server");
        let server = Self { folder, port };
        server.require_tls(&place).await;
        server
    }

    /// Hands it a certificate, and lets nobody but its owner in without.
    async fn require_tls(&self, place: &Path) {
        certificate(self.folder.path(), "server");
        certificate(self.folder.path(), "other");
        let data = std::fs::read_to_string(place.join("location")).unwrap();
        let data = Path::new(data.trim()).join("data");
        for file in ["server.key", "server.crt"] {
            std::fs::copy(self.folder.path().join(file), data.join(file)).unwrap();
        }
        let user = format!("--reference={}", data.display());
        succeed(
            Command::new("chown")
                .arg(user)
                .args([data.join("server.key"), data.join("server.crt")]),
        );
        succeed(Command::new("chmod").arg("600").arg(data.join("server.key")));
        let rules = "host all postgres 127.0.0.1/32 trust\n\
                     hostssl all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let mut owner = PgConnection::connect(&self.url("postgres@", "disable")).await.unwrap();
        for statement in
            ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()", "CREATE DATABASE millrace"]
        {
            owner.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
        }
    }

    fn url(&self, who: &str, query: &str) -> String {
        let database = if who == "postgres@" { "postgres" } else { "millrace" };
        format!("postgres://{who}127.0.0.1:{}/{database}?sslmode={query}", self.port)
    }

    fn trusting(&self, mode: &str, certificate: &str) -> String {
        let file = self.folder.path().join(format!("{certificate}.crt"));
        self.url("worker:a%20b'c@", &format!("{mode}&sslrootcert={}", file.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let place = self.folder.path().join("postgres");
        for (verb, how) in [("stop", Some("fast")), ("drop", None)] {
            let _ = Command::new(script()).arg(verb).arg(&place).args(how).status();
        }
    }
}

async fn ping(url: &str) -> Result<(), String> {
    let database = Database::open(&config(url, &[])).map_err(|e| format!("{e:?}"))?;
    database.ping().await.map_err(|e| format!("{e:?}"))
}

#[tokio::test]
async fn the_urls_sslmode_says_how_and_the_roles_password_lets_in() {
    let server = Server::start().await;
    let owner = config(&format!("postgres://postgres@127.0.0.1:{}/millrace", server.port), &[]);
    migrate(&owner, PATIENCE).await.unwrap();
    let roles = RolesConfig::read(&Env::from_pairs([
        ("DATABASE_ROLE_WORKER", "worker"),
        ("DATABASE_ROLE_WORKER_PASSWORD", "a b'c"),
    ]));
    grant_roles(&owner, &roles.unwrap()).await.unwrap();

    ping(&server.trusting("verify-full", "server")).await.unwrap();
    ping(&server.trusting("verify-ca", "server")).await.unwrap();
    ping(&server.url("worker:a%20b'c@", "require")).await.unwrap();

    let file = |name: &str| server.folder.path().join(name).display().to_string();
    let named = async |url: &str, file: &str| {
        let database = Database::open(&config(url, &[("DATABASE_CA_FILE", file)])).unwrap();
        database.ping().await.map_err(|e| format!("{e:?}"))
    };
    let strict = server.url("worker:a%20b'c@", "verify-full");
    named(&strict, &file("server.crt")).await.unwrap();
    let stranger = named(&strict, &file("other.crt")).await.unwrap_err();
    assert!(stranger.to_lowercase().contains("certificate"), "{stranger}");
    named(&server.trusting("verify-full", "server"), &file("other.crt")).await.unwrap();
    let plain = ping(&server.url("worker:a%20b'c@", "disable")).await.unwrap_err();
    assert!(plain.contains("no encryption"), "{plain}");
    let stranger = ping(&server.trusting("verify-full", "other")).await.unwrap_err();
    assert!(stranger.to_lowercase().contains("certificate"), "{stranger}");
    let wrong = ping(&server.url("worker:guess@", "require")).await.unwrap_err();
    assert!(wrong.contains("password") && !wrong.contains("guess"), "{wrong}");
}
