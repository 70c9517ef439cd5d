use std::time::{Duration, Instant};

use millrace_media::id::StreamId;
use millrace_platform::config::Installation;
use millrace_platform::postgres::metrics::{Second, StreamMetrics};
use sqlx::{AssertSqlSafe, Row};

use crate::support::{World, installation, stream};

fn second(stream: StreamId, at_s: i64) -> Second {
    Second {
        stream,
        broadcast: None,
        at_s,
        viewers: 1_234,
        ingress_kbps: 6_000,
        egress_kbps: 3_000_000_000,
        quality: [("720p".parse().unwrap(), 1_000), ("480p".parse().unwrap(), 234)].into(),
        dropped_frames: 1,
        buffering_events: 2,
    }
}

async fn now_s(world: &World) -> i64 {
    world.number("SELECT extract(epoch FROM now())::bigint").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_of_a_thousand_streams_has_one_row_each_however_many_write_it() {
    let world = World::new().await;
    let at_s = now_s(&world).await;
    let of = |n| second(stream(&format!("load.stream-{n}")), at_s);
    let seconds: Vec<_> = (0..1_000).map(of).collect();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let metrics = StreamMetrics::new(world.database.clone(), Installation::default());
        let seconds = seconds.clone();
        writers.spawn(async move { metrics.insert(&seconds).await.unwrap() });
    }
    let written: u64 = writers.join_all().await.into_iter().sum();
    assert_eq!(written, 1_000);
    assert_eq!(world.number("SELECT count(*) FROM stream_metrics").await, 1_000);
    // Another installation has its own.
    let blue = StreamMetrics::new(world.database.clone(), installation("blue"));
    assert_eq!(blue.insert(&seconds).await.unwrap(), 1_000);
    let id = stream("load.stream-7");
    assert_eq!(blue.range(&id, at_s, at_s + 1, 10).await.unwrap(), [of(7)]);
}

#[tokio::test]
async fn a_range_gives_its_newest_seconds_oldest_first() {
    let world = World::new().await;
    let (id, now) = (stream("events.keynote"), now_s(&world).await);
    let seconds: Vec<_> = (0..100).map(|n| second(id.clone(), now + n)).collect();
    let metrics = StreamMetrics::new(world.database.clone(), Installation::default());
    metrics.insert(&seconds).await.unwrap();
    assert_eq!(metrics.range(&id, now + 10, now + 20, 100).await.unwrap(), seconds[10..20]);
    let last = metrics.range(&id, now, now + 100, 5).await.unwrap();
    assert_eq!(last, seconds[95..]);
    // The page before.
    assert_eq!(metrics.range(&id, now, last[0].at_s, 5).await.unwrap(), seconds[90..95]);
    assert_eq!(metrics.range(&stream("events.other"), now, now + 100, 5).await.unwrap(), []);
}

/// The text of the query as the program sends it.
fn query_of_range() -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let query = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["query"].as_str().unwrap().to_owned()
    };
    let mut found = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| query(entry.unwrap().path()))
        .filter(|query| query.starts_with("SELECT") && query.contains("FROM stream_metrics\n"));
    let one = found.next().expect("the query of StreamMetrics::range");
    assert!(found.next().is_none());
    one
}

/// 12 streams, a day of seconds each.
async fn fill_a_million(world: &World) {
    world.run("SELECT stream_metrics_make_partition(-1)").await;
    world
        .run(
            r#"INSERT INTO stream_metrics
                   (stream_id, "timestamp", viewers, ingress_kbps, egress_kbps, quality)
               SELECT 'load.stream-' || s, date_trunc('second', now()) - make_interval(secs => n),
                      n % 500, 6000, n % 500 * 3000,
                      jsonb_build_object('480p', n % 7, '720p', n % 11, '1080p', n % 13)
               FROM generate_series(0, 86399) n, generate_series(1, 12) s;
               ANALYZE stream_metrics;"#,
        )
        .await;
}

#[tokio::test]
async fn the_last_hour_among_a_million_rows_is_read_by_the_index() {
    let world = World::new().await;
    fill_a_million(&world).await;
    let last = r#"SELECT extract(epoch FROM max("timestamp"))::bigint FROM stream_metrics"#;
    let now = world.number(last).await;
    let rows = world.number("SELECT count(*) FROM stream_metrics").await;
    assert_eq!(rows, 12 * 86_400);

    let explain = format!("EXPLAIN (ANALYZE) {}", query_of_range());
    let plan: Vec<String> = sqlx::query(AssertSqlSafe(explain))
        .bind("load.stream-3")
        .bind("")
        .bind(now - 3_600)
        .bind(now + 1)
        .bind(86_400i64)
        .fetch_all(&mut world.behind().await)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan"), "{plan}");
    assert!(plan.contains("_stream_id_timestamp_installation_idx"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    // Days that it does not ask for are not looked at.
    assert!(!plan.contains("stream_metrics_default"), "{plan}");

    let metrics = StreamMetrics::new(world.database.clone(), Installation::default());
    let id = stream("load.stream-3");
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        let hour = metrics.range(&id, now - 3_600, now + 1, 86_400).await.unwrap();
        best = best.min(start.elapsed());
        assert_eq!(hour.len(), 3_601);
    }
    println!("the last hour of one stream among {rows} rows: {best:?}\n{plan}");
}
