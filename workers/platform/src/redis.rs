//! Redis: what may be lost.
//!
//! [`Redis`] is one connection to one logical database, made when first needed
//! and again when lost. [`media`] holds parts, segments and playlists (database
//! 1), [`metrics`] the counters and snapshots of each second (2), [`viewers`]
//! who watches (3); verdicts on keys (0) are in [`keys`](crate::keys).
//! [`cleaning`] deletes what a stream has in them.
//!
//! Scripts are sent by their hash, and loaded where the server lacks them.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisResult, Script, ScriptInvocation, ServerErrorKind, TlsCertificates, Value,
};
use serde::Serialize;

use crate::config::{RedisServer, ServiceUrl};
use connection::Connection;

pub mod cleaning;
mod connection;
pub mod media;
pub mod metrics;
pub mod viewers;

/// Longest wait for an answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// The same for work that is tried until it is done: to ask again would not make
/// the answer come sooner.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The kernel gives up a connection whose other end acknowledges nothing for
/// this long.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request to Redis that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The server is away, starting, too slow or full; worth another try.
    #[error("{what}: Redis {name} at {server} is not available")]
    Unavailable {
        /// What was attempted on what.
        what: String,
        /// Which connection.
        name: &'static str,
        /// Its URL without password.
        server: String,
        /// How it failed.
        #[source]
        source: redis::RedisError,
    },
    /// The server refused: wrong password, a key of another type.
    #[error("{what}: Redis {name} at {server} answered with an error")]
    Refused {
        /// What was attempted on what.
        what: String,
        /// Which connection.
        name: &'static str,
        /// Its URL without password.
        server: String,
        /// How it failed.
        #[source]
        source: redis::RedisError,
    },
    /// A value this version can't read or write.
    #[error("{what}: a value in Redis {name} is not what it should be: {detail}")]
    Corrupt {
        /// What was attempted on what.
        what: String,
        /// Which connection.
        name: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl RedisError {
    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// One logical database. Clones share a connection; concurrent commands share
/// its round trips.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
    connection: Connection,
}

struct Inner {
    name: &'static str,
    url: ServiceUrl,
    client: Client,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({} at {})", self.inner.name, self.inner.url)
    }
}

impl Redis {
    /// Opens a database; `name` says in messages which use this is. Asks no
    /// server. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is none the client understands, or the certificates of
    /// `REDIS_CA_FILE` can't be read.
    pub fn connect(server: &RedisServer, name: &'static str) -> Result<Self, RedisError> {
        Self::open(server, name, RESPONSE_TIMEOUT)
    }

    /// The same, for work that has nothing to fall back on: it waits longer for
    /// an answer, from a server that is far away or busy.
    ///
    /// # Errors
    /// The same.
    pub fn connect_patient(server: &RedisServer, name: &'static str) -> Result<Self, RedisError> {
        Self::open(server, name, PATIENT_TIMEOUT)
    }

