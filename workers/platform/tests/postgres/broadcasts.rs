use std::sync::Arc;

use millrace_media::id::Epoch;
use millrace_media::record::EndReason;
use millrace_platform::config::Installation;
use millrace_platform::postgres::broadcasts::{
    BroadcastFilter, BroadcastStatus, Broadcasts, Opened,
};
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::{Database, DatabaseError};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{World, opened, stream};

/// The events that wait, in order: name, epoch, reason.
async fn told(world: &World) -> Vec<String> {
    let outbox = Outbox::new(world.database.clone(), Installation::default());
    let events = outbox.fetch(1_000).await.unwrap();
    let line = |kind: &str, data: &str| {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let reason = data["reason"].as_str().map_or(String::new(), |r| format!(" {r}"));
        format!("{} {}{reason}", kind.rsplit('.').next().unwrap(), data["epoch"])
    };
    events.iter().map(|e| line(&e.kind, &e.data)).collect()
}

/// Tells the whole life of a broadcast with two publisher connections.
async fn tell_a_life(world: &World, first: &Opened) {
    let table = world.broadcasts();
    let second = Opened { epoch: Epoch(2), ..first.clone() };
    let (id, mut t) = (first.broadcast, world.database.begin().await.unwrap());
    table.open(&mut t, first).await.unwrap();
    table.activate(&mut t, id, Epoch(1), 20).await.unwrap();
    table.interrupt(&mut t, id, Epoch(1), 30).await.unwrap();
    table.open(&mut t, &second).await.unwrap();
    table.activate(&mut t, id, Epoch(2), 40).await.unwrap();
    table.end(&mut t, id, EndReason::Unpublished, 50).await.unwrap();
    t.commit().await.unwrap();
}

#[tokio::test]
async fn a_life_leaves_a_row_and_its_events() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    tell_a_life(&world, &opened).await;
    let row = world.broadcasts().find(opened.broadcast).await.unwrap().unwrap();
    assert_eq!(row.status, BroadcastStatus::Ended);
    assert_eq!(
        (row.opened.epoch, row.active, row.interrupted),
        (Epoch(2), Some(Epoch(2)), Some(Epoch(1)))
    );
    assert_eq!((row.ended_ms, row.end_reason.as_deref()), (Some(50), Some("unpublished")));
    let life =
        ["StreamStarted 1", "StreamInterrupted 1", "StreamResumed 2", "StreamEnded 2 unpublished"];
    assert_eq!(told(&world).await, life);
}

#[tokio::test]
async fn a_notice_told_again_after_its_event_was_sent_makes_no_second_event() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    let (table, id) = (world.broadcasts(), opened.broadcast);
    let again = async || {
        let mut t = world.database.begin().await.unwrap();
        table.open(&mut t, &opened).await.unwrap();
        table.activate(&mut t, id, Epoch(1), 20).await.unwrap();
        table.interrupt(&mut t, id, Epoch(1), 30).await.unwrap();
        t.commit().await.unwrap();
    };
    again().await;
    assert_eq!(told(&world).await, ["StreamStarted 1", "StreamInterrupted 1"]);
    world.run("DELETE FROM events_outbox").await;
    again().await;
    assert_eq!(told(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_change_and_its_event_are_committed_together_or_not_at_all() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    world.open(&opened).await;
    let mut dropped = world.database.begin().await.unwrap();
    world.broadcasts().activate(&mut dropped, opened.broadcast, Epoch(1), 20).await.unwrap();
    drop(dropped);
    let row = world.broadcasts().find(opened.broadcast).await.unwrap().unwrap();
    assert_eq!(row.status, BroadcastStatus::PendingIngest);
    assert_eq!(told(&world).await, [""; 0]);
}

#[tokio::test]
async fn an_end_whose_start_was_never_written_tells_both() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    let mut t = world.database.begin().await.unwrap();
    world.broadcasts().open(&mut t, &opened).await.unwrap();
    world.broadcasts().end(&mut t, opened.broadcast, EndReason::ReconnectWindow, 50).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(told(&world).await, ["StreamStarted 1", "StreamEnded 1 reconnectWindow"]);
}

