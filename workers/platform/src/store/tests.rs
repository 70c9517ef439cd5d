//! The same promises on a directory and on a real S3 server.

use super::*;
use crate::config::Env;

/// A store of its own at this URL, with what else S3 needs.
fn open(url: &str, more: &[(&str, &str)]) -> Store {
    let settings = more.iter().copied().chain([("OBJECT_STORE_URL", url)]);
    let env = Env::from_pairs(settings);
    let name: String = uuid::Uuid::new_v4().simple().to_string().chars().take(20).collect();
    let installation = Env::from_pairs([("MILLRACE_INSTALLATION", format!("t{name}"))]);
    let installation = Installation::read(&installation).unwrap();
    Store::open(&StoreConfig::read(&env).unwrap(), &installation).unwrap()
}

async fn keeps_its_promises(store: &Store) {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(store.get("s/b/x").await.unwrap(), None);

    // Of many who create at once, one does, and its bytes stay.
    let claims = (0..8).map(|n| store.create("s/b/runs/1", Bytes::from(n.to_string())));
    let claims = futures::future::join_all(claims).await;
    let won = |outcome: &Result<Created, StoreError>| matches!(outcome, Ok(Created::Created));
    assert_eq!(claims.iter().filter(|outcome| won(outcome)).count(), 1, "{claims:?}");
    let winner = claims.iter().position(won).unwrap().to_string();
    assert_eq!(store.get("s/b/runs/1").await.unwrap().unwrap(), winner);
    let adopted = store.adopt("s/b/runs/1", bytes("late")).await.unwrap();
    assert_eq!(adopted, Adopted::Theirs(winner.into()));
    assert_eq!(store.adopt("s/b/runs/2", bytes("first")).await.unwrap(), Adopted::Ours);

    store.put("s/b/index/head-1.json", bytes("old")).await.unwrap();
    store.put("s/b/index/head-1.json", bytes("new")).await.unwrap();
    assert_eq!(store.get("s/b/index/head-1.json").await.unwrap(), Some(bytes("new")));
    store.put("s/c/720p/1-1.m4s", bytes("media")).await.unwrap();

    let below = store.list("s/b").await.unwrap();
    assert_eq!(below, ["s/b/index/head-1.json", "s/b/runs/1", "s/b/runs/2"]);
    assert_eq!(store.folders("s").await.unwrap(), ["b", "c"]);
    assert_eq!(store.list("nothing").await.unwrap(), [""; 0]);

    store.delete("s/b/runs/1").await.unwrap();
    store.delete("s/b/runs/1").await.unwrap();
    assert_eq!(store.list("s/b/runs").await.unwrap(), ["s/b/runs/2"]);
}

#[tokio::test]
async fn a_directory_keeps_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    keeps_its_promises(&open(&url, &[])).await;
}

#[tokio::test]
async fn s3_keeps_the_promises() {
    // tests/run.sh starts the server where it can be built, and says so where it can't.
    let Ok(endpoint) = std::env::var("TEST_S3_ENDPOINT") else { return };
    crate::tls::install_provider();
    let keys = ["TEST_S3_ACCESS_KEY_ID", "TEST_S3_SECRET_ACCESS_KEY"];
    let [id, secret] = keys.map(|name| std::env::var(name).unwrap());
    let more = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", &id),
        ("S3_SECRET_ACCESS_KEY", &secret),
    ];
    keeps_its_promises(&open("s3://millrace/media", &more)).await;
}

/// An S3 server over TLS, with a certificate that signs itself.
struct Secure {
    folder: tempfile::TempDir,
    port: u16,
}

fn s3_script() -> std::process::Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/services/s3.sh");
    std::process::Command::new(script)
}

impl Secure {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=millrace test"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(file("key.pem"))
            .arg("-out")
            .arg(file("certificate.pem"))
            .output();
        assert!(made.unwrap().status.success());
        // Somebody may take the port before the server does.
        let port = (0..5).find_map(|_| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let mut start = s3_script();
            start.arg("start").arg(file("s3")).arg(port.to_string());
            start.env("S3_CERTIFICATE", file("certificate.pem")).env("S3_KEY", file("key.pem"));
            start.status().unwrap().success().then_some(port)
        });
        Self { folder, port: port.unwrap() }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = s3_script().arg("stop").arg(self.folder.path().join("s3")).arg("fast").status();
    }
}

#[tokio::test]
async fn s3_over_tls_is_trusted_by_the_certificates_of_the_setting_and_not_without() {
    if std::env::var_os("TEST_S3_ENDPOINT").is_none() {
        return;
    }
    crate::tls::install_provider();
    let server = Secure::start();
    let endpoint = format!("https://127.0.0.1:{}", server.port);
    let certificate = server.folder.path().join("certificate.pem").display().to_string();
    let settings = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", "millrace"),
        ("S3_SECRET_ACCESS_KEY", "millrace-secret"),
        ("S3_CA_FILE", &certificate),
    ];
    keeps_its_promises(&open("s3://millrace/media", &settings)).await;
    let stranger = open("s3://millrace/media", &settings[..3]);
    stranger.get("s/b/x").await.unwrap_err();
}

#[test]
fn certificates_that_can_not_be_read_are_named() {
    let wrong = [("OBJECT_STORE_URL", "s3://b"), ("S3_CA_FILE", "/no/such/file")];
    let config = StoreConfig::read(&Env::from_pairs(wrong)).unwrap();
    let error = Store::open(&config, &Installation::default()).unwrap_err();
    let said = crate::report::report(&error);
    assert!(said.contains("S3_CA_FILE /no/such/file"), "{said}");
}

#[test]
fn what_everybody_may_read_of_an_error_is_its_kind_and_status_and_nothing_a_server_said() {
    let said = "Server returned non-2xx status code: 403 Forbidden: <Error>AKIASECRET</Error>";
    let brief = |source| {
        let (what, url) = ("read x".to_owned(), "s3://bucket/".to_owned());
        StoreError::Failed { what, url, source }.brief()
    };
    let generic = object_store::Error::Generic { store: "S3", source: said.into() };
    assert_eq!(brief(generic), "failed: HTTP 403");
    let path = "x".to_owned();
    let denied = object_store::Error::PermissionDenied { path, source: said.into() };
    assert_eq!(brief(denied), "permission denied: HTTP 403");
    let other = object_store::Error::Generic { store: "S3", source: "AKIASECRET".into() };
    assert_eq!(brief(other), "failed");
}
