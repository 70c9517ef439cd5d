//! How a step outside went, in words that conditions can carry.

use std::fmt;
use std::sync::Arc;

use millrace_platform::keys::KeyError;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::report::report;

use super::ExternalError;
use super::guard::BOUND;

/// What a step that worked did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing: all was as it should be.
    Unchanged,
    /// It wrote.
    Written,
}

/// Whom a step asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Topics, the logs.
    Kafka,
    /// Keys, the register, the record.
    Postgres,
    /// Caches.
    Redis,
    /// Media.
    Store,
}

impl Service {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Postgres => "Postgres",
            Self::Redis => "Redis",
            Self::Store => "the object store",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a step did not work, as a condition's reason says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own sentence")]
pub enum Reason {
    KafkaUnavailable,
    TopicRefused,
    PostgresUnavailable,
    PostgresRefused,
    RedisUnavailable,
    RedisRefused,
    StoreUnavailable,
    StoreRefused,
    /// A key of the Secret was revoked before, or is another stream's.
    KeyConflict,
    /// What a deleted LiveStream of this name left is being cleaned up.
    CleaningUp,
    /// Something else; the message says what.
    Failed,
}

impl Reason {
    /// All there are: each has its row in the table of conditions.
    #[cfg(test)]
    pub(in crate::reconcile) const ALL: [Self; 11] = [
        Self::KafkaUnavailable,
        Self::TopicRefused,
        Self::PostgresUnavailable,
        Self::PostgresRefused,
        Self::RedisUnavailable,
        Self::RedisRefused,
        Self::StoreUnavailable,
        Self::StoreRefused,
        Self::KeyConflict,
        Self::CleaningUp,
        Self::Failed,
    ];

    /// In CamelCase.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KafkaUnavailable => "KafkaUnavailable",
            Self::TopicRefused => "TopicRefused",
            Self::PostgresUnavailable => "PostgresUnavailable",
            Self::PostgresRefused => "PostgresRefused",
            Self::RedisUnavailable => "RedisUnavailable",
            Self::RedisRefused => "RedisRefused",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::StoreRefused => "StoreRefused",
            Self::KeyConflict => "KeyConflict",
            Self::CleaningUp => "CleaningUp",
            Self::Failed => "Failed",
        }
    }
}

/// A step that did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    /// Not asked: it failed a moment ago.
    #[error("{0} failed a moment ago and is left alone for now")]
    LeftAlone(Service),
    /// It did not answer in time.
    #[error("{0} took longer than {seconds} s", seconds = BOUND.as_secs())]
    Late(Service),
    /// It can't be reached, or refused.
    #[error(transparent)]
    Failed(Arc<ExternalError>),
    /// What a deleted LiveStream of this name left is being cleaned up.
    #[error("what a deleted LiveStream of this name left is being cleaned up")]
    CleaningUp,
}

impl<E: Into<ExternalError>> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::Failed(Arc::new(error.into()))
    }
}

impl StepError {
    /// Whom it is about.
    pub fn service(&self) -> Option<Service> {
        match self {
            Self::LeftAlone(service) | Self::Late(service) => Some(*service),
            Self::Failed(error) => service_of(error),
            Self::CleaningUp => None,
        }
    }

    /// For a condition.
    pub fn reason(&self) -> Reason {
        match self {
            Self::LeftAlone(service) | Self::Late(service) => unavailable(*service),
            Self::CleaningUp => Reason::CleaningUp,
            Self::Failed(error) => match (&**error, service_of(error)) {
                (ExternalError::Keys(KeyError::Postgres(DatabaseError::Conflict { .. })), _) => {
                    Reason::KeyConflict
                }
                (error, Some(service)) if error.is_transient() => unavailable(service),
                (_, Some(Service::Kafka)) => Reason::TopicRefused,
                (_, Some(Service::Postgres)) => Reason::PostgresRefused,
                (_, Some(Service::Redis)) => Reason::RedisRefused,
                (_, Some(Service::Store)) => Reason::StoreRefused,
                (_, None) => Reason::Failed,
            },
        }
    }

    /// For a condition: the same for all ways in which a service can be away,
    /// so that a status is not written again for each.
    pub fn message(&self) -> String {
        match (self, self.service()) {
            (Self::Failed(error), _) if !error.is_transient() => report(&**error),
            (_, Some(service)) => {
                format!("{service} can't be reached, or takes no more for now; it is tried again")
            }
            (_, None) => self.to_string(),
        }
    }

    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LeftAlone(_) | Self::Late(_) | Self::CleaningUp => true,
            Self::Failed(error) => error.is_transient(),
        }
    }
}

fn unavailable(service: Service) -> Reason {
    match service {
        Service::Kafka => Reason::KafkaUnavailable,
        Service::Postgres => Reason::PostgresUnavailable,
        Service::Redis => Reason::RedisUnavailable,
        Service::Store => Reason::StoreUnavailable,
    }
}

fn service_of(error: &ExternalError) -> Option<Service> {
    match error {
        ExternalError::Kafka(_) | ExternalError::Ending(_) => Some(Service::Kafka),
        ExternalError::Postgres(_) | ExternalError::Keys(KeyError::Postgres(_)) => {
            Some(Service::Postgres)
        }
        ExternalError::Redis(_) => Some(Service::Redis),
        ExternalError::Store(_) => Some(Service::Store),
        ExternalError::Config(_) | ExternalError::Keys(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_be_away_have_one_reason_and_one_message() {
        let lost = DatabaseError::TimedOut {
            what: "list keys".to_owned(),
            server: "postgres://here".to_owned(),
            detail: "statement".to_owned(),
        };
        let errors = [
            StepError::LeftAlone(Service::Postgres),
            StepError::Late(Service::Postgres),
            StepError::from(KeyError::Postgres(lost)),
        ];
        for error in errors {
            assert_eq!(error.reason(), Reason::PostgresUnavailable, "{error}");
            assert_eq!(
                error.message(),
                "Postgres can't be reached, or takes no more for now; it is tried again"
            );
            assert!(error.is_transient());
        }
    }

    #[test]
    fn a_refusal_says_what_was_refused_and_waits() {
        let conflict = DatabaseError::Conflict {
            what: "store key abcd".to_owned(),
            detail: "the id is revoked".to_owned(),
        };
        let error = StepError::from(KeyError::Postgres(conflict));
        assert_eq!(error.reason().as_str(), "KeyConflict");
        assert_eq!(error.message(), "store key abcd: the id is revoked");
        assert!(!error.is_transient());
    }

    #[test]
    fn reasons_are_told_apart() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
