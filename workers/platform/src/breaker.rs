//! A circuit breaker: after some failures in a row a service is left alone for
//! a while, then one caller probes it.
//!
//! Cool-downs are scattered, so that many clients of one server don't come back
//! together.
//!
//! It guards work that can do without the service (a cache); it never stands
//! before work that must retry until it succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the breaker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are refused until the cool-down is over.
    Open,
    /// One call is out to probe; others are refused.
    HalfOpen,
}

impl State {
    /// As the gauge shows it: 0 closed, 1 half-open, 2 open.
    fn level(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// Label of a breaker's figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabel {
    /// What the service is used for.
    r#use: &'static str,
}

/// The figures of a process's breakers, one series per use. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct BreakerMetrics {
    state: Family<UseLabel, Gauge>,
    trips: Family<UseLabel, Counter>,
}

impl BreakerMetrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "breaker_state",
            "What a circuit breaker is doing: 0 closed, 1 half-open, 2 open",
            self.state.clone(),
        );
        registry.register("breaker_trips", "Times a circuit breaker opened", self.trips.clone());
    }
}

/// A breaker for one use of a service.
#[derive(Debug)]
pub struct Breaker {
    threshold: u32,
    cool_down: Duration,
    inner: Mutex<Inner>,
    level: Gauge,
    trips: Counter,
}

#[derive(Debug)]
struct Inner {
    failures: u32,
    /// When the service may be asked again; a probe moves it ahead, so that a
    /// probe that never reports back doesn't close the service off for good.
    retry_at: Option<Instant>,
    probing: bool,
}

/// Why [`Breaker::call`] has no value.
#[derive(Debug, thiserror::Error)]
pub enum BreakerError<E> {
    /// Not asked: the service failed too often.
    #[error("not asked: it failed several times in a row")]
    Open,
    /// Asked, and it failed.
    #[error(transparent)]
    Failed(E),
}

impl Breaker {
    /// Opens after `threshold` failures in a row, for three quarters of
    /// `cool_down` to all of it.
    pub fn new(threshold: u32, cool_down: Duration) -> Self {
        let inner = Inner { failures: 0, retry_at: None, probing: false };
        Self {
            threshold: threshold.max(1),
            cool_down,
            inner: Mutex::new(inner),
            level: Gauge::default(),
            trips: Counter::default(),
        }
    }

    /// Shows what it does in `metrics`, under this use.
    #[must_use]
    pub fn observed(mut self, metrics: &BreakerMetrics, r#use: &'static str) -> Self {
        let label = UseLabel { r#use };
        self.level = metrics.state.get_or_create(&label).clone();
        self.trips = metrics.trips.get_or_create(&label).clone();
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be made now. Whoever was let through reports back
    /// with [`Breaker::succeeded`] or [`Breaker::failed`].
    pub fn allows(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        match inner.retry_at {
            None => true,
            Some(at) if now < at => false,
            Some(_) => {
                inner.probing = true;
                inner.retry_at = now.checked_add(self.scattered(rand::random()));
                self.level.set(State::HalfOpen.level());
                true
            }
        }
    }

    /// A call worked.
    pub fn succeeded(&self) {
        let mut inner = self.lock();
        *inner = Inner { failures: 0, retry_at: None, probing: false };
        self.level.set(State::Closed.level());
    }

    /// A call failed.
    pub fn failed(&self, now: Instant) {
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        if inner.failures >= self.threshold {
            if inner.retry_at.is_none() {
                self.trips.inc();
            }
            inner.probing = false;
            inner.retry_at = now.checked_add(self.scattered(rand::random()));
            self.level.set(State::Open.level());
        }
    }

    /// One cool-down; `random` is in 0..1.
    fn scattered(&self, random: f64) -> Duration {
        self.cool_down.mul_f64(0.75 + random.clamp(0.0, 1.0) / 4.0)
    }

    /// For metrics and health details.
    pub fn state(&self) -> State {
        let inner = self.lock();
        match (inner.retry_at, inner.probing) {
            (None, _) => State::Closed,
            (Some(_), false) => State::Open,
            (Some(_), true) => State::HalfOpen,
        }
    }

    /// Makes a call if the breaker allows it, and notes how it went.
    pub async fn call<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BreakerError<E>> {
        if !self.allows(Instant::now()) {
            return Err(BreakerError::Open);
        }
        match work.await {
            Ok(value) => {
                self.succeeded();
                Ok(value)
            }
            Err(error) => {
                self.failed(Instant::now());
                Err(BreakerError::Failed(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL: Duration = Duration::from_secs(5);

    fn open_breaker(now: Instant) -> Breaker {
        let breaker = Breaker::new(2, COOL);
        breaker.failed(now);
        assert!(breaker.allows(now));
        breaker.failed(now);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let now = Instant::now();
        let breaker = open_breaker(now);
        assert_eq!(breaker.state(), State::Open);
        assert!(!breaker.allows(now));
    }

    #[test]
    fn after_the_cool_down_one_probe_passes_and_its_success_closes_it() {
        let now = Instant::now();
        let breaker = open_breaker(now);
        assert!(breaker.allows(now + COOL));
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(!breaker.allows(now + COOL));
        breaker.succeeded();
        assert!(breaker.allows(now + COOL));
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let now = Instant::now();
        let breaker = open_breaker(now);
        assert!(breaker.allows(now + COOL));
        breaker.failed(now + COOL);
        assert!(!breaker.allows(now + COOL + COOL / 2));
        assert!(breaker.allows(now + COOL * 2));
    }

    #[test]
    fn cool_downs_are_scattered_over_their_last_quarter() {
        let breaker = Breaker::new(1, COOL);
        assert_eq!(breaker.scattered(0.0), COOL * 3 / 4);
        assert_eq!(breaker.scattered(1.0), COOL);
    }

    #[test]
    fn a_success_forgets_earlier_failures() {
        let now = Instant::now();
        let breaker = Breaker::new(2, COOL);
        breaker.failed(now);
        breaker.succeeded();
        breaker.failed(now);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn its_state_and_trips_are_shown_by_use() {
        let (metrics, now) = (BreakerMetrics::default(), Instant::now());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let value = |name: &str| {
                let line = text.lines().find(|l| l.starts_with(name)).unwrap();
                line.rsplit(' ').next().unwrap().to_owned()
            };
            (value("breaker_state{use=\"media\"}"), value("breaker_trips_total{use=\"media\"}"))
        };
        let breaker = Breaker::new(1, COOL).observed(&metrics, "media");
        assert_eq!(shown(), ("0".to_owned(), "0".to_owned()));
        breaker.failed(now);
        assert_eq!(shown(), ("2".to_owned(), "1".to_owned()));
        assert!(breaker.allows(now + COOL));
        breaker.failed(now + COOL);
        assert!(breaker.allows(now + COOL * 2));
        assert_eq!(shown(), ("1".to_owned(), "1".to_owned()), "one trip until it closes");
        breaker.succeeded();
        assert_eq!(shown().0, "0");
    }
}
