//! A database and an installation of one test's own, on the servers that
//! `make test` starts.

use std::time::Duration;

use millrace_media::id::{KeyId, StreamId};
use millrace_platform::config::{DatabaseConfig, Env, Installation, RedisConfig};
use millrace_platform::keys::{Announcements, ApiKey, Hasher, Heard, KeyRing, Verdicts};
use millrace_platform::postgres::keys::{Keys, StoredKey};
use millrace_platform::postgres::{Database, migrate};
use millrace_platform::redis::Redis;
use sqlx::{Connection, Executor, PgConnection};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct World {
    pub(crate) ring: KeyRing,
    pub(crate) table: Keys,
    pub(crate) verdicts: Verdicts,
    pub(crate) stream: StreamId,
    url: String,
    redis: Redis,
    installation: Installation,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_redis(&variable("TEST_REDIS_URL")).await
    }

    /// On this Redis, which need not be there.
    pub(crate) async fn with_redis(redis: &str) -> Self {
        let unique = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
        let server = variable("TEST_DATABASE_URL");
        let mut admin = PgConnection::connect(&server).await.unwrap();
        admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {unique}"))).await.unwrap();
        let url = format!("{}/{unique}", server.rsplit_once('/').unwrap().0);
        let env = Env::from_pairs([
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", redis),
            ("MILLRACE_INSTALLATION", &unique),
        ]);
        let config = DatabaseConfig::read(&env).unwrap();
        migrate(&config, PATIENCE).await.unwrap();
        let installation = Installation::read(&env).unwrap();
        let database = Database::open(&config).unwrap();
        let redis = Redis::connect(&RedisConfig::read(&env).unwrap().keys, "keys").unwrap();
        let table = Keys::new(database, installation.clone());
        let verdicts = Verdicts::new(redis.clone(), installation.clone());
        Self {
            ring: KeyRing::new(table.clone(), verdicts.clone(), Hasher::new(4, 2)),
            table,
            verdicts,
            stream: "events.keynote".parse().unwrap(),
            url,
            redis,
            installation,
        }
    }

    /// A key that the API may be asked for.
    pub(crate) fn wanted(&self, name: &str) -> ApiKey {
        ApiKey {
            stream: self.stream.clone(),
            name: name.parse().unwrap(),
            broadcaster: "acme".to_owned(),
            expires_ms: None,
        }
    }

    pub(crate) async fn row(&self, id: &KeyId) -> StoredKey {
        self.table.find(id).await.unwrap().unwrap()
    }

    pub(crate) async fn execute(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection.execute(statement).await.unwrap();
    }

    /// Everything the table holds, as text.
    pub(crate) async fn dump(&self) -> String {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar("SELECT coalesce(string_agg(k::text, E'\\n'), '') FROM stream_keys k")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Somebody who hears of changes from now on.
    pub(crate) async fn listener(&self) -> Announcements {
        let mut listener = Announcements::new(self.redis.clone(), &self.installation);
        assert_eq!(hear(&mut listener).await, Heard::Listening);
        listener
    }
}

pub(crate) async fn hear(listener: &mut Announcements) -> Heard {
    tokio::time::timeout(PATIENCE, listener.next()).await.expect("nothing is heard")
}

pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
