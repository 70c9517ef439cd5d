//! A database of one test, and its tables.

use std::time::Duration;

use millrace_delivery::keeping::Keeping;
use millrace_delivery::settings::Settings;
use millrace_media::id::{BroadcastId, Epoch, StreamId};
use millrace_platform::config::{DatabaseConfig, Env};
use millrace_platform::postgres::broadcasts::{Broadcasts, Opened};
use millrace_platform::postgres::metrics::StreamMetrics;
use millrace_platform::postgres::outbox::{Outbox, Waiting};
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::sessions::{Session, SessionFilter, Sessions};
use millrace_platform::postgres::{Database, migrate};
use sqlx::{Connection, Executor};

use super::PATIENCE;

/// Makes one with the schema; its URL.
pub(crate) async fn create() -> String {
    let server = std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL is not set: run `make test`, which starts the servers");
    let name = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
    let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    let config = DatabaseConfig::read(&Env::from_pairs([("DATABASE_URL", &url)])).unwrap();
    migrate(&config, PATIENCE).await.unwrap();
    url
}

/// What is recorded.
pub(crate) struct Tables {
    pub(crate) metrics: StreamMetrics,
    sessions: Sessions,
    outbox: Outbox,
    database: Database,
    settings: Settings,
}

impl Tables {
    pub(crate) fn open(settings: &Settings) -> Self {
        let installation = &settings.installation;
        let database = Database::open(settings.database.as_ref().unwrap()).unwrap();
        Self {
            settings: settings.clone(),
            metrics: StreamMetrics::new(database.clone(), installation.clone()),
            sessions: Sessions::new(database.clone(), installation.clone()),
            outbox: Outbox::new(database.clone(), installation.clone()),
            database,
        }
    }

    /// What keeps them in order.
    pub(crate) fn keeping(&self) -> Keeping {
        let (sessions, outbox) = (self.sessions.clone(), self.outbox.clone());
        Keeping::new(self.database.clone(), sessions, outbox, self.settings.retention)
    }

    /// As if the viewers with this beginning joined and were seen so long ago.
    pub(crate) async fn seen_before(&self, viewer: &str, ago: Duration) {
        let url = self.settings.database.as_ref().unwrap().url.expose();
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let update = format!(
            "UPDATE viewer_sessions SET joined_at = joined_at - interval '{0} s',
                 last_seen_at = last_seen_at - interval '{0} s'
             WHERE viewer LIKE '{viewer}%'",
            ago.as_secs()
        );
        connection.execute(sqlx::AssertSqlSafe(update)).await.unwrap();
    }

    /// Locks the metrics until it is dropped; a writer waits for it already.
    pub(crate) async fn lock_metrics(&self) -> sqlx::PgConnection {
        let url = self.settings.database.as_ref().unwrap().url.expose();
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let lock = "BEGIN; LOCK TABLE stream_metrics IN ACCESS EXCLUSIVE MODE";
        connection.execute(sqlx::raw_sql(lock)).await.unwrap();
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE NOT l.granted AND d.datname = current_database()";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap() == 0 {
        }
        connection
    }

    /// As ingest writes the row of a broadcast.
    pub(crate) async fn begin(&self, stream: &StreamId, broadcast: BroadcastId) {
        let broadcasts = Broadcasts::new(self.database.clone(), self.settings.installation.clone());
        let mut transaction = self.database.begin().await.unwrap();
        let opened = Opened {
            broadcast,
            stream: stream.clone(),
            epoch: Epoch(1),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 1_764_000_000_000,
        };
        broadcasts.open(&mut transaction, &opened).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Every session, the latest to join first.
    pub(crate) async fn sessions(&self) -> Vec<Session> {
        let all = self.sessions.list(&SessionFilter::default(), PageRequest::default()).await;
        all.unwrap().items
    }

    /// Every event: its kind without the prefix, and its data.
    pub(crate) async fn events(&self) -> Vec<(String, serde_json::Value)> {
        let waiting = self.outbox.fetch(1_000).await.unwrap();
        let event = |event: Waiting| {
            let kind = event.kind.trim_start_matches("dev.millrace.").to_owned();
            (kind, serde_json::from_str(&event.data).unwrap())
        };
        waiting.into_iter().map(event).collect()
    }
}
