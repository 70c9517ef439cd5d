//! `millrace-operator check`, as `helm test` runs it, against the operator's own
//! health listener.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use millrace_platform::health::{self, Health};
use millrace_platform::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

/// Whether it succeeded, and all it wrote.
async fn check(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-operator"));
    command.arg("check").args(arguments).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_what_is_not_ready_yet_and_names_what_never_is() {
    let listener = health::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health::default();
    let part = health.needed("a part");
    let stop = CancellationToken::new();
    tokio::spawn(health::serve(listener, health.clone(), Metrics::default(), stop.clone()));
    let (live, ready) =
        (format!("http://{address}/health/live"), format!("http://{address}/health/ready"));

    let (done, text) = check(&["--patience", "1s", &live, &ready]).await;
    assert!(!done && text.contains(&ready) && text.contains("503"), "{text}");

    let becomes_ready = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        part.ok();
    };
    let patient = ["--patience", "40s", &live, &ready];
    let ((done, text), ()) = tokio::join!(check(&patient), becomes_ready);
    assert!(done, "{text}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}/");
    let (done, text) = check(&["--patience", "1s", &nobody]).await;
    assert!(!done && text.contains(&nobody), "{text}");
    assert!(!check(&[]).await.0, "nothing to ask is a mistake");
    stop.cancel();
}
