//! A database of one test, and its tables.

use std::time::Duration;

use millrace_delivery::keeping::Keeping;
use millrace_delivery::settings::Settings;
use millrace_media::id::{BroadcastId, Epoch, KeyId, StreamId};
use millrace_platform::config::{DatabaseConfig, Env};
use millrace_platform::keys::KeyHash;
use millrace_platform::postgres::broadcasts::{Broadcasts, Opened};
use millrace_platform::postgres::keys::{KeySource, Keys, NewKey};
use millrace_platform::postgres::metrics::StreamMetrics;
use millrace_platform::postgres::outbox::{Outbox, Waiting};
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::sessions::{Session, SessionFilter, Sessions};
use millrace_platform::postgres::tokens::{NewToken, Tokens};
use millrace_platform::postgres::{Database, migrate};
use millrace_platform::tokens::{ApiToken, Scope};
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

    /// The broadcast fails.
    pub(crate) async fn fail(&self, broadcast: BroadcastId) {
        let broadcasts = Broadcasts::new(self.database.clone(), self.settings.installation.clone());
        let mut transaction = self.database.begin().await.unwrap();
        broadcasts.fail(&mut transaction, broadcast, "noMedia", 1_764_000_001_000).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// A key as the operator writes it.
    pub(crate) async fn spec_key(&self, stream: &StreamId) -> KeyId {
        let key = NewKey {
            id: "spec1234".parse().unwrap(),
            stream: stream.clone(),
            name: "main".to_owned(),
            broadcaster: "acme".to_owned(),
            hash: KeyHash::from_stored("$2b$04$x".to_owned()),
            source: KeySource::Spec,
            expires_ms: None,
        };
        let keys = Keys::new(self.database.clone(), self.settings.installation.clone());
        keys.upsert(&key).await.unwrap();
        key.id
    }

    /// A token of the API.
    pub(crate) async fn token(&self, scopes: &[Scope], streams: &str) -> String {
        let token = ApiToken::generate(&mut rand::rng());
        let row = NewToken {
            name: "test".parse().unwrap(),
            scopes: scopes.iter().copied().collect(),
            streams: streams.split(',').map(|text| text.parse().unwrap()).collect(),
            created_by: "a test".to_owned(),
            expires_ms: None,
        };
        let tokens = self.tokens();
        tokens.insert(&row, token.hash()).await.unwrap().unwrap();
        token.reveal().to_owned()
    }

    /// The tokens of the API.
    pub(crate) fn tokens(&self) -> Tokens {
        Tokens::new(self.database.clone(), self.settings.installation.clone())
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
