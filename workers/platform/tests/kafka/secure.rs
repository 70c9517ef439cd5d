//! A broker that speaks TLS and asks who is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_platform::config::{Env, Installation, KafkaConfig};
use millrace_platform::kafka::{Admin, Ensured, KafkaError, TopicSpec};

const PASSWORD: &str = "let-me-in";

struct Broker {
    folder: tempfile::TempDir,
    port: u16,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services/kafka.sh")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A certificate for 127.0.0.1 that signs itself, and its key, in one file.
fn certificate(folder: &Path, name: &str) -> PathBuf {
    let [key, certificate, both] =
        ["key", "crt", "pem"].map(|ending| folder.join(format!("{name}.{ending}")));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=millrace test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = [&key, &certificate].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    std::fs::write(&both, text).unwrap();
    both
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pem = certificate(folder.path(), "server");
        certificate(folder.path(), "other");
        // Somebody may take a port before the server does.
        let port = (0..5).find_map(|_| {
            let port = free_port();
            let mut start = Command::new(script());
            start.arg("start").arg(folder.path().join("kafka")).arg(free_port().to_string());
            start.env("SECURE", format!("{port}:{}:{PASSWORD}", pem.display()));
            start.status().unwrap().success().then_some(port)
        });
        Self { folder, port: port.expect("a broker") }
    }

    fn config(&self, trusted: &str, password: &str) -> KafkaConfig {
        let pairs = [
            ("KAFKA_BROKERS", format!("127.0.0.1:{}", self.port)),
            ("KAFKA_TLS", "true".to_owned()),
            ("KAFKA_CA_FILE", self.folder.path().join(trusted).display().to_string()),
            ("KAFKA_SASL_MECHANISM", "PLAIN".to_owned()),
            ("KAFKA_SASL_USERNAME", "millrace".to_owned()),
            ("KAFKA_SASL_PASSWORD", password.to_owned()),
        ];
        KafkaConfig::read(&Env::from_pairs(pairs)).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let place = self.folder.path().join("kafka");
        let _ = Command::new(script()).arg("stop").arg(place).arg("fast").status();
    }
}

async fn ensure(config: &KafkaConfig) -> Result<Ensured, KafkaError> {
    let spec = TopicSpec::events(&Installation::default(), 1, 1);
    Admin::open(config).unwrap().ensure(&spec).await
}

#[tokio::test]
async fn the_settings_open_a_broker_with_tls_and_a_login_and_nothing_else_does() {
    let broker = Broker::start();
    let right = broker.config("server.crt", PASSWORD);
    assert_eq!(ensure(&right).await.unwrap(), Ensured::Created);
    assert_eq!(ensure(&right).await.unwrap(), Ensured::Unchanged);
    for wrong in [
        broker.config("other.crt", PASSWORD),
        broker.config("server.crt", "guess"),
        KafkaConfig { login: None, ..right.clone() },
        KafkaConfig { tls: None, ..right },
    ] {
        let error = ensure(&wrong).await.unwrap_err();
        let said = millrace_platform::report::report(&error);
        assert!(!said.contains(PASSWORD) && !said.contains("guess"), "{said}");
    }
}
