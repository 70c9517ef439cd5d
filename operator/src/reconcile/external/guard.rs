//! Stands before a service: no call takes longer than [`BOUND`], and while the
//! service is away none is made, but for a probe now and then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use millrace_platform::breaker::{Breaker, BreakerMetrics, State};
use millrace_platform::health::{Check, Health};

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
    check: Arc<OnceLock<Check>>,
    /// It is not to be asked, whether it is there or not.
    held: Arc<AtomicBool>,
}

impl Guard {
    pub(super) fn new(service: Service, metrics: &BreakerMetrics) -> Self {
        let breaker = Breaker::new(FAILURES, COOL_DOWN).observed(metrics, service.label());
        Self { service, breaker: Arc::new(breaker), check: Arc::default(), held: Arc::default() }
    }

    /// From now on a check says whether it can be had, as far as it was asked.
    pub(super) fn show(&self, health: &Health) {
        self.check.get_or_init(|| health.informative(self.service.label())).ok();
    }

    /// It is away, and left alone until it is [let go](Self::let_go).
    pub(super) fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
        self.failed(&StepError::LeftAlone(self.service));
    }

    /// It may be asked again.
    pub(super) fn let_go(&self) {
        self.held.store(false, Ordering::Relaxed);
        self.succeeded();
    }

    fn succeeded(&self) {
        self.breaker.succeeded();
        if let Some(check) = self.check.get() {
            check.ok();
        }
    }

    fn failed(&self, error: &StepError) {
        self.breaker.failed(Instant::now());
        if let Some(check) = self.check.get() {
            check.failing(error.message());
        }
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
        if self.held.load(Ordering::Relaxed) || !self.breaker.allows(Instant::now()) {
            return Err(StepError::LeftAlone(self.service));
        }
        let error = match tokio::time::timeout(BOUND, work).await {
            Ok(Ok(value)) => {
                self.succeeded();
                return Ok(value);
            }
            Ok(Err(error)) => StepError::from(error),
            Err(_) => StepError::Late(self.service),
        };
        // A refusal is an answer, and another service's trouble is none of this
        // one's.
        if error.is_transient() && error.service() == Some(self.service) {
            self.failed(&error);
        } else {
            self.succeeded();
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
    async fn one_that_is_held_is_not_asked_until_it_is_let_go_and_its_check_says_so() {
        let (guard, health) =
            (Guard::new(Service::Postgres, &BreakerMetrics::default()), Health::default());
        guard.show(&health);
        assert!(!health.fails("postgres"), "nobody asked it yet");
        guard.hold();
        let asked = guard.call(async { Ok::<_, DatabaseError>(()) }).await.unwrap_err();
        assert!(matches!(asked, StepError::LeftAlone(Service::Postgres)), "{asked:?}");
        assert!(guard.is_away() && health.fails("postgres"));
        guard.let_go();
        guard.call(async { Ok::<_, DatabaseError>(()) }).await.unwrap();
        assert!(!guard.is_away() && !health.fails("postgres"));
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
