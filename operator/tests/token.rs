//! `millrace-operator token`, as an administrator runs it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::process::Command;
use std::time::Duration;

use millrace_platform::config::{DatabaseConfig, Env};
use millrace_platform::postgres::migrate;
use millrace_platform::tokens::ApiToken;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The URL of a database with the schema.
async fn database() -> String {
    let server = std::env::var("TEST_DATABASE_URL")
        .unwrap_or_else(|_| panic!("TEST_DATABASE_URL is not set: run `make test`"));
    let name = format!("token_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    let config = DatabaseConfig::read(&Env::from_pairs([("DATABASE_URL", &url)])).unwrap();
    migrate(&config, Duration::from_secs(40)).await.unwrap();
    url
}

/// Whether it succeeded, what it printed, and what it said besides.
fn token(url: &str, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace-operator"))
        .arg("token")
        .args(arguments)
        .env_clear()
        .envs([("DATABASE_URL", url), ("RUST_LOG", "trace")])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_token_is_printed_once_then_listed_and_revoked() {
    let url = database().await;
    let arguments = ["create", "--name", "ci", "--streams", "events.*,a.b", "--expires", "720h"];
    let scopes = ["--scope", "streams:read,keys:read"];
    let (done, printed, said) = token(&url, &[&arguments[..], &scopes].concat());
    assert!(done, "{said}");
    let made = ApiToken::parse(printed.trim_end()).unwrap();
    assert!(!said.contains(made.reveal()), "{said}");

    let (_, listed, _) = token(&url, &["list"]);
    let fields: Vec<&str> = listed.trim_end().split('\t').collect();
    assert_eq!(fields[1..], ["ci", "good", "streams:read,keys:read", "events.*,a.b"]);
    assert!(token(&url, &["revoke", fields[0]]).0);
    assert!(token(&url, &["list"]).1.contains("\trevoked\t"));
    assert!(!token(&url, &["revoke", &uuid::Uuid::nil().to_string()]).0);
}

#[tokio::test]
async fn a_wrong_scope_pattern_or_name_is_refused_and_nothing_is_made() {
    let url = database().await;
    for (arguments, word) in [
        (&["--name", "x", "--streams", "*", "--scope", "all"][..], "scope"),
        (&["--name", "x", "--streams", "*.x"], "streams"),
        (&["--name", " x", "--streams", "*"], "name"),
        (&["--name", "x"], "--streams"),
    ] {
        let (done, _, said) = token(&url, &[&["create"], arguments].concat());
        assert!(!done && said.contains(word), "{said}");
    }
    assert_eq!(token(&url, &["list"]).1, "");
}
