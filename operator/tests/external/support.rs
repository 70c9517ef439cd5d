//! One installation on the servers that `make test` starts, and the streams of
//! a test.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::{NamedKey, StreamKeys};
use millrace_operator::reconcile::external::External;
use millrace_operator::reconcile::validate::validate;
use millrace_operator::reconcile::validated::ValidatedStream;
use millrace_platform::config::{DatabaseConfig, Env, Installation, KafkaConfig, RedisConfig};
use millrace_platform::kafka::Admin;
use millrace_platform::keys::generate;
use millrace_platform::postgres::Database;
use millrace_platform::postgres::keys::{KeyFilter, Keys, StoredKey};
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::redis::Redis;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::servers::Servers;

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct World {
    pub(crate) servers: Servers,
    pub(crate) env: Env,
    pub(crate) outside: External,
    pub(crate) installation: Installation,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(Servers::new())
    }

    pub(crate) fn on(servers: Servers) -> Self {
        Self::with(servers, &[])
    }

    pub(crate) fn with(servers: Servers, settings: &[(&'static str, String)]) -> Self {
        let env = Env::from_pairs(servers.pairs().into_iter().chain(settings.iter().cloned()));
        Self {
            outside: External::open(&env).unwrap(),
            installation: Installation::read(&env).unwrap(),
            servers,
            env,
        }
    }

    /// The same outside, for a process that knows nothing yet.
    pub(crate) fn restarted(&self) -> External {
        External::open(&self.env).unwrap()
    }

    pub(crate) fn database(&self) -> Database {
        Database::open(&DatabaseConfig::read(&self.env).unwrap()).unwrap()
    }

    pub(crate) fn kafka(&self) -> KafkaConfig {
        KafkaConfig::read(&self.env).unwrap()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::open(&self.kafka()).unwrap()
    }

    pub(crate) fn redis(&self) -> RedisConfig {
        RedisConfig::read(&self.env).unwrap()
    }

    pub(crate) fn verdicts(&self) -> Redis {
        Redis::connect(&self.redis().keys, "keys").unwrap()
    }

    /// `stream_keys` as the installation sees it.
    pub(crate) fn table(&self) -> Keys {
        Keys::new(self.database(), self.installation.clone())
    }

    pub(crate) async fn rows(&self) -> Vec<StoredKey> {
        let page = PageRequest::default();
        self.table().list(&KeyFilter::default(), &page).await.unwrap().items
    }

    /// Runs a statement as the owner.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.servers.database).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// Texts, asked as the owner.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let mut connection = PgConnection::connect(&self.servers.database).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap()
    }

    /// Which transactions wrote the installation's rows: another answer means
    /// that something was written.
    pub(crate) async fn written(&self) -> Vec<String> {
        let id = self.installation.as_str();
        self.texts(&format!(
            "SELECT xmin::text || uid FROM livestreams WHERE installation = '{id}' UNION ALL
             SELECT xmin::text || id FROM stream_keys WHERE installation = '{id}' ORDER BY 1"
        ))
        .await
    }
}

pub(crate) const UID: &str = "6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11";

/// `events.keynote` with this spec.
pub(crate) fn stream(spec: &str) -> ValidatedStream {
    named("keynote", UID, spec)
}

pub(crate) fn named(name: &str, uid: &str, spec: &str) -> ValidatedStream {
    let text = format!(
        "apiVersion: millrace.dev/v1alpha1
kind: LiveStream
metadata: {{ name: {name}, namespace: events, uid: {uid} }}
spec: {spec}
"
    );
    let stream: LiveStream = serde_yaml::from_str(&text).unwrap();
    validate(&stream).unwrap()
}

pub(crate) fn key() -> NamedKey {
    NamedKey { current: generate(&mut rand::rng()).unwrap(), rotation: 0, previous: None }
}

/// The Secret's keys when `main` is this one.
pub(crate) fn one(key: &NamedKey) -> StreamKeys {
    StreamKeys(BTreeMap::from([("main".to_owned(), key.clone())]))
}

/// Asks until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = tokio::time::Instant::now();
    while !ask().await {
        assert!(start.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
