//! Why a stream is reconciled again soon.

use std::time::Duration;

use millrace_media::id::InvalidId;

use super::Failure;
use crate::reconcile::dereference::DereferenceError;
use crate::reconcile::finalize::FinalizeError;
use crate::reconcile::freeze::ROLL;
use crate::reconcile::prepared::Unprepared;
use crate::reconcile::retry_after;
use crate::reconcile::status::StatusError;

/// Why a stream is reconciled again soon.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// It has no name, namespace or UID, or one that can't be.
    #[error("LiveStream without an identity: {0}")]
    Identity(String),
    /// The finalizer can't be put on.
    #[error("can't put the finalizer on")]
    Hold(#[source] Box<kube::Error>),
    /// Being deleted.
    #[error(transparent)]
    Finalize(#[from] FinalizeError),
    /// Kubernetes can't be read.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// A key can't be made.
    #[error("can't make a publish key")]
    Key(#[from] InvalidId),
    /// A builder's mistake.
    #[error(transparent)]
    Unprepared(#[from] Unprepared),
    /// The status can't be written.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The annotation that replaces pods can't be taken off.
    #[error("can't take the annotation {ROLL} off")]
    Rolled(#[source] Box<kube::Error>),
    /// Stages failed; the status says so.
    #[error("{why}")]
    Incomplete {
        /// The first of them, for metrics.
        stage: &'static str,
        /// In sentences.
        why: String,
        /// For how long the API server asks not to be asked again.
        retry_after: Option<Duration>,
    },
}

impl ReconcileError {
    pub(super) fn incomplete(failures: &[Failure]) -> Self {
        let texts: Vec<_> = failures.iter().map(|failure| failure.text.as_str()).collect();
        let retry_after = failures.iter().filter_map(|failure| failure.retry_after).max();
        // Of what helps to try again.
        let first = failures.iter().find(|failure| failure.is_transient);
        let stage = first.or(failures.first()).map_or("apply", |failure| failure.stage);
        Self::Incomplete { stage, why: texts.join("; "), retry_after }
    }

    /// The stage, for metrics.
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Hold(_) | Self::Finalize(_) => "finalize",
            Self::Dereference(_) => "dereference",
            Self::Key(_) | Self::Unprepared(_) => "build",
            Self::Status(_) | Self::Rolled(_) => "status",
            Self::Incomplete { stage, .. } => stage,
        }
    }

    /// For how long the API server asks not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Hold(error) | Self::Rolled(error) => retry_after::of(error),
            Self::Finalize(error) => error.retry_after(),
            Self::Dereference(error) => error.retry_after(),
            Self::Status(error) => error.retry_after(),
            Self::Incomplete { retry_after, .. } => *retry_after,
            Self::Identity(_) | Self::Key(_) | Self::Unprepared(_) => None,
        }
    }
}
