//! The connection that commands share.
//!
//! The client's manager connects again when a connection breaks, but not when
//! it falls silent: a machine that vanishes closes nothing, and the kernel
//! gives up after a quarter of an hour. So a connection on which some commands
//! in a row waited in vain is replaced here. So is one to a server that has
//! become a replica, which takes no writes and need not close anything either:
//! its name may lead to another by now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
};

/// Commands in a row without an answer in time, after which a connection is
/// given up.
const UNANSWERED: u32 = 3;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    config: ConnectionManagerConfig,
    current: Mutex<Current>,
}

struct Current {
    manager: ConnectionManager,
    /// Which one it is.
    number: u64,
    unanswered: u32,
}

impl Connection {
    /// Connects when first needed. Needs a Tokio runtime.
    pub(super) fn new(client: Client, config: ConnectionManagerConfig) -> RedisResult<Self> {
        let manager = client.get_connection_manager_lazy(config.clone())?;
        let current = Current { manager, number: 0, unanswered: 0 };
        Ok(Self(Arc::new(Shared { client, config, current: Mutex::new(current) })))
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> (ConnectionManager, u64) {
        let current = self.lock();
        (current.manager.clone(), current.number)
    }

    /// Takes note of how a command on this connection ended.
    fn judge(&self, number: u64, answer: Result<&[Value], &RedisError>) {
        let readonly = ServerErrorKind::ReadOnly;
        let refused =
            |value: &Value| matches!(value, Value::ServerError(e) if e.kind() == Some(readonly));
        let (in_vain, is_replica) = match answer {
            Ok(values) => (false, values.iter().any(refused)),
            Err(error) => (error.is_timeout(), error.kind() == ErrorKind::Server(readonly)),
        };
        let mut current = self.lock();
        if current.number != number {
            return;
        }
        current.unanswered = if in_vain { current.unanswered + 1 } else { 0 };
        if current.unanswered < UNANSWERED && !is_replica {
            return;
        }
        if let Ok(manager) = self.0.client.get_connection_manager_lazy(self.0.config.clone()) {
            *current = Current { manager, number: number + 1, unanswered: 0 };
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (mut manager, number) = self.current();
            let answer = manager.req_packed_command(command).await;
            self.judge(number, answer.as_ref().map(std::slice::from_ref));
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (mut manager, number) = self.current();
            let answer = manager.req_packed_commands(commands, offset, count).await;
            self.judge(number, answer.as_deref());
            answer
        })
    }

    fn get_db(&self) -> i64 {
        self.current().0.get_db()
    }
}
