use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_platform::postgres::{MigrateError, check_schema_min, latest_version, migrate};
use sqlx::{Connection, PgConnection};

use crate::support::{PATIENCE, World, config, server};

#[tokio::test]
async fn several_at_once_leave_one_schema() {
    let world = World::empty().await;
    let all = (0..4).map(|_| migrate(&world.config, PATIENCE));
    futures::future::try_join_all(all).await.unwrap();
    let applied = world.number("SELECT count(*) FROM _sqlx_migrations WHERE success").await;
    assert_eq!(applied, latest_version());
}

#[tokio::test]
async fn it_waits_for_the_server_and_says_so_when_there_is_none() {
    let world = World::empty().await;
    // The server's port, where at first nobody answers; later the real one.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = server();
    let real = server.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let there = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&there);
    let late = tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            if answers.load(Ordering::SeqCst) {
                let mut far = tokio::net::TcpStream::connect(&real).await.unwrap();
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }
    });
    let config = config(&format!("postgres://postgres@127.0.0.1:{port}/{}", world.unique), &[]);
    let nobody = migrate(&config, Duration::from_millis(300)).await;
    assert!(matches!(nobody, Err(MigrateError::NoServer { .. })), "{nobody:?}");
    let waiting = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        there.store(true, Ordering::SeqCst);
    };
    let (done, ()) = tokio::join!(migrate(&config, PATIENCE), waiting);
    done.unwrap();
    late.abort();
    check_schema_min(&world.database, latest_version()).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_migrate_and_fine_for_workers() {
    let world = World::new().await;
    world
        .run(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'from the future', true, '', 0)",
        )
        .await;
    let refused = migrate(&world.config, PATIENCE).await;
    assert!(matches!(refused, Err(MigrateError::Newer { found: 9999, .. })), "{refused:?}");
    check_schema_min(&world.database, latest_version()).await.unwrap();
    let older = check_schema_min(&world.database, 10_000).await;
    assert!(matches!(older, Err(MigrateError::Older { found: 9999, .. })), "{older:?}");
}

#[tokio::test]
async fn an_empty_database_is_older_than_anything() {
    let world = World::empty().await;
    let older = check_schema_min(&world.database, 1).await;
    assert!(matches!(older, Err(MigrateError::Older { found: 0, .. })), "{older:?}");
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is() {
    let world = World::new().await;
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    let silent: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname || coalesce('.' || a.attname, '')
         FROM pg_class c
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
           AND c.relname <> '_sqlx_migrations'
           AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(silent, [""; 0]);
}

#[tokio::test]
async fn the_indexes_of_the_design_are_there() {
    let world = World::new().await;
    for (table, columns) in [
        ("streams", "(status, created_at)"),
        ("stream_keys", "(broadcaster_id, is_active)"),
        ("viewer_sessions", "(stream_id, joined_at)"),
        ("stream_metrics", r#"(stream_id, "timestamp" DESC, installation)"#),
    ] {
        let found = world
            .number(&format!(
                "SELECT count(*) FROM pg_indexes
                 WHERE tablename = '{table}' AND indexdef LIKE '%{columns}'"
            ))
            .await;
        assert_eq!(found, 1, "{table} {columns}");
    }
}

/// A database of the version before, with a broadcast that runs.
#[tokio::test]
async fn a_broadcast_that_runs_during_the_upgrade_is_not_started_twice() {
    let world = World::empty().await;
    let first = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../migrations/0001_broadcasts_and_keys.sql");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(first, folder.path().join("0001_broadcasts_and_keys.sql")).unwrap();
    let before = sqlx::migrate::Migrator::new(folder.path()).await.unwrap();
    before.run(&mut world.behind().await).await.unwrap();
    let id = uuid::Uuid::now_v7();
    world
        .run(&format!(
            "INSERT INTO streams (id, stream_id, epoch, key_id, started_at)
                 VALUES ('{id}', 'events.keynote', 3, 'abcd1234', now());
             UPDATE streams SET status = 'ACTIVE'"
        ))
        .await;
    migrate(&world.config, PATIENCE).await.unwrap();
    let mut t = world.database.begin().await.unwrap();
    let broadcast = millrace_media::id::BroadcastId(id);
    world.broadcasts().activate(&mut t, broadcast, millrace_media::id::Epoch(3), 50).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM events_outbox").await, 0);
}
