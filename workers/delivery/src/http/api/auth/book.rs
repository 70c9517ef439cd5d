//! Our own tokens, all good ones in memory.
//!
//! A token that is not in the book is looked for in the table as it was after
//! it was offered, so that a new one is good at once. They are few ([`MAX_TOKENS`](millrace_platform::postgres::tokens::MAX_TOKENS)),
//! and one query brings all. So a request costs no query, and a flood of wrong
//! tokens no more than one a second for all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_platform::breaker::{Breaker, BreakerError, BreakerMetrics};
use millrace_platform::postgres::tokens::{StoredToken, Tokens};
use millrace_platform::report::report;
use millrace_platform::tokens::{ApiToken, TokenHash};
use millrace_platform::wall;
use tokio::sync::{Mutex, RwLock};

/// The table is read no sooner after the last time.
const PAUSE: Duration = Duration::from_secs(1);
/// A token in the book may be revoked since, if the book is older than this.
const FRESH: Duration = Duration::from_secs(5);
/// While Postgres is away, a known token is good for so long.
const STALE: Duration = Duration::from_mins(1);
/// Postgres is asked for so long, and when that failed once not for the next.
const ASK: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_secs(4);

/// Postgres was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the tokens can't be read")]
pub struct Away;

#[derive(Debug, Default, Clone)]
struct Page {
    tokens: HashMap<TokenHash, Arc<StoredToken>>,
    read: Option<Instant>,
}

impl Page {
    fn is_within(&self, age: Duration) -> bool {
        self.read.is_some_and(|read| read.elapsed() < age)
    }
}

/// The book.
#[derive(Debug)]
pub struct Book {
    table: Tokens,
    page: RwLock<Arc<Page>>,
    /// Held by who reads the table.
    reading: Mutex<()>,
    breaker: Breaker,
}

impl Book {
    /// Of this table; nothing is read yet.
    pub fn new(table: Tokens, breakers: &BreakerMetrics) -> Self {
        let breaker = Breaker::new(1, REST).observed(breakers, "tokens");
        Self { table, page: RwLock::default(), reading: Mutex::default(), breaker }
    }

    /// The token, if it is good.
    ///
    /// # Errors
    /// When only Postgres could say, and does not.
    pub async fn find(&self, token: &ApiToken) -> Result<Option<Arc<StoredToken>>, Away> {
        let (hash, asked) = (token.hash(), Instant::now());
        let mut page = self.page().await;
        if !(page.is_within(FRESH) && page.tokens.contains_key(&hash)) {
            page = self.renew(asked).await;
        }
        let found = page.tokens.get(&hash);
        if !page.is_within(if found.is_some() { STALE } else { FRESH }) {
            return Err(Away);
        }
        Ok(found.filter(|token| token.is_good_at(wall::ms())).cloned())
    }

    /// What was changed here is seen here at once.
    pub async fn forget(&self) {
        Arc::make_mut(&mut *self.page.write().await).read = None;
    }

    async fn page(&self) -> Arc<Page> {
        Arc::clone(&*self.page.read().await)
    }

    /// The book as it was after `asked`, or as it is while Postgres is away.
    async fn renew(&self, asked: Instant) -> Arc<Page> {
        let _reading = self.reading.lock().await;
        let page = self.page().await;
        let is_new = page.read.is_some_and(|read| read >= asked);
        if is_new {
            return page;
        }
        match self.breaker.call(self.read_after(page.read)).await {
            Ok(page) => {
                let page = Arc::new(page);
                *self.page.write().await = Arc::clone(&page);
                page
            }
            Err(problem) => {
                if let BreakerError::Failed(why) = problem {
                    tracing::warn!(why, "the API's tokens can't be read");
                }
                page
            }
        }
    }

    /// All good tokens, or why they can't be had.
    async fn read_after(&self, last: Option<Instant>) -> Result<Page, String> {
        if let Some(last) = last {
            tokio::time::sleep_until((last + PAUSE).into()).await;
        }
        let read = Some(Instant::now());
        let all = tokio::time::timeout(ASK, self.table.good()).await;
        let all = all.map_err(|_| "Postgres does not answer in time".to_owned())?;
        let all = all.map_err(|error| report(&error))?;
        let tokens = all.into_iter().map(|token| (token.hash, Arc::new(token))).collect();
        Ok(Page { tokens, read })
    }
}
