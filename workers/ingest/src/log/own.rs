//! Whether others write to the log while a publisher is here.
//!
//! One producer's records stand in a row. So where more stand than this process
//! appended, somebody else has: that costs no reading.

use millrace_media::id::Epoch;
use millrace_media::record::Open;
use millrace_platform::log::Control;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The epoch that this process publishes in.
#[derive(Debug)]
pub struct Publishing {
    epoch: Epoch,
    nonce: Uuid,
    over: CancellationToken,
}

impl Publishing {
    pub(super) fn new(epoch: Epoch, facts: &Open) -> Self {
        Self { epoch, nonce: facts.nonce, over: CancellationToken::new() }
    }

    /// Resolves when the log says that the epoch is over by another's doing.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(super) fn compare(&self, control: &Control) {
        let open = control.open().is_some_and(|open| open.nonce == self.nonce);
        if !open || control.epoch() > Some(self.epoch) {
            self.over.cancel();
        }
    }
}

/// Counts what was acknowledged of this process's records.
#[derive(Debug, Default)]
pub(super) struct Own {
    first: Option<i64>,
    last: i64,
    count: i64,
    /// Others' records that were read.
    read: i64,
}

impl Own {
    /// A record stands at this offset.
    pub(super) fn note(&mut self, offset: i64) {
        self.first = Some(self.first.map_or(offset, |first| first.min(offset)));
        self.last = self.last.max(offset);
        self.count += 1;
    }

    /// Others' records among ours. For a moment too many, when acknowledgements
    /// come in another order.
    pub(super) fn others(&self) -> i64 {
        self.first.map_or(0, |first| self.last + 1 - first - self.count)
    }

    /// Whether so many are news.
    pub(super) fn is_news(&self, others: i64) -> bool {
        others != self.read
    }

    /// So many were read.
    pub(super) fn have_read(&mut self, others: i64) {
        self.read = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_others_is_seen_among_ours() {
        let mut own = Own::default();
        assert_eq!(own.others(), 0);
        for offset in [10, 12, 11] {
            own.note(offset);
        }
        assert_eq!(own.others(), 0);
        // 13 is somebody's.
        own.note(14);
        assert!(own.others() == 1 && own.is_news(1));
        own.have_read(1);
        own.note(15);
        assert!(!own.is_news(own.others()));
    }
}