    fn open(
        server: &RedisServer,
        name: &'static str,
        answer: Duration,
    ) -> Result<Self, RedisError> {
        let RedisServer { url, ca_file } = server;
        let refused = |what: &str, source| RedisError::Refused {
            what: what.to_owned(),
            name,
            server: url.to_string(),
            source,
        };
        let info = url.expose().into_connection_info().map_err(|e| refused("read the URL", e))?;
        let info = info.set_tcp_settings(
            TcpSettings::default().set_nodelay(true).set_user_timeout(UNACKNOWLEDGED),
        );
        let client = match ca_file.as_deref().filter(|_| url.scheme() == "rediss") {
            None => Client::open(info),
            Some(path) => {
                let root_cert = std::fs::read(path)
                    .map_err(|e| refused("read the certificates of REDIS_CA_FILE", e.into()))?;
                let trust = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
                Client::build_with_tls(info, trust)
            }
        };
        let client = client.map_err(|e| refused("read the URL", e))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer))
            .set_min_delay(Duration::from_millis(100))
            .set_max_delay(Duration::from_secs(1))
            // Callers retry; a command must not hang on a server that is away.
            .set_number_of_retries(1);
        let connection = Connection::new(client.clone(), config);
        let connection = connection.map_err(|e| refused("read the URL", e))?;
        Ok(Self { inner: Arc::new(Inner { name, url: url.clone(), client }), connection })
    }

    /// Asks the server for nothing.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.query(&redis::cmd("PING"), || "ask whether it is there".to_owned()).await
    }

    /// Where it is, for messages; without password.
    pub fn url(&self) -> &ServiceUrl {
        &self.inner.url
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// One command.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        command: &Cmd,
        what: impl Fn() -> String,
    ) -> Result<T, RedisError> {
        command.query_async(&mut self.connection()).await.map_err(|e| self.error(what(), e))
    }

    /// Several commands in one round trip.
    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        what: impl Fn() -> String,
    ) -> Result<T, RedisError> {
        commands.query_async(&mut self.connection()).await.map_err(|e| self.error(what(), e))
    }

    /// One script.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        what: impl Fn() -> String,
    ) -> Result<T, RedisError> {
        call.invoke_async(&mut self.connection()).await.map_err(|e| self.error(what(), e))
    }

    /// Calls of one script in one round trip, each with its keys and arguments;
    /// the answers in their order.
    pub(crate) async fn script_for_each<T: FromRedisValue>(
        &self,
        script: &Script,
        calls: &[(Vec<String>, Vec<String>)],
        what: impl Fn() -> String,
    ) -> Result<Vec<T>, RedisError> {
        let command = |(keys, args): &(Vec<String>, Vec<String>)| {
            let mut command = redis::cmd("EVALSHA");
            command.arg(script.get_hash()).arg(keys.len()).arg(keys).arg(args);
            command
        };
        let answers = self.scripts(script, calls.iter().map(command).collect(), &what).await?;
        let read =
            |answer: RedisResult<Value>| answer.and_then(|v| Ok(redis::from_redis_value(v)?));
        answers.into_iter().map(|answer| read(answer).map_err(|e| self.error(what(), e))).collect()
    }

    /// Calls of one script in one round trip; what came of each, in their order.
    pub(crate) async fn scripts(
        &self,
        script: &Script,
        calls: Vec<Cmd>,
        what: impl Fn() -> String,
    ) -> Result<Vec<RedisResult<Value>>, RedisError> {
        let mut pipeline = redis::pipe();
        for call in calls {
            pipeline.add_command(call);
        }
        pipeline.ignore_errors();
        let answers: Vec<RedisResult<Value>> = self.pipeline(&pipeline, &what).await?;
        let lacks = ErrorKind::Server(ServerErrorKind::NoScript);
        if !answers.iter().any(|answer| answer.as_ref().is_err_and(|e| e.kind() == lacks)) {
            return Ok(answers);
        }
        let mut connection = self.connection();
        script.load_async(&mut connection).await.map_err(|e| self.error(what(), e))?;
        self.pipeline(&pipeline, what).await
    }

    /// A connection of one's own for blocking commands, whose answers may take
    /// as long as they say.
    pub(crate) async fn dedicated(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        self.inner
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|e| self.error("connect".to_owned(), e))
    }

    /// A connection that listens to one channel.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<PubSub, RedisError> {
        let what = || format!("listen to {channel}");
        let work = async {
            let mut connection = self.inner.client.get_async_pubsub().await?;
            connection.subscribe(channel).await?;
            Ok(connection)
        };
        let late = || redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        tokio::time::timeout(CONNECT_TIMEOUT, work)
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(|e| self.error(what(), e))
    }

    pub(crate) fn to_json(
        &self,
        value: &impl Serialize,
        what: impl Fn() -> String,
    ) -> Result<Vec<u8>, RedisError> {
        serde_json::to_vec(value).map_err(|e| self.corrupt(what(), &e))
    }

    pub(crate) fn corrupt(&self, what: String, detail: &impl ToString) -> RedisError {
        RedisError::Corrupt { what, name: self.inner.name, detail: detail.to_string() }
    }

    pub(crate) fn error(&self, what: String, source: redis::RedisError) -> RedisError {
        let (name, server) = (self.inner.name, self.inner.url.to_string());
        let transient = source.is_io_error()
            || source.is_timeout()
            || source.is_connection_dropped()
            || source.is_connection_refusal()
            // Full: what expires makes room.
            || source.code() == Some("OOM")
            || matches!(
                source.kind(),
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::TryAgain
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                )
            );
        if transient {
            RedisError::Unavailable { what, name, server, source }
        } else {
            RedisError::Refused { what, name, server, source }
        }
    }
}
