//! A circuit breaker before the pool, for whoever would wait for a connection
//! again and again while Postgres is away.
//!
//! A connection that was had closes it; whatever is said there is an answer. A
//! failure is only what says that the server is away. All clones of a
//! [`Database`] tell the breaker how they fare, those that it does not stand
//! before as well: what must be tried until it works finds out for the others.

use std::future::ready;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::{Database, DatabaseError};
use crate::breaker::{Breaker, BreakerMetrics};

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// How long Postgres is then left alone.
const COOL_DOWN: Duration = Duration::from_secs(2);

/// The breaker of a pool, where it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<OnceLock<Breaker>>);

impl Shared {
    /// A pool that tells it of each connection that can be had.
    pub(super) fn noting(&self, pool: PgPoolOptions) -> PgPoolOptions {
        let (made, lent) = (self.clone(), self.clone());
        pool.after_connect(move |_, _| {
            made.succeeded();
            Box::pin(ready(Ok(())))
        })
        // It has answered by then.
        .before_acquire(move |_, _| {
            lent.succeeded();
            Box::pin(ready(Ok(true)))
        })
    }

    fn succeeded(&self) {
        if let Some(breaker) = self.0.get() {
            breaker.succeeded();
        }
    }

    pub(super) fn note(&self, error: &DatabaseError) {
        if let (Some(breaker), DatabaseError::Unavailable { .. }) = (self.0.get(), error) {
            breaker.failed(Instant::now());
        }
    }

    fn is_open(&self) -> bool {
        self.0.get().is_some_and(|breaker| !breaker.allows(Instant::now()))
    }
}

impl Database {
    /// The same pool, behind a breaker that is shown under this use: while it
    /// is open, everything is [`DatabaseError::LeftAlone`] at once. A pool has
    /// one breaker, the first that it was given.
    #[must_use]
    pub fn guarded(&self, metrics: &BreakerMetrics, r#use: &'static str) -> Self {
        self.breaker.0.get_or_init(|| Breaker::new(FAILURES, COOL_DOWN).observed(metrics, r#use));
        let options = PgConnectOptions::clone(&self.pool.connect_options());
        let refusing = PgPoolOptions::new().connect_lazy_with(options);
        // It is closed at once; there is nothing to wait for.
        drop(refusing.close());
        Self { refusing: Some(refusing), ..self.clone() }
    }

    /// The pool, for the modules of the tables.
    pub(crate) fn pool(&self) -> &PgPool {
        match &self.refusing {
            Some(refusing) if self.breaker.is_open() => refusing,
            _ => &self.pool,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_no_failure_whatever_it_says() {
        let breaker = Shared(Arc::new(OnceLock::from(Breaker::new(FAILURES, COOL_DOWN))));
        let (what, detail) = ("write it".to_owned(), "no".to_owned());
        let server = "postgres://here".to_owned();
        let answers = [
            DatabaseError::NotFound { what: what.clone() },
            DatabaseError::Conflict { what: what.clone(), detail: detail.clone() },
            DatabaseError::Invalid { what: what.clone(), detail: detail.clone() },
            DatabaseError::TimedOut { what: what.clone(), server: server.clone(), detail },
            DatabaseError::LeftAlone { what: what.clone(), server: server.clone() },
        ];
        for answer in &answers {
            breaker.note(answer);
        }
        assert!(!breaker.is_open());
        let source = sqlx::Error::PoolTimedOut;
        let away = DatabaseError::new(what, server, source);
        (0..FAILURES).for_each(|_| breaker.note(&away));
        assert!(breaker.is_open());
        breaker.succeeded();
        assert!(!breaker.is_open());
    }
}
