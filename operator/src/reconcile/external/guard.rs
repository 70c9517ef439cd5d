//! Stands before a service: no call takes longer than [`BOUND`], and while the
//! service is away none is made, but for a probe now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_platform::breaker::{Breaker, BreakerMetrics, State};

use super::ExternalError;
use super::step::{Service, StepError};

/// Longest time that a step waits for its service.
pub const BOUND: Duration = Duration::from_secs(5);
/// One failure to reach it is enough: what many streams wait for in turn makes
/// each of them late.
const FAILURES: u32 = 1;
/// Then it is left alone for so long.
const COOL_DOWN: Duration = Duration::from_secs(2);

/// Clones share what is known of the service.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    service: Service,
    breaker: Arc<Breaker>,
}

impl Guard {
    pub(super) fn new(service: Service, metrics: &BreakerMetrics) -> Self {
        let breaker = Breaker::new(FAILURES, COOL_DOWN).observed(metrics, service.label());
        Self { service, breaker: Arc::new(breaker) }
    }

    /// It was away when it was last asked.
    pub(super) fn is_away(&self) -> bool {
        self.breaker.state() != State::Closed
    }

    /// Does the work, unless the service is known to be away.
    pub(super) async fn call<T, E: Into<ExternalError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StepError> {
        if !self.breaker.allows(Instant::now()) {
            return Err(StepError::LeftAlone(self.service));
        }
        let error = match tokio::time::timeout(BOUND, work).await {
            Ok(Ok(value)) => {
                self.breaker.succeeded();
                return Ok(value);
            }
            Ok(Err(error)) => StepError::from(error),
            Err(_) => StepError::Late(self.service),
        };
        // A refusal is an answer, and another service's trouble is none of this
        // one's.
        if error.is_transient() && error.service() == Some(self.service) {
            self.breaker.failed(Instant::now());
        } else {
            self.breaker.succeeded();
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use millrace_platform::postgres::DatabaseError;

    use super::*;

    fn error(transient: bool) -> DatabaseError {
        let (what, detail) = ("x".to_owned(), "y".to_owned());
        if transient {
            DatabaseError::TimedOut { what, server: "z".to_owned(), detail }
        } else {
            DatabaseError::Conflict { what, detail }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_away_is_left_alone_and_a_refusal_is_an_answer() {
        let guard = Guard::new(Service::Postgres, &BreakerMetrics::default());
        let refused = guard.call(async { Err::<(), _>(error(false)) }).await.unwrap_err();
        assert!(!refused.is_transient());
        let away = guard.call(async { Err::<(), _>(error(true)) }).await.unwrap_err();
        assert!(matches!(away, StepError::Failed(_)));
        let asked = guard.call(async { Ok::<_, DatabaseError>(()) }).await.unwrap_err();
        assert!(matches!(asked, StepError::LeftAlone(Service::Postgres)), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_says_nothing_is_waited_for_as_long_as_the_bound() {
        let guard = Guard::new(Service::Kafka, &BreakerMetrics::default());
        let begun = tokio::time::Instant::now();
        let silent = guard.call(std::future::pending::<Result<(), DatabaseError>>()).await;
        assert!(matches!(silent, Err(StepError::Late(Service::Kafka))), "{silent:?}");
        assert_eq!(begun.elapsed(), BOUND);
    }
}
