//! Servers outside that are slow, failing, full or away.

use std::time::Duration;

use millrace_harness::proxy::Mode;
use millrace_harness::server::Kind;

use super::{Fault, NOTHING, fault};
use crate::strike::Strike;
use crate::strike::servers::{Meanwhile, Trouble, Which};

const TEN: Duration = Duration::from_secs(10);

const fn behind(
    name: &'static str,
    short: &'static str,
    which: Which,
    mode: Mode,
    seconds: u64,
    meanwhile: Meanwhile,
) -> Fault {
    let time = Duration::from_secs(seconds);
    let trouble = Trouble::Behind { which, mode, time, meanwhile };
    fault(name, short, Strike::Server(trouble), NOTHING)
}

const fn stopped(name: &'static str, short: &'static str, server: Kind, seconds: u64) -> Fault {
    let time = Duration::from_secs(seconds);
    fault(name, short, Strike::Server(Trouble::Stopped(server, time)), NOTHING)
}

const NO_MORE: Meanwhile = Meanwhile::Nothing;
const SLOW: Mode = Mode::Delay(Duration::from_millis(200));

/// In the order in which they are tried.
pub(super) const ALL: &[Fault] = &[
    stopped("redis-stopped", "Redis stopped for 10 s", Kind::Redis, 10).telling(&[
        "delivery/redis",
        "delivery_degraded_streams",
        "breaker_trips",
    ]),
    Fault {
        quiet: true,
        ..behind("redis-slow", "Redis 200 ms away for 15 s", Which::Redis, SLOW, 15, NO_MORE)
    },
    fault("redis-full", "Redis full for 10 s", Strike::Server(Trouble::Full(TEN)), NOTHING)
        .telling(&["transcode/redis", "publish_failures"]),
    behind("store-slow", "store 200 ms away", Which::Store, SLOW, 10, Meanwhile::EncoderKilled)
        .telling(&["transcode_restarts"]),
    behind(
        "store-silent",
        "store silent, ffmpeg killed",
        Which::Store,
        Mode::BlackHole,
        12,
        Meanwhile::EncoderKilled,
    )
    .telling(&["transcode_restarts", "delivery/objectStore"]),
    behind(
        "store-failing",
        "store failing, ffmpeg killed",
        Which::Store,
        Mode::Answer(500),
        12,
        Meanwhile::EncoderKilled,
    )
    .telling(&["transcode_restarts", "store_failures", "delivery/objectStore"]),
    behind("store-full", "store full (507)", Which::Store, Mode::Answer(507), 12, NO_MORE)
        .telling(&["store_failures", "transcode/objectStore", "delivery/objectStore"]),
    Fault {
        quiet: true,
        ..fault(
            "broker-killed",
            "the leader of three brokers killed",
            Strike::Server(Trouble::OneBroker(TEN)),
            NOTHING,
        )
    },
    stopped("kafka-stopped", "Kafka stopped for 30 s", Kind::Kafka, 30).telling(&["ingest/kafka"]),
    behind(
        "postgres-silent",
        "Postgres silent, 60 s",
        Which::Postgres,
        Mode::BlackHole,
        60,
        NO_MORE,
    )
    .telling(&["ingest/postgres", "delivery/postgres", "breaker_trips"]),
];
