//! The one publisher's seat, and who gets it (TAKEOVER).

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;

/// A publisher that sent nothing for this long is silent.
pub const SILENT: Duration = Duration::from_secs(5);

/// What happens to a second publisher with a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Takeover {
    /// It is refused while the first one is live, and replaces a silent one.
    #[default]
    IfSilent,
    /// It replaces the first.
    Always,
    /// It is refused.
    Never,
}

impl FromStr for Takeover {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "IfSilent" => Ok(Self::IfSilent),
            "Always" => Ok(Self::Always),
            "Never" => Ok(Self::Never),
            _ => Err("one of IfSilent, Always, Never".to_owned()),
        }
    }
}

impl Takeover {
    /// Whether a publisher silent for this long gives way.
    fn replaces(self, silent: Duration) -> bool {
        match self {
            Self::IfSilent => silent >= SILENT,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

#[derive(Debug)]
struct Occupant {
    number: u64,
    last_media: Duration,
    replaced: CancellationToken,
}

#[derive(Debug, Default)]
struct Inner {
    occupant: Option<Occupant>,
    taken: u64,
}

/// The seat of a stream.
#[derive(Debug, Default)]
pub struct Seat {
    policy: Takeover,
    inner: Mutex<Inner>,
    left: Notify,
}

/// The right to publish; dropping it leaves the seat.
#[derive(Debug)]
pub struct Seated {
    seat: Arc<Seat>,
    number: u64,
    replaced: CancellationToken,
}

impl Seat {
    /// An empty one.
    pub fn new(policy: Takeover) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes the seat, after the one it replaces has left.
    ///
    /// # Errors
    /// [`Refusal::Taken`] when the policy favours the publisher there is, or
    /// it does not leave within `patience`.
    pub async fn take(
        self: &Arc<Self>,
        now: Duration,
        patience: Duration,
    ) -> Result<Seated, Refusal> {
        let wait = async {
            loop {
                let mut left = std::pin::pin!(self.left.notified());
                left.as_mut().enable();
                match self.try_take(now)? {
                    Some(seated) => return Ok(seated),
                    None => left.await,
                }
            }
        };
        tokio::time::timeout(patience, wait).await.unwrap_or(Err(Refusal::Taken))
    }

    /// The seat; nothing while the publisher that must go is still in it.
    fn try_take(self: &Arc<Self>, now: Duration) -> Result<Option<Seated>, Refusal> {
        let mut inner = self.lock();
        if let Some(occupant) = &inner.occupant {
            if occupant.replaced.is_cancelled() {
                return Ok(None);
            }
            if !self.policy.replaces(now.saturating_sub(occupant.last_media)) {
                return Err(Refusal::Taken);
            }
            occupant.replaced.cancel();
            return Ok(None);
        }
        inner.taken += 1;
        let (number, replaced) = (inner.taken, CancellationToken::new());
        let last_media = now;
        inner.occupant = Some(Occupant { number, last_media, replaced: replaced.clone() });
        Ok(Some(Seated { seat: Arc::clone(self), number, replaced }))
    }

    /// Whether someone publishes.
    pub fn is_taken(&self) -> bool {
        self.lock().occupant.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seated {
    /// Media came at this time.
    pub fn alive(&self, now: Duration) {
        let mut inner = self.seat.lock();
        if let Some(occupant) = inner.occupant.as_mut().filter(|o| o.number == self.number) {
            occupant.last_media = now;
        }
    }

    /// Resolves when another publisher is to take over.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut inner = self.seat.lock();
        inner.occupant.take_if(|o| o.number == self.number);
        drop(inner);
        self.seat.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_live_publisher_stays_and_a_silent_one_is_replaced() {
        let seat = Arc::new(Seat::new(Takeover::IfSilent));
        let first = seat.take(at(0), PATIENCE).await.unwrap();
        first.alive(at(8));
        assert_eq!(seat.take(at(12), PATIENCE).await.unwrap_err(), Refusal::Taken);
        let (second, ()) = tokio::join!(seat.take(at(13), PATIENCE), async {
            first.replaced().await;
            drop(first);
        });
        assert!(second.is_ok());
    }

    #[tokio::test]
    async fn never_and_always_mean_what_they_say() {
        let seat = Arc::new(Seat::new(Takeover::Never));
        let _first = seat.take(at(0), PATIENCE).await.unwrap();
        assert_eq!(seat.take(at(99), PATIENCE).await.unwrap_err(), Refusal::Taken);

        let seat = Arc::new(Seat::new(Takeover::Always));
        let first = seat.take(at(0), PATIENCE).await.unwrap();
        let (second, ()) = tokio::join!(seat.take(at(0), PATIENCE), async {
            first.replaced().await;
            drop(first);
        });
        assert!(second.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_leave_keeps_the_next_one_out() {
        let seat = Arc::new(Seat::new(Takeover::Always));
        let _stuck = seat.take(at(0), PATIENCE).await.unwrap();
        assert_eq!(seat.take(at(0), PATIENCE).await.unwrap_err(), Refusal::Taken);
    }

    #[tokio::test]
    async fn a_left_seat_is_free() {
        let seat = Arc::new(Seat::new(Takeover::Never));
        drop(seat.take(at(0), PATIENCE).await.unwrap());
        assert!(!seat.is_taken());
        assert!(seat.take(at(0), PATIENCE).await.is_ok());
    }
}
