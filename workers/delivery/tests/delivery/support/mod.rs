//! Replicas of delivery in this process, over a real Redis and a directory
//! store of their own.

pub(crate) mod feed;
pub(crate) mod live;
pub(crate) mod nginx;
pub(crate) mod postgres;
pub(crate) mod socket;
pub(crate) mod wire;

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use flate2::read::GzDecoder;
use millrace_delivery::background;
use millrace_delivery::http::api::{self, state::Api};
use millrace_delivery::metrics::Metrics;
use millrace_delivery::origin::Origin;
use millrace_delivery::server::Server;
use millrace_delivery::settings::Settings;
use millrace_harness::proxy::Proxy;
use millrace_media::id::StreamId;
use millrace_media::published::Access;
use millrace_platform::config::Env;
use millrace_platform::health::{self, Health};
use millrace_platform::postgres::Database;
use millrace_platform::tokens::Scope;
use millrace_platform::{telemetry, tls};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use feed::Feed;
use wire::Wire;

/// Longer than anything takes that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An installation of its own in Redis and a directory, with one stream.
pub(crate) struct World {
    pub stream: StreamId,
    store: TempDir,
    redis: String,
    installation: String,
    database: Option<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        // For the HTTP client.
        tls::install_provider();
        let redis = std::env::var("TEST_REDIS_URL")
            .expect("TEST_REDIS_URL is not set: run `make test`, which starts the servers");
        Self {
            stream: StreamId::new("events", "keynote").unwrap(),
            store: tempfile::tempdir().unwrap(),
            redis,
            installation: Uuid::new_v4().simple().to_string(),
            database: None,
        }
    }

    /// With a database of its own in Postgres.
    pub(crate) async fn with_postgres() -> Self {
        let database = postgres::create().await;
        Self { database: Some(database), ..Self::new() }
    }

    /// The settings of a replica whose Postgres is at the end of a wire.
    pub(crate) async fn postgres_by_wire(&self) -> (Wire, Settings) {
        let wire = Wire::to(&self.postgres_address()).await;
        let settings = self.postgres_at(wire.address.port(), &["DATABASE_URL"], 2_000);
        (wire, settings)
    }

    /// The settings of a replica that reaches Postgres through a proxy, for the
    /// API too.
    pub(crate) async fn postgres_by_proxy(&self) -> (Proxy, Settings) {
        let proxy = Proxy::start(self.postgres_address().parse().unwrap()).await.unwrap();
        let names = ["DATABASE_URL", "DATABASE_API_URL"];
        let settings = self.postgres_at(proxy.address().port(), &names, 500);
        (proxy, settings)
    }

    fn postgres_address(&self) -> String {
        let url = url::Url::parse(self.database.as_deref().unwrap()).unwrap();
        format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
    }

    /// With these URLs of Postgres through another port, and so many ms for a
    /// connection.
    fn postgres_at(&self, port: u16, names: &[&'static str], acquire: u64) -> Settings {
        let mut url = url::Url::parse(self.database.as_deref().unwrap()).unwrap();
        url.set_port(Some(port)).unwrap();
        let mut variables = self.variables(&self.redis);
        variables.retain(|(name, _)| !names.contains(name));
        variables.extend(names.iter().map(|name| (*name, url.to_string())));
        variables.push(("DATABASE_ACQUIRE_TIMEOUT_MS", acquire.to_string()));
        variables.push(("DATABASE_STATEMENT_TIMEOUT_MS", "2000".to_owned()));
        Settings::read(&Env::from_pairs(variables)).unwrap()
    }

    /// A token of the API, good for these scopes and streams.
    pub(crate) async fn token(&self, scopes: &[Scope], streams: &str) -> String {
        self.tables().token(scopes, streams).await
    }

    /// Its tables.
    pub(crate) fn tables(&self) -> postgres::Tables {
        postgres::Tables::open(&self.settings(&self.redis))
    }

    /// Its counters and snapshots, and who watches.
    pub(crate) fn origin(&self) -> Origin {
        Origin::open(&self.settings(&self.redis), &Metrics::default()).unwrap()
    }

    /// Where the test's Redis is: `host:port`.
    pub(crate) fn redis_address(&self) -> &str {
        self.redis.trim_start_matches("redis://")
    }

    /// The settings of a replica whose Redis is at this URL.
    pub(crate) fn settings(&self, redis: &str) -> Settings {
        Settings::read(&Env::from_pairs(self.variables(redis))).unwrap()
    }

    /// The environment of a replica whose Redis is at this URL.
    pub(crate) fn variables(&self, redis: &str) -> Vec<(&'static str, String)> {
        let store = format!("file://{}", self.store.path().display());
        let mut variables = vec![
            ("LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("HTTP_PORT", "0".to_owned()),
            ("ADMIN_PORT", "0".to_owned()),
            ("REDIS_URL", redis.to_owned()),
            ("OBJECT_STORE_URL", store),
            ("MILLRACE_INSTALLATION", self.installation.clone()),
        ];
        variables.extend(self.database.clone().map(|url| ("DATABASE_URL", url)));
        variables.extend(self.database.clone().map(|url| ("DATABASE_API_URL", url)));
        variables
    }

    /// Where the test's Redis is.
    pub(crate) fn redis_url(&self) -> &str {
        &self.redis
    }

    /// Begins a broadcast of the stream.
    pub(crate) async fn feed(&self) -> Feed {
        self.feed_of(&self.stream).await
    }

    /// Begins a broadcast of another stream.
    pub(crate) async fn feed_of(&self, stream: &StreamId) -> Feed {
        Feed::begin(&self.settings(&self.redis), stream, Access::Public).await
    }

    /// Begins a broadcast for those with a token.
    pub(crate) async fn closed_feed(&self) -> Feed {
        Feed::begin(&self.settings(&self.redis), &self.stream, Access::Token).await
    }

    /// Starts a replica.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with(self.settings(&self.redis)).await
    }

    /// Starts a replica with these settings.
    pub(crate) async fn replica_with(&self, settings: Settings) -> Replica {
        self.replica_beside(settings, None).await
    }

    /// Starts a replica that knows this API server.
    pub(crate) async fn replica_beside(
        &self,
        settings: Settings,
        kubernetes: Option<kube::Client>,
    ) -> Replica {
        let shutdown = CancellationToken::new();
        let metrics = Metrics::default();
        let origin = Origin::open(&settings, &metrics).unwrap();
        let server = Server::bind(&settings, origin, metrics.clone(), shutdown.clone());
        let server = server.await.unwrap();
        let (viewers, admin) = server.addresses().unwrap();
        let database = settings.database.as_ref().map(|d| Database::open(d).unwrap());
        let health = Health::default();
        let (shared, record) = (server.shared(), database.as_ref());
        let api = Api::open(&settings, shared, record, kubernetes, health.clone()).unwrap();
        let tasks = background::tasks(&settings, database, server.shared(), &shutdown);
        for (_, task) in tasks.unwrap() {
            tokio::spawn(task);
        }
        let registry = telemetry::Metrics::default();
        registry.with(|registry| metrics.register(registry));
        let routes = api::router(api).merge(health::router(health, registry));
        tokio::spawn(server.run(routes));
        Replica {
            viewers,
            admin,
            metrics,
            client: reqwest::Client::new(),
            _stop: shutdown.drop_guard(),
        }
    }

    /// Redis forgets everything of this installation.
    pub(crate) async fn forget_redis(&self) {
        self.forget("*").await;
    }

    /// Redis forgets this installation's keys of this pattern.
    pub(crate) async fn forget(&self, pattern: &str) {
        let client = redis::Client::open(format!("{}/1", self.redis)).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("{}:{pattern}", self.installation);
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
        assert!(!keys.is_empty(), "nothing to forget");
        redis::cmd("DEL").arg(keys).query_async::<()>(&mut redis).await.unwrap();
    }
}

