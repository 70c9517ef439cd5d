//! A database of one test, and its tables.

use millrace_delivery::settings::Settings;
use millrace_platform::config::{DatabaseConfig, Env};
use millrace_platform::postgres::metrics::StreamMetrics;
use millrace_platform::postgres::outbox::{Outbox, Waiting};
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
}

impl Tables {
    pub(crate) fn open(settings: &Settings) -> Self {
        let installation = &settings.installation;
        let database = Database::open(settings.database.as_ref().unwrap()).unwrap();
        Self {
            metrics: StreamMetrics::new(database.clone(), installation.clone()),
            sessions: Sessions::new(database.clone(), installation.clone()),
            outbox: Outbox::new(database, installation.clone()),
        }
    }

    /// Every session, the latest to join first.
    pub(crate) async fn sessions(&self) -> Vec<Session> {
        let all = self.sessions.list(&SessionFilter::default(), Default::default()).await;
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
