//! What can go wrong with Postgres, in the domain's words.

/// SQLSTATE of a refused transition, raised by the trigger in migrations/.
const REFUSED_TRANSITION: &[u8] = b"MR001";

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
    /// It breaks a rule of the schema: a check, a reference, a type.
    #[error("{what}: {detail}")]
    Invalid {
        /// What was attempted on what.
        what: String,
        /// Which rule.
        detail: String,
    },
    /// The role of this process may not.
    #[error("{what}: Postgres at {server}: {detail}")]
    Denied {
        /// What was attempted on what.
        what: String,
        /// Its URL without password.
        server: String,
        /// What it may not.
        detail: String,
    },
    /// Another transaction was in the way; worth another try.
    #[error("{what}: rolled back: {detail}")]
    RolledBack {
        /// What was attempted on what.
        what: String,
        /// How.
        detail: String,
    },
    /// The statement took too long, or waited too long for a lock.
    #[error("{what}: Postgres at {server}: {detail}")]
    TimedOut {
        /// What was attempted on what.
        what: String,
        /// Its URL without password.
        server: String,
        /// For what.
        detail: String,
    },
    /// The server is away, starting, stopping or full; worth another try.
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
    /// Not asked: the server was not available several times in a row. See
    /// [`Database::guarded`](super::Database::guarded).
    #[error("{what}: Postgres at {server} failed several times in a row and is left alone for now")]
    LeftAlone {
        /// What was attempted on what.
        what: String,
        /// Its URL without password.
        server: String,
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
        let (code, detail) = match &source {
            sqlx::Error::RowNotFound => return Self::NotFound { what },
            // Only the pool that refuses is closed while somebody asks.
            sqlx::Error::PoolClosed => return Self::LeftAlone { what, server },
            sqlx::Error::Database(db) => {
                (db.code().unwrap_or_default().into_owned(), db.message().to_owned())
            }
            _ if is_transient(&source) => return Self::Unavailable { what, server, source },
            _ => return Self::Failed { what, server, source },
        };
        // SQLSTATE: the first two characters are the class.
        match code.as_bytes() {
            REFUSED_TRANSITION => Self::InvalidTransition { what, detail },
            b"23505" => Self::Conflict { what, detail },
            [b'2', b'2' | b'3', ..] => Self::Invalid { what, detail },
            b"42501" => Self::Denied { what, server, detail },
            [b'4', b'0', ..] => Self::RolledBack { what, detail },
            b"57014" | b"55P03" => Self::TimedOut { what, server, detail },
            _ if is_transient(&source) => Self::Unavailable { what, server, source },
            _ => Self::Failed { what, server, source },
        }
    }

    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::LeftAlone { .. }
                | Self::TimedOut { .. }
                | Self::RolledBack { .. }
        )
    }
}

/// The server is away, starting, stopping or full.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(db) => db.code().is_some_and(|code| {
            // 08 connection, 25P03 idle in a transaction for too long,
            // 53 resources, 57P shutting down or starting.
            ["08", "25P03", "53", "57P"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