/// A running delivery.
pub(crate) struct Replica {
    pub viewers: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: Metrics,
    pub client: reqwest::Client,
    _stop: DropGuard,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Replica {
    /// GET on the viewers' listener.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// GET with request headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("http://{}{path}", self.viewers));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// GET on the administrators' listener, with a token.
    pub(crate) async fn ask(&self, path: &str, token: &str) -> Answer {
        let request = self.client.get(format!("http://{}{path}", self.admin));
        answer(request.bearer_auth(token)).await
    }

    /// GET in the background.
    pub(crate) fn spawn_get(&self, path: &str) -> tokio::task::JoinHandle<Answer> {
        let request = self.client.get(format!("http://{}{path}", self.viewers));
        tokio::spawn(answer(request))
    }

    /// Waits until so many requests are blocked.
    pub(crate) async fn until_waiters(&self, count: i64) {
        until(async || self.metrics.waiters.get() == count).await;
    }
}

/// Sends a request.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.timeout(PATIENCE).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let packed = headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
    let text = if packed {
        let mut text = String::new();
        GzDecoder::new(&*response.bytes().await.unwrap()).read_to_string(&mut text).unwrap();
        text
    } else {
        response.text().await.unwrap()
    };
    Answer { status, headers, text }
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("did not come true");
}
