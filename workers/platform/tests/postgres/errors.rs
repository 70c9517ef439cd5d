use millrace_platform::config::Installation;
use millrace_platform::postgres::broadcasts::Broadcasts;
use millrace_platform::postgres::{Database, DatabaseError};
use sqlx::{Connection, Executor};

use crate::support::{World, config, installation, opened};

#[tokio::test]
async fn a_statement_that_takes_too_long_is_timed_out_and_worth_another_try() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    world.open(&opened).await;
    let mut behind = world.behind().await;
    let mut holder = behind.begin().await.unwrap();
    holder.execute("SELECT * FROM streams FOR UPDATE").await.unwrap();

    let hasty = world.pool(&[("DATABASE_STATEMENT_TIMEOUT_MS", "100")]);
    let table = Broadcasts::new(hasty.clone(), Installation::default());
    let mut t = hasty.begin().await.unwrap();
    let late = table.open(&mut t, &opened).await.unwrap_err();
    assert!(matches!(late, DatabaseError::TimedOut { .. }) && late.is_transient(), "{late:?}");
}

#[tokio::test]
async fn no_connection_within_the_time_is_unavailable() {
    let world = World::new().await;
    let small =
        world.pool(&[("DATABASE_MAX_CONNECTIONS", "1"), ("DATABASE_ACQUIRE_TIMEOUT_MS", "100")]);
    let _taken = small.begin().await.unwrap();
    let full = small.begin().await.unwrap_err();
    assert!(matches!(full, DatabaseError::Unavailable { .. }) && full.is_transient(), "{full:?}");

    let nowhere = Database::open(&config("postgres://u:hunter2@127.0.0.1:1/x", &[])).unwrap();
    let away = nowhere.ping().await.unwrap_err();
    assert!(matches!(away, DatabaseError::Unavailable { .. }), "{away:?}");
    assert!(!format!("{away:?} {away}").contains("hunter2"), "{away:?}");
}

#[tokio::test]
async fn two_that_wait_for_each_other_are_told_so() {
    let world = World::new().await;
    let (a, b) = (opened("events.a", 10), opened("events.b", 10));
    world.open(&a).await;
    world.open(&b).await;
    let table = world.broadcasts();
    let (mut one, mut two) =
        (world.database.begin().await.unwrap(), world.database.begin().await.unwrap());
    table.open(&mut one, &a).await.unwrap();
    table.open(&mut two, &b).await.unwrap();
    let (one, two) = tokio::join!(table.open(&mut one, &b), table.open(&mut two, &a));
    let error = one.and(two).unwrap_err();
    assert!(matches!(error, DatabaseError::RolledBack { .. }) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_broken_rule_is_invalid_and_a_taken_id_a_conflict() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    world.open(&opened).await;
    let blue = Broadcasts::new(world.database.clone(), installation("blue"));
    let mut t = world.database.begin().await.unwrap();
    let taken = blue.open(&mut t, &opened).await.unwrap_err();
    assert!(matches!(taken, DatabaseError::Conflict { .. }) && !taken.is_transient(), "{taken:?}");

    let never = millrace_platform::postgres::broadcasts::Opened {
        epoch: millrace_media::id::Epoch(0),
        ..self::opened("events.a", 1)
    };
    let mut t = world.database.begin().await.unwrap();
    let wrong = world.broadcasts().open(&mut t, &never).await.unwrap_err();
    assert!(matches!(wrong, DatabaseError::Invalid { .. }) && !wrong.is_transient(), "{wrong:?}");
}
