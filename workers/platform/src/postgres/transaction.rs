//! A transaction as a value: what is written through it is committed together
//! or not at all.

use sqlx::PgConnection;

use super::{Database, DatabaseError};

/// Begun by [`Database::begin`]. Dropped without [`Transaction::commit`] it
/// changes nothing.
#[derive(Debug)]
pub struct Transaction {
    inner: sqlx::Transaction<'static, sqlx::Postgres>,
    database: Database,
}

impl Database {
    /// Begins a transaction on a connection of the pool.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let inner = self.pool().begin().await.map_err(|e| self.error("begin a transaction", e))?;
        Ok(Transaction { inner, database: self.clone() })
    }
}

impl Transaction {
    /// Makes all of it so.
    ///
    /// # Errors
    /// After `Unavailable` nobody knows whether it was committed: what is
    /// written must bear to be written again.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        let Self { inner, database } = self;
        inner.commit().await.map_err(|e| database.error("commit a transaction", e))
    }

    /// The connection, for the modules of the tables.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    pub(crate) fn error(&self, what: impl Into<String>, source: sqlx::Error) -> DatabaseError {
        self.database.error(what, source)
    }
}
