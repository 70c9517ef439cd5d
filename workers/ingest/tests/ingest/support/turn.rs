//! How many tests run at once. Most wait most of the time; one that floods an
//! ingest needs the processors for itself: who is refused for being slow
//! there must be refused for the flood, so it runs alone.

use tokio::sync::{Semaphore, SemaphorePermit};

static PLACES: Semaphore = Semaphore::const_new(12);

/// A place among the tests. A test takes one [`super::World`], so nobody waits for a second.
pub(crate) type Turn = SemaphorePermit<'static>;

/// Beside many others.
pub(crate) async fn quiet() -> Turn {
    PLACES.acquire().await.unwrap()
}

/// Alone.
pub(crate) async fn busy() -> Turn {
    PLACES.acquire_many(12).await.unwrap()
}
