//! Trouble with a server.

use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::process::run;
use millrace_harness::proxy::{Mode, Proxy};
use millrace_harness::server::Kind;
use millrace_platform::config::KafkaConfig;
use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::time::sleep;

use crate::arena::Arena;

/// How long trouble lasts before more is made.
const FIRST: Duration = Duration::from_secs(3);

/// How long Kafka may take to say who leads.
const PATIENCE: Duration = Duration::from_secs(10);

/// What kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// What is between it and Millrace does this for a while.
    Behind { which: Which, mode: Mode, time: Duration, meanwhile: Meanwhile },
    /// SIGSTOP, and SIGCONT after a while: connections stay, nobody answers.
    Stopped(Kind, Duration),
    /// Redis takes nothing more for a while.
    Full(Duration),
    /// kill -9 of one broker of three, which is started again after a while.
    OneBroker(Duration),
}

/// A server with a proxy in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Redis,
    Postgres,
    Store,
}

/// What else happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Nothing,
    /// kill -9 of ffmpeg: the next run needs a number.
    EncoderKilled,
}

impl Trouble {
    /// Makes it, and ends it.
    ///
    /// # Errors
    /// When it could not be made, which says nothing about the stream.
    pub(crate) async fn make(self, arena: &Arena) -> Result<()> {
        match self {
            Self::Behind { which, mode, time, meanwhile } => {
                let proxy = which.proxy(arena)?;
                proxy.set(mode);
                sleep(FIRST).await;
                let done = meanwhile.happen(arena);
                sleep(time.saturating_sub(FIRST)).await;
                proxy.set(Mode::Pass);
                done
            }
            Self::Stopped(server, time) => {
                arena.servers.signal(server, Signal::SIGSTOP)?;
                sleep(time).await;
                arena.servers.signal(server, Signal::SIGCONT)
            }
            Self::OneBroker(time) => {
                let leader = leader(&arena.kafka, &arena.topic).await?;
                arena.servers.kill_broker(leader).await?;
                sleep(time).await;
                arena.servers.start_broker(leader).await
            }
            Self::Full(time) => {
                let url = &arena.servers.addresses().redis;
                let set = ["-u", url, "config", "set", "maxmemory"];
                run("redis-cli", &[&set[..], &["1mb"]].concat()).await?;
                sleep(time).await;
                // As tests/services/redis.sh starts it.
                run("redis-cli", &[&set[..], &["1gb"]].concat()).await
            }
        }
    }
}

impl Which {
    fn proxy(self, arena: &Arena) -> Result<&Proxy> {
        let between = &arena.between;
        match self {
            Self::Redis => Ok(&between.redis),
            Self::Postgres => Ok(&between.postgres),
            Self::Store => {
                let store = between.store.as_ref().map(|(proxy, _)| proxy);
                store.context("only an S3 server can be in trouble, and it takes Go to have one")
            }
        }
    }
}

impl Meanwhile {
    fn happen(self, arena: &Arena) -> Result<()> {
        match self {
            Self::Nothing => {}
            Self::EncoderKilled => arena.stack.encoder()?.kill(),
        }
        Ok(())
    }
}

/// The broker that has the log: its number from 1 on.
async fn leader(kafka: &KafkaConfig, topic: &str) -> Result<u8> {
    let (brokers, topic) = (kafka.brokers.clone(), topic.to_owned());
    let ask = move || {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &brokers).create()?;
        let metadata = client.fetch_metadata(Some(&topic), PATIENCE)?;
        let partition = metadata.topics().first().and_then(|topic| topic.partitions().first());
        let leader = partition.context("no partition")?.leader();
        u8::try_from(leader).with_context(|| format!("its leader is {leader}"))
    };
    tokio::task::spawn_blocking(ask).await?
}
