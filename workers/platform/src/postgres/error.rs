//! What can go wrong with Postgres, in the domain's words.

/// SQLSTATE of a refused transition, raised by the trigger in migrations/.
const REFUSED_TRANSITION: &str = "MR001";

/// A request to Postgres that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No such row.
    #[error("{what}: not found")]
    NotFound {
        /// What was attempted on what.
        what: String,
    },
    /// Another row is in the way.
    #[error("{what}: {detail}")]
    Conflict {
        /// What was attempted on what.
        what: String,
        /// What is in the way.
        detail: String,
    },
    /// A broadcast can't go from its state to this one.
    #[error("{what}: {detail}")]
    InvalidTransition {
        /// What was attempted on what.
        what: String,
        /// From where to where.
        detail: String,
    },
    /// The server is away or too slow; worth another try.
    #[error("{what}: Postgres at {server} is not available")]
    Unavailable {
        /// What was attempted on what.
        what: String,
        /// Its URL without password.
        server: String,
        /// How it failed.
        #[source]
        source: sqlx::Error,
    },
    /// Anything else: a wrong password, a missing table, a row this version
    /// can't read.
    #[error("{what}: Postgres at {server} answered with an error")]
    Failed {
        /// What was attempted on what.
        what: String,
        /// Its URL without password.
        server: String,
        /// How it failed.
        #[source]
        source: sqlx::Error,
    },
}

impl DatabaseError {
    pub(crate) fn new(what: String, server: String, source: sqlx::Error) -> Self {
        if is_transient(&source) {
            return Self::Unavailable { what, server, source };
        }
        match &source {
            sqlx::Error::RowNotFound => Self::NotFound { what },
            sqlx::Error::Database(db) if db.code().as_deref() == Some(REFUSED_TRANSITION) => {
                Self::InvalidTransition { what, detail: db.message().to_owned() }
            }
            sqlx::Error::Database(db) if db.is_unique_violation() => {
                Self::Conflict { what, detail: db.message().to_owned() }
            }
            _ => Self::Failed { what, server, source },
        }
    }

    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The server is away, starting, stopping, full or too slow.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(db) => db.code().is_some_and(|code| {
            // 08 connection, 40 rolled back (deadlock, serialization),
            // 53 resources, 57 shutting down, starting, cancelled by time-out.
            ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