#[tokio::test]
async fn what_is_over_stays_over() {
    let world = World::new().await;
    let (ended, failed) = (opened("events.a", 10), opened("events.b", 10));
    tell_a_life(&world, &ended).await;
    let table = world.broadcasts();
    let mut t = world.database.begin().await.unwrap();
    table.open(&mut t, &failed).await.unwrap();
    table.fail(&mut t, failed.broadcast, "noMedia", 20).await.unwrap();
    t.commit().await.unwrap();

    let refused = |result: Result<(), DatabaseError>| match result {
        Err(DatabaseError::InvalidTransition { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    let mut t = world.database.begin().await.unwrap();
    let detail = refused(table.activate(&mut t, ended.broadcast, Epoch(3), 60).await);
    assert!(detail.contains("from ENDED to ACTIVE"), "{detail}");
    let mut t = world.database.begin().await.unwrap();
    refused(table.fail(&mut t, ended.broadcast, "late", 60).await);
    let mut t = world.database.begin().await.unwrap();
    refused(table.end(&mut t, failed.broadcast, EndReason::Unpublished, 60).await);
    let mut t = world.database.begin().await.unwrap();
    let unknown = opened("events.c", 1).broadcast;
    let missing = table.activate(&mut t, unknown, Epoch(1), 1).await;
    assert!(matches!(missing, Err(DatabaseError::NotFound { .. })), "{missing:?}");
}

/// Ten legal and illegal notices in a row, as ingest would write them.
async fn write_through_the_module(pool: Database, opened: Opened, writer: u32) {
    let (table, id) = (Broadcasts::new(pool.clone(), Installation::default()), opened.broadcast);
    for step in 0..10 {
        let epoch = Epoch(u64::from(1 + (writer + step) % 5));
        let mut t = pool.begin().await.unwrap();
        table.open(&mut t, &Opened { epoch, ..opened.clone() }).await.unwrap();
        let done = match (writer + step) % 6 {
            5 if writer.is_multiple_of(2) => {
                table.end(&mut t, id, EndReason::Unpublished, 50).await
            }
            5 => table.fail(&mut t, id, "fault", 50).await,
            0 | 3 => table.interrupt(&mut t, id, epoch, 40).await,
            _ => table.activate(&mut t, id, epoch, 30).await,
        };
        match done {
            Ok(()) => t.commit().await.unwrap(),
            Err(DatabaseError::InvalidTransition { .. }) => drop(t),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Ten updates that ask nobody.
async fn write_behind_the_module(mut connection: PgConnection, opened: Opened, writer: usize) {
    let rows = [
        ("PENDING_INGEST", "NULL", "NULL"),
        ("ACTIVE", "NULL", "NULL"),
        ("ENDED", "now()", "'raw'"),
        ("ERROR", "now()", "'raw'"),
    ];
    for step in 0..10 {
        let (status, at, reason) = rows[(writer + step) % 4];
        let sql = format!(
            "UPDATE streams SET status = '{status}', ended_at = {at}, end_reason = {reason}
             WHERE id = '{}'",
            opened.broadcast
        );
        if let Err(error) = connection.execute(AssertSqlSafe(sql)).await {
            let code = error.as_database_error().unwrap().code();
            assert_eq!(code.as_deref(), Some("MR001"), "{error}");
        }
    }
}

/// The steps a row has taken, as a trigger of the test's own saw them.
const WATCH: &str = "
    CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, old text, new text);
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen (old, new) VALUES (OLD.status, NEW.status); RETURN NEW;
    END $$;
    CREATE TRIGGER see AFTER UPDATE ON streams FOR EACH ROW
        WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION see();";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_writers_race_one_broadcast_and_only_legal_steps_are_seen() {
    let world = World::new().await;
    world.run(WATCH).await;
    let opened = opened("events.keynote", 10);
    world.open(&opened).await;
    let pool = world.pool(&[
        ("DATABASE_MAX_CONNECTIONS", "25"),
        ("DATABASE_ACQUIRE_TIMEOUT_MS", "40000"),
        ("DATABASE_STATEMENT_TIMEOUT_MS", "40000"),
    ]);
    let start = Arc::new(Barrier::new(50));
    let mut writers = JoinSet::new();
    for writer in 0..25u8 {
        let (pool, opened, start) = (pool.clone(), opened.clone(), Arc::clone(&start));
        writers.spawn(async move {
            start.wait().await;
            write_through_the_module(pool, opened, writer.into()).await;
        });
    }
    for writer in 0..25u8 {
        let (connection, opened) = (world.behind().await, opened.clone());
        let start = Arc::clone(&start);
        writers.spawn(async move {
            start.wait().await;
            write_behind_the_module(connection, opened, writer.into()).await;
        });
    }
    writers.join_all().await;

    let seen: Vec<(String, String)> = sqlx::query_as("SELECT old, new FROM seen ORDER BY n")
        .fetch_all(&mut world.behind().await)
        .await
        .unwrap();
    let legal = [
        ("PENDING_INGEST", "ACTIVE"),
        ("PENDING_INGEST", "ERROR"),
        ("ACTIVE", "ENDED"),
        ("ACTIVE", "ERROR"),
    ];
    assert!(seen.iter().all(|(old, new)| legal.contains(&(old, new))), "{seen:?}");
    // Each step leads to the next, and the last is an end.
    assert!(seen.windows(2).all(|pair| pair[0].1 == pair[1].0), "{seen:?}");
    assert!(["ENDED", "ERROR"].contains(&seen.last().unwrap().1.as_str()), "{seen:?}");
    for kinds in [
        "('dev.millrace.StreamStarted')",
        "('dev.millrace.StreamEnded', 'dev.millrace.StreamFailed')",
    ] {
        let count = format!("SELECT count(*) FROM events_outbox WHERE type IN {kinds}");
        assert!(world.number(&count).await <= 1, "{kinds}");
    }
}

#[tokio::test]
async fn pages_are_complete_and_stable_while_broadcasts_are_added() {
    let world = World::new().await;
    let mut there = Vec::new();
    for n in 0..57 {
        // Several begin in the same millisecond.
        let opened = opened("events.keynote", 1_000 + n / 4);
        world.open(&opened).await;
        there.push(opened.broadcast);
        world.open(&self::opened("events.other", 1_000 + n)).await;
    }
    let table = world.broadcasts();
    let filter =
        BroadcastFilter { stream: Some(stream("events.keynote")), ..BroadcastFilter::default() };
    let mut page = PageRequest { limit: 10, after: None };
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let rows = table.list(&filter, page).await.unwrap();
        sizes.push(rows.items.len());
        seen.extend(rows.items.iter().map(|b| (b.opened.started_ms, b.opened.broadcast)));
        world.open(&self::opened("events.keynote", 9_000)).await;
        let Some(next) = rows.next else { break };
        // As it comes back from whoever carries it.
        page.after = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(sizes, [10, 10, 10, 10, 10, 7]);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
    let mut ids: Vec<_> = seen.into_iter().map(|(_, id)| id).collect();
    ids.sort();
    there.sort();
    assert_eq!(ids, there);
}

#[tokio::test]
async fn broadcasts_are_found_by_state_and_time_and_only_by_their_installation() {
    let world = World::new().await;
    for n in 0..6 {
        let opened = opened("events.keynote", 1_000 + n);
        world.open(&opened).await;
        if n % 2 == 0 {
            let mut t = world.database.begin().await.unwrap();
            world.broadcasts().activate(&mut t, opened.broadcast, Epoch(1), 9).await.unwrap();
            t.commit().await.unwrap();
        }
    }
    let found = async |table: Broadcasts, filter: BroadcastFilter| {
        let page = table.list(&filter, PageRequest::default()).await.unwrap();
        page.items.iter().map(|b| b.opened.started_ms).collect::<Vec<_>>()
    };
    let active =
        BroadcastFilter { status: Some(BroadcastStatus::Active), ..BroadcastFilter::default() };
    assert_eq!(found(world.broadcasts(), active).await, [1_004, 1_002, 1_000]);
    let middle =
        BroadcastFilter { from_ms: Some(1_002), to_ms: Some(1_004), ..BroadcastFilter::default() };
    assert_eq!(found(world.broadcasts(), middle).await, [1_003, 1_002]);
    let other = Broadcasts::new(world.database.clone(), crate::support::installation("other"));
    assert_eq!(found(other, BroadcastFilter::default()).await, [0; 0]);
}
