//! Servers that Millrace needs and that go away, and what they forget.

use std::time::Duration;

use millrace_harness::server::Kind;

use super::{Fault, NOTHING, ONE_STRETCH, TEN_SECONDS, fault};
use crate::strike::Strike;

pub(super) const ALL: &[Fault] = &[
    fault(
        "redis-killed",
        "Redis killed, empty after 5 s",
        Strike::Away(Kind::Redis, Duration::from_secs(5)),
        NOTHING,
    )
    .telling(&[
        "delivery/redis",
        "delivery_degraded_streams",
        "breaker_trips",
        "publish_failures",
    ]),
    fault("redis-flushed", "Redis emptied", Strike::Flush, NOTHING).telling(&["publish_failures"]),
    fault(
        "postgres-killed",
        "Postgres killed for 10 s",
        Strike::Away(Kind::Postgres, TEN_SECONDS),
        NOTHING,
    )
    .telling(&["ingest/postgres", "delivery/postgres"]),
    fault("kafka-killed", "Kafka killed for 10 s", Strike::Away(Kind::Kafka, TEN_SECONDS), NOTHING)
        .telling(&["ingest/kafka"]),
    fault(
        "log-truncated",
        "log emptied before transcode",
        Strike::Truncate(Duration::from_secs(3)),
        ONE_STRETCH,
    )
    .telling(&["log_records_lost"]),
];
