//! A watch that fails is tried again less and less often, and not before the
//! API server lets it. That it goes on where it was is not told: it brings
//! nothing until something changes.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::runtime::watcher::{Error, Event, Result};
use millrace_platform::backoff::Backoff;
use tokio::time::{Instant, timeout};

use crate::reconcile::retry_after;

/// A watch that fails is tried again after this at first,
const SOON: Duration = Duration::from_millis(800);
/// and after this at most.
const SELDOM: Duration = Duration::from_secs(30);
/// Failures further apart than this have nothing to do with each other. What it
/// brings in between says little: one that always lists and can never watch
/// brings everything each time.
const CALM: Duration = Duration::from_mins(1);

/// One that was tried again and has not failed for so long goes on: longer than
/// a connection takes to fail.
const GOES_ON: Duration = Duration::from_secs(10);

/// The same watch. A failure comes out at once; `goes_on` is called when it goes
/// on after one and has nothing to bring.
pub(super) fn patiently<K>(
    watch: impl Stream<Item = Result<Event<K>>> + Send,
    goes_on: impl Fn() + Send + Sync,
) -> impl Stream<Item = Result<Event<K>>> + Send
where
    K: Send,
{
    let state = (Box::pin(watch.peekable()), Patience::default(), goes_on);
    stream::unfold(state, |(mut watch, mut patience, goes_on)| async move {
        tokio::time::sleep_until(patience.until).await;
        let may_go_on = patience.failing && !patience.listing;
        if may_go_on && timeout(GOES_ON, watch.as_mut().peek()).await.is_err() {
            goes_on();
        }
        let event = watch.next().await?;
        patience.listing = matches!(event, Ok(Event::Init | Event::InitApply(_)));
        match &event {
            Err(error) => patience.failed(retry_after_of(error)),
            // Said before the server is asked.
            Ok(Event::Init) => {}
            Ok(_) => patience.failing = false,
        }
        Some((event, (watch, patience, goes_on)))
    })
}

fn retry_after_of(error: &Error) -> Option<Duration> {
    match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => retry_after::of(error),
        Error::WatchError(_) | Error::NoResourceVersion => None,
    }
}

struct Patience {
    backoff: Backoff,
    failing: bool,
    /// A list was begun and has not ended: its silence says nothing good.
    listing: bool,
    failed: Instant,
    until: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            backoff: Backoff::new(SOON, SELDOM),
            failing: false,
            listing: false,
            failed: now,
            until: now,
        }
    }
}

impl Patience {
    fn failed(&mut self, retry_after: Option<Duration>) {
        self.failing = true;
        let now = Instant::now();
        if now.duration_since(self.failed) > CALM {
            self.backoff.reset();
        }
        self.failed = now;
        let wait = self.backoff.next_delay().max(retry_after.unwrap_or_default());
        self.until = now.checked_add(wait).unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn refused(details: &serde_json::Value) -> Result<Event<()>> {
        let status = json!({ "code": 429, "details": details });
        let status: Status = serde_json::from_value(status).unwrap();
        Err(Error::InitialListFailed(kube::Error::Api(status.boxed())))
    }

    /// Milliseconds before each event.
    async fn waits(events: Vec<Result<Event<()>>>) -> Vec<u128> {
        let mut watch = Box::pin(patiently(stream::iter(events), || {}));
        let (mut waits, mut last) = (Vec::new(), Instant::now());
        while watch.next().await.is_some() {
            waits.push(last.elapsed().as_millis());
            last = Instant::now();
        }
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_lists_and_fails_each_time_is_tried_less_and_less_often() {
        let one = || [Ok(Event::Init), Ok(Event::InitDone), refused(&json!({}))];
        let all = waits((0..10).flat_map(|_| one()).collect()).await;
        let waited: Vec<_> = all.chunks(3).map(|chunk| (chunk[0], chunk[1] + chunk[2])).collect();
        assert_eq!(waited[0], (0, 0));
        for (number, most) in [800, 1_600, 3_200, 6_400, 12_800, 25_600].into_iter().enumerate() {
            let (before, between) = waited[number + 1];
            assert!((most / 2..=most).contains(&before) && between == 0, "{waited:?}");
        }
        assert!(waited.iter().all(|(before, _)| *before <= 30_000), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_sent_away_stays_away_for_as_long_as_it_is_told() {
        let sent_away = refused(&json!({ "retryAfterSeconds": 20 }));
        assert_eq!(waits(vec![sent_away, Ok(Event::Init)]).await, [0, 20_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_goes_on_in_silence_is_told_of_once_it_has_not_failed_for_a_while() {
        let failures = stream::iter([refused(&json!({})), refused(&json!({}))]);
        let told = AtomicUsize::new(0);
        let goes_on = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let mut watch = Box::pin(patiently(failures.chain(stream::pending()), goes_on));
        for _ in 0..2 {
            assert!(matches!(watch.next().await, Some(Err(_))));
            assert_eq!(told.load(Ordering::Relaxed), 0);
        }
        assert!(timeout(Duration::from_mins(5), watch.next()).await.is_err());
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_hangs_does_not_go_on() {
        let failures = stream::iter([refused(&json!({})), Ok(Event::Init)]);
        let goes_on = || panic!("it hangs");
        let mut watch = Box::pin(patiently(failures.chain(stream::pending()), goes_on));
        assert!(matches!(watch.next().await, Some(Err(_))));
        assert!(matches!(watch.next().await, Some(Ok(Event::Init))));
        assert!(timeout(Duration::from_mins(5), watch.next()).await.is_err());
    }
}
