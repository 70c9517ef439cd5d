use std::time::Duration;

use millrace_platform::config::Installation;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::metrics::{Second, StreamMetrics};
use millrace_platform::postgres::partitions::Partitions;

use crate::support::{World, stream};

const DAY_S: i64 = 86_400;

/// Midnight UTC of today, s since 1970.
async fn today(world: &World) -> i64 {
    world.number("SELECT extract(epoch FROM now())::bigint / 86400 * 86400").await
}

fn second(at_s: i64) -> Second {
    Second {
        stream: stream("events.keynote"),
        broadcast: None,
        at_s,
        viewers: 1,
        ingress_kbps: 2,
        egress_kbps: 3,
        quality: [("720p".parse().unwrap(), 1)].into(),
        dropped_frames: 4,
        buffering_events: 5,
    }
}

async fn partitions(world: &World) -> i64 {
    world
        .number(
            "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'stream_metrics'::regclass AND c.relname ~ '[0-9]{8}$'",
        )
        .await
}

async fn homeless(world: &World) -> i64 {
    world.number("SELECT count(*) FROM stream_metrics_default").await
}

#[tokio::test]
async fn an_insert_finds_a_place_without_its_partition_and_moves_when_it_is_made() {
    let world = World::new().await;
    let metrics = StreamMetrics::new(world.database.clone(), Installation::default());
    let today = today(&world).await;
    let days: Vec<_> = [-2, 0, 3, 5].map(|day| second(today + day * DAY_S + 100)).into();
    assert_eq!(metrics.insert(&days).await.unwrap(), 4);
    assert_eq!((partitions(&world).await, homeless(&world).await), (4, 2));

    let job = Partitions::new(world.database.clone());
    assert_eq!(job.make_ahead(6).await.unwrap(), 3);
    assert_eq!(job.make_ahead(6).await.unwrap(), 0);
    assert_eq!((partitions(&world).await, homeless(&world).await), (7, 1));
    // Where a row lies is nobody's business, and it is still there once.
    let all = metrics.range(&stream("events.keynote"), 0, today + 9 * DAY_S, 100).await.unwrap();
    assert_eq!(all, days);
    assert_eq!(metrics.insert(&days).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_older_than_the_retention_goes_and_nothing_else() {
    let world = World::new().await;
    world.run("SELECT stream_metrics_make_partition(d) FROM generate_series(-5, -1) d").await;
    let metrics = StreamMetrics::new(world.database.clone(), Installation::default());
    let today = today(&world).await;
    // One had no partition.
    let at = |day: i64| second(today + day * DAY_S);
    metrics.insert(&[at(-9), at(-5), at(-4), at(-2), at(-1), at(0)]).await.unwrap();
    let job = Partitions::new(world.database.clone());
    let dropped = job.drop_older(Duration::from_hours(48)).await.unwrap();
    assert_eq!(dropped.len(), 3, "{dropped:?}");
    assert!(dropped.is_sorted(), "{dropped:?}");
    let left = metrics.range(&stream("events.keynote"), 0, today + DAY_S, 100).await.unwrap();
    assert_eq!(left, [at(-2), at(-1), at(0)]);
    let again = job.drop_older(Duration::from_hours(48)).await.unwrap();
    assert_eq!((again.len(), homeless(&world).await), (0, 0));

    let hasty = job.drop_older(Duration::from_hours(1)).await;
    assert!(matches!(hasty, Err(DatabaseError::Invalid { .. })), "{hasty:?}");
}

#[tokio::test]
async fn a_day_with_too_many_rows_to_move_stays_and_goes_when_it_is_old() {
    let world = World::new().await;
    let rows = "INSERT INTO stream_metrics
                    (stream_id, \"timestamp\", viewers, ingress_kbps, egress_kbps)
                SELECT 'events.s' || n % 2, to_timestamp(
                           (extract(epoch FROM now())::bigint / 86400 - 3) * 86400 + n / 2), 0, 0, 0
                FROM generate_series(0, 100000) n";
    world.run(rows).await;
    let made = "SELECT count(*) FROM stream_metrics_make_partition(-3) AS made WHERE made = 'full'";
    assert_eq!(world.number(made).await, 1);
    assert_eq!((partitions(&world).await, homeless(&world).await), (4, 100_001));
    let job = Partitions::new(world.database.clone());
    assert_eq!(job.make_ahead(4).await.unwrap(), 1);
    job.drop_older(Duration::from_hours(24)).await.unwrap();
    assert_eq!((partitions(&world).await, homeless(&world).await), (5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_make_and_drop_at_once_while_inserts_go_on() {
    let world = World::new().await;
    world.run("SELECT stream_metrics_make_partition(d) FROM generate_series(-9, -1) d").await;
    let today = today(&world).await;
    let mut jobs = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let job = Partitions::new(world.database.clone());
        jobs.spawn(async move {
            let dropped = job.drop_older(Duration::from_hours(24)).await.unwrap().len();
            (u32::try_from(dropped).unwrap(), job.make_ahead(9).await.unwrap())
        });
    }
    let pool = world.pool(&[]);
    let writer = tokio::spawn(async move {
        let metrics = StreamMetrics::new(pool, Installation::default());
        for n in 0..60 {
            let days: Vec<_> = (0..10).map(|day| second(today + day * DAY_S + n)).collect();
            assert_eq!(metrics.insert(&days).await.unwrap(), 10);
        }
    });
    let (mut dropped, mut made) = (0, 0);
    while let Some(done) = jobs.join_next().await {
        let (d, m) = done.unwrap();
        (dropped, made) = (dropped + d, made + m);
    }
    writer.await.unwrap();
    // Days -9 to -2 lie before yesterday; 4 to 9 were not there.
    assert_eq!((dropped, made), (8, 6));
    assert_eq!(world.number("SELECT count(*) FROM stream_metrics").await, 600);
    assert_eq!(homeless(&world).await, 0);
}
