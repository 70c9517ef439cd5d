//! A migrated database of its own for each test.

use std::time::Duration;

use millrace_media::id::{BroadcastId, Epoch, StreamId};
use millrace_platform::config::{DatabaseConfig, Env, Installation};
use millrace_platform::postgres::broadcasts::{Broadcasts, Opened};
use millrace_platform::postgres::{Database, migrate};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct World {
    pub(crate) config: DatabaseConfig,
    pub(crate) database: Database,
    pub(crate) url: String,
    /// A name nobody else has.
    pub(crate) unique: String,
}

pub(crate) fn server() -> String {
    let url = std::env::var("TEST_DATABASE_URL");
    url.unwrap_or_else(|_| panic!("TEST_DATABASE_URL is not set: run `make test`"))
}

/// What the environment of a program would say.
pub(crate) fn config(url: &str, settings: &[(&str, &str)]) -> DatabaseConfig {
    let pairs = settings.iter().copied().chain([("DATABASE_URL", url)]);
    DatabaseConfig::read(&Env::from_pairs(pairs)).unwrap()
}

pub(crate) fn installation(id: &str) -> Installation {
    Installation::read(&Env::from_pairs([("MILLRACE_INSTALLATION", id)])).unwrap()
}

pub(crate) fn stream(text: &str) -> StreamId {
    text.parse().unwrap()
}

/// A broadcast that begins then.
pub(crate) fn opened(stream_id: &str, started_ms: i64) -> Opened {
    Opened {
        broadcast: BroadcastId(Uuid::now_v7()),
        stream: stream(stream_id),
        epoch: Epoch(1),
        key_id: "abcd1234".parse().unwrap(),
        started_ms,
    }
}

impl World {
    /// An empty database.
    pub(crate) async fn empty() -> Self {
        let unique = format!("t{}", &Uuid::new_v4().simple().to_string()[..16]);
        let server = server();
        let mut admin = PgConnection::connect(&server).await.unwrap();
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {unique}"))).await.unwrap();
        let url = format!("{}/{unique}", server.rsplit_once('/').unwrap().0);
        let config = config(&url, &[]);
        let database = Database::open(&config).unwrap();
        Self { config, database, url, unique }
    }

    /// One with the schema.
    pub(crate) async fn new() -> Self {
        let world = Self::empty().await;
        migrate(&world.config, PATIENCE).await.unwrap();
        world
    }

    /// A pool with these settings changed.
    pub(crate) fn pool(&self, settings: &[(&str, &str)]) -> Database {
        Database::open(&config(&self.url, settings)).unwrap()
    }

    /// A connection of the owner, to look behind the modules.
    pub(crate) async fn behind(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements as the owner.
    pub(crate) async fn run(&self, sql: &str) {
        self.behind().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    }

    /// One number, asked as the owner.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.behind().await;
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
    }

    pub(crate) fn broadcasts(&self) -> Broadcasts {
        Broadcasts::new(self.database.clone(), Installation::default())
    }

    /// Writes a row of `streams`.
    pub(crate) async fn open(&self, opened: &Opened) {
        let mut transaction = self.database.begin().await.unwrap();
        self.broadcasts().open(&mut transaction, opened).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

/// Asks until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, ask: impl Fn() -> F) {
    let start = tokio::time::Instant::now();
    while !ask().await {
        assert!(start.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
