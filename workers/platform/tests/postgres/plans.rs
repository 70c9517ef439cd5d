//! That lists read what they give and not the whole table, also when a
//! connection has asked so often that the server would settle on one plan.

use millrace_platform::config::Installation;
use millrace_platform::postgres::broadcasts::{BroadcastFilter, Broadcasts};
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::sessions::{SessionFilter, Sessions};

use crate::support::{World, stream, until};

/// 200 streams with 100 broadcasts and 200 sessions each; those of the first
/// are the oldest.
const MANY: &str = "
    INSERT INTO streams (id, stream_id, epoch, key_id, started_at)
    SELECT gen_random_uuid(), 'load.s' || s, 1, 'abcd1234',
           to_timestamp(1700000000 + s * 1000 + n)
    FROM generate_series(1, 200) s, generate_series(1, 100) n;
    INSERT INTO viewer_sessions (id, stream_id, viewer, source, joined_at, last_seen_at, left_at)
    SELECT gen_random_uuid(), 'load.s' || s, '0123456789abcdef', 'beacon',
           to_timestamp(1700000000 + s * 1000 + n), now(), now()
    FROM generate_series(1, 200) s, generate_series(1, 200) n;
    ANALYZE streams; ANALYZE viewer_sessions;";

/// Rows that queries have read from a table so far.
async fn read(world: &World, table: &str) -> i64 {
    world
        .number(&format!(
            "SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
             FROM pg_stat_user_tables WHERE relname = '{table}'"
        ))
        .await
}

#[tokio::test]
async fn a_page_of_one_streams_rows_reads_little_else() {
    let world = World::new().await;
    world.run(MANY).await;
    let none = Installation::default;
    for table in ["streams", "viewer_sessions"] {
        // A connection of its own, so that its end brings its figures in.
        let pool = world.pool(&[("DATABASE_MAX_CONNECTIONS", "1")]);
        let before = read(&world, table).await;
        let page = PageRequest { limit: 20, after: None };
        for _ in 0..12 {
            let found = if table == "streams" {
                let filter = BroadcastFilter {
                    stream: Some(stream("load.s1")),
                    ..BroadcastFilter::default()
                };
                Broadcasts::new(pool.clone(), none()).list(&filter, page).await.unwrap().items.len()
            } else {
                let filter =
                    SessionFilter { stream: Some(stream("load.s1")), ..SessionFilter::default() };
                Sessions::new(pool.clone(), none()).list(&filter, page).await.unwrap().items.len()
            };
            assert_eq!(found, 20);
        }
        pool.close().await;
        until("the figures are in", async || read(&world, table).await >= before + 12 * 20).await;
        let rows = read(&world, table).await - before;
        assert!(rows <= 12 * 220, "12 pages of 20 read {rows} rows of {table}");
    }
}
