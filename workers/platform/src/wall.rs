//! The wall clock, by whose whole seconds all processes count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment into a second, so that clocks that differ by less agree on it.
const INTO: Duration = Duration::from_millis(20);

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since 1970; 0 on a clock before that.
pub fn ms() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

/// The second it is, since 1970.
pub fn second() -> u64 {
    since_1970().as_secs()
}

/// Sleeps until a moment after the next second began.
pub async fn next_second() {
    let into = Duration::from_nanos(since_1970().subsec_nanos().into());
    tokio::time::sleep(Duration::from_secs(1).saturating_sub(into) + INTO).await;
}
