//! `millrace-operator migrate`, as an administrator runs it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The URL of an empty database, and its name.
async fn database() -> (String, String) {
    let server = std::env::var("TEST_DATABASE_URL")
        .unwrap_or_else(|_| panic!("TEST_DATABASE_URL is not set: run `make test`"));
    let name = format!("migrate_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    (format!("{}/{name}", server.rsplit_once('/').unwrap().0), name)
}

/// Whether it succeeded, and all it wrote.
fn migrate(settings: &[(&str, &str)]) -> (bool, String) {
    migrate_with(&[], settings)
}

fn migrate_with(options: &[&str], settings: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace-operator"))
        .args(["migrate", "--patience", "40s"])
        .args(options)
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn roles_are_made_from_the_environment_and_no_password_is_shown() {
    let (url, name) = database().await;
    let (worker, viewer) = (format!("{name}_worker"), format!("{name}_viewer"));
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_ROLE_WORKER", &worker),
        ("DATABASE_ROLE_WORKER_PASSWORD", "hunter2"),
        ("DATABASE_ROLE_VIEWER", &viewer),
        ("RUST_LOG", "trace"),
    ];
    for _ in 0..2 {
        let (done, text) = migrate(&settings);
        assert!(done, "{text}");
        assert!(text.contains(&worker) && text.contains(&viewer), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("SCRAM-SHA-256$"), "{text}");
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let roles: Vec<(String, bool)> = sqlx::query_as(
        "SELECT rolname, rolpassword LIKE 'SCRAM-SHA-256$%' IS TRUE FROM pg_authid
         WHERE rolname LIKE $1 ORDER BY rolname",
    )
    .bind(format!("{name}%"))
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(roles, [(viewer, false), (worker, true)]);
}

#[tokio::test]
async fn every_wrong_setting_is_named_before_anything_is_done() {
    let (url, _) = database().await;
    let (done, text) = migrate(&[
        ("DATABASE_URL", &url),
        ("DATABASE_ROLE_WORKER", "pg_mine"),
        ("DATABASE_ROLE_VIEWER_PASSWORD", "hunter2"),
        ("DATABASE_STATEMENT_TIMEOUT_MS", "soon"),
    ]);
    assert!(!done);
    for name in ["DATABASE_ROLE_WORKER", "DATABASE_ROLE_VIEWER", "DATABASE_STATEMENT_TIMEOUT_MS"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(tables, 0);
}

/// As after a rollback of the chart.
#[tokio::test]
async fn the_schema_of_a_newer_version_is_refused_unless_it_may_stay_as_it_is() {
    let (url, name) = database().await;
    let role = format!("{name}_worker");
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_ROLE_WORKER", &role)];
    assert!(migrate(&settings).0);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a newer version', true, '', 0)";
    connection.execute(newer).await.unwrap();
    // What the newer version gave its roles stays.
    let granted = AssertSqlSafe(format!("GRANT SELECT ON viewer_sessions TO {role}"));
    connection.execute(granted).await.unwrap();

    let (done, text) = migrate(&settings);
    assert!(!done && text.contains("9999"), "{text}");
    let (done, text) = migrate_with(&["--allow-newer"], &settings);
    assert!(done && text.contains("left as it is"), "{text}");
    let may: bool =
        sqlx::query_scalar("SELECT has_table_privilege($1, 'viewer_sessions', 'SELECT')")
            .bind(&role)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert!(may);
}
