use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_platform::config::Installation;
use millrace_platform::kafka::{Event, EventType};
use millrace_platform::postgres::outbox::{Outbox, Waiting};

use crate::support::{PATIENCE, World, installation, stream};

fn event(stream_id: &str, word: impl Into<String>) -> Event<serde_json::Value> {
    let word = word.into();
    Event {
        kind: EventType::ViewerJoined,
        stream: stream(stream_id),
        time_ms: 1_764_000_000_123,
        data: serde_json::json!({ "viewer": word }),
        identity: vec![word],
    }
}

#[tokio::test]
async fn an_event_comes_out_as_it_went_in_and_only_once() {
    let world = World::new().await;
    let outbox = Outbox::new(world.database.clone(), installation("blue"));
    let events = [event("events.b", "2"), event("events.a", "1"), event("events.b", "2")];
    let mut t = world.database.begin().await.unwrap();
    assert_eq!(outbox.append(&mut t, "delivery", &events).await.unwrap(), 2);
    assert_eq!(outbox.append(&mut t, "delivery", &events[..1]).await.unwrap(), 0);
    t.commit().await.unwrap();
    let rows = outbox.fetch(10).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        rows[0],
        Waiting {
            id: rows[0].id,
            event_id: events[0].id(),
            kind: "dev.millrace.ViewerJoined".to_owned(),
            source: "delivery".to_owned(),
            stream: stream("events.b"),
            time_ms: 1_764_000_000_123,
            data: r#"{"viewer": "2"}"#.to_owned(),
        }
    );
    let other = Outbox::new(world.database.clone(), Installation::default());
    assert_eq!(other.fetch(10).await.unwrap(), []);
    assert_eq!(other.delete(&[rows[0].id]).await.unwrap(), 0);

    let backlog = outbox.backlog().await.unwrap();
    assert!(backlog.events == 2 && backlog.oldest_ms.is_some(), "{backlog:?}");
    assert_eq!(outbox.delete(&[rows[0].id, rows[1].id]).await.unwrap(), 2);
    let backlog = outbox.backlog().await.unwrap();
    assert!(backlog.events == 0 && backlog.oldest_ms.is_none(), "{backlog:?}");
}

/// Writers hold their transactions open for a while, so that they would commit
/// in another order than they took their numbers in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_never_meets_an_earlier_event_of_a_stream_after_a_later_one() {
    let world = World::new().await;
    let pool = world
        .pool(&[("DATABASE_MAX_CONNECTIONS", "24"), ("DATABASE_STATEMENT_TIMEOUT_MS", "40000")]);
    let outbox = Outbox::new(pool.clone(), Installation::default());
    let streams = ["events.a", "events.b", "events.c"];
    let done = Arc::new(AtomicBool::new(false));

    let (reader, stop) = (outbox.clone(), Arc::clone(&done));
    let reader = tokio::spawn(async move {
        let mut seen: Vec<Waiting> = Vec::new();
        loop {
            let last = stop.load(Ordering::SeqCst);
            let rows = reader.fetch(7).await.unwrap();
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            reader.delete(&ids).await.unwrap();
            if last && rows.is_empty() {
                return seen;
            }
            seen.extend(rows);
        }
    });
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..20usize {
        let (pool, outbox) = (pool.clone(), outbox.clone());
        writers.spawn(async move {
            let mut committed = Vec::new();
            for n in 0..12usize {
                let mut t = pool.begin().await.unwrap();
                // In whatever order: the module takes the locks in its own.
                let events: Vec<_> = (0..=n % 3)
                    .map(|i| event(streams[(writer + i) % 3], format!("{writer}-{n}-{i}")))
                    .collect();
                outbox.append(&mut t, "delivery", &events).await.unwrap();
                let pause = u64::try_from((writer * 7 + n * 3) % 5).unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if n % 5 == 4 {
                    drop(t);
                } else {
                    t.commit().await.unwrap();
                    committed.extend(events.iter().map(Event::id));
                }
            }
            committed
        });
    }
    let mut committed = BTreeSet::new();
    while let Some(ids) = writers.join_next().await {
        committed.extend(ids.unwrap());
    }
    done.store(true, Ordering::SeqCst);
    let seen = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
    let mut last = BTreeMap::new();
    for row in &seen {
        let before = last.insert(row.stream.clone(), row.id);
        assert!(before < Some(row.id), "{} after {before:?}", row.id);
    }
    let ids: BTreeSet<_> = seen.iter().map(|row| row.event_id.clone()).collect();
    assert_eq!((ids.len(), ids == committed), (seen.len(), true));
}
