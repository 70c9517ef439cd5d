//! What streams have outside Kubernetes, asked of the servers themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::config::{Env, Installation, KafkaConfig, RedisConfig};
use millrace_platform::kafka::{Admin, TopicSpec};
use millrace_platform::redis::Redis;
use millrace_platform::redis::viewers::Viewers;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::support::World;

/// What an installation's streams have outside.
pub(crate) struct Outside {
    namespace: String,
    installation: Installation,
    database: String,
    admin: Admin,
    redis: RedisConfig,
}

impl Outside {
    pub(crate) fn of(world: &World) -> Self {
        let env = Env::from_pairs(world.servers.pairs());
        Self {
            namespace: world.streams.name().to_owned(),
            installation: Installation::read(&env).unwrap(),
            database: world.servers.database.clone(),
            admin: Admin::open(&KafkaConfig::read(&env).unwrap()).unwrap(),
            redis: RedisConfig::read(&env).unwrap(),
        }
    }

    fn id(&self, stream: &str) -> StreamId {
        StreamId::new(&self.namespace, stream).unwrap()
    }

    async fn texts(&self, sql: String) -> BTreeSet<String> {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        rows.unwrap().into_iter().collect()
    }

    /// The ids of a stream's keys that are good.
    pub(crate) async fn keys(&self, stream: &str) -> BTreeSet<String> {
        self.texts(format!(
            "SELECT id FROM stream_keys WHERE is_active AND installation = '{}' AND stream_id = '{}'",
            self.installation,
            self.id(stream)
        ))
        .await
    }

    /// UIDs of the LiveStreams that have something outside.
    pub(crate) async fn livestreams(&self) -> Vec<String> {
        let sql =
            format!("SELECT uid FROM livestreams WHERE installation = '{}'", self.installation);
        self.texts(sql).await.into_iter().collect()
    }

    /// What is to be kept of a stream that is gone.
    pub(crate) async fn policies(&self, stream: &str) -> BTreeSet<String> {
        self.texts(format!(
            "SELECT deletion_policy FROM livestreams
             WHERE installation = '{}' AND stream_id = '{}'",
            self.installation,
            self.id(stream)
        ))
        .await
    }

    /// Whether its topic keeps frames for so long.
    pub(crate) async fn keeps(&self, stream: &str, window: Duration) -> bool {
        let topic = TopicSpec::frames(&self.installation, &self.id(stream), window, -1);
        let there = self.admin.describe(&topic.name).await.unwrap();
        there.is_some_and(|there| topic.is_as_said_in(&there))
    }

    /// What there is of a stream.
    pub(crate) async fn has(&self, stream: &str) -> BTreeSet<&'static str> {
        let id = self.id(stream);
        let mut has = BTreeSet::new();
        let registered = format!(
            "SELECT uid FROM livestreams WHERE installation = '{}' AND stream_id = '{id}'",
            self.installation
        );
        if !self.texts(registered).await.is_empty() {
            has.insert("row");
        }
        if !self.keys(stream).await.is_empty() {
            has.insert("keys");
        }
        let topic = TopicSpec::frames(&self.installation, &id, Duration::ZERO, -1).name;
        if self.admin.describe(&topic).await.unwrap().is_some() {
            has.insert("topic");
        }
        let client = redis::Client::open(self.redis.viewers.url.expose()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(format!("{}*{{{id}}}*", self.installation.prefix(':')))
            .query_async(&mut connection)
            .await
            .unwrap();
        if !keys.is_empty() {
            has.insert("cache");
        }
        has
    }

    /// Leaves something in a stream's cache, as delivery does.
    pub(crate) async fn cache(&self, stream: &str) {
        let viewers = Redis::connect(&self.redis.viewers, "viewers").unwrap();
        let viewers = Viewers::new(viewers, self.installation.clone());
        viewers.salt(&self.id(stream), "salt").await.unwrap();
    }
}
