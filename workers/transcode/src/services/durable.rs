//! What must be so before the checkpoint moves.

use std::cmp::Ordering;

use millrace_media::id::{BroadcastId, Run};
use millrace_media::index::Head;

use super::{PublishError, Services};

impl Services {
    /// Whether another process goes on with the broadcast: it has claimed a run
    /// after `run`, and the lease.
    ///
    /// Kafka can't compare and set: a process that stands still between this
    /// and its commit may still move the checkpoint behind the other's back.
    ///
    /// # Errors
    /// When that is not known: the claims can't be read, or another has claimed
    /// a run and Redis does not say who has the lease.
    pub async fn is_overtaken(
        &self,
        broadcast: BroadcastId,
        run: Run,
    ) -> Result<bool, PublishError> {
        let objects = self.objects(broadcast);
        let ours = self.token.to_string();
        // Runs are claimed one after the other.
        let mut next = run.next();
        while let Some(claim) = self.store.get(&objects.run(next)).await? {
            if claim != ours.as_bytes() {
                return self.has_lost_lease(broadcast).await;
            }
            next = next.next();
        }
        Ok(false)
    }

    /// Who claimed a run and could not take the lease is no writer: it reads
    /// what is published only when it has both, or when Redis is at a later
    /// broadcast.
    async fn has_lost_lease(&self, broadcast: BroadcastId) -> Result<bool, PublishError> {
        let holder = self.reader.holder(&self.config.stream).await?;
        let holder = holder.ok_or(PublishError::LeaseLost)?;
        match holder.broadcast.cmp(&broadcast.to_string()) {
            // Redis was away when our run was claimed.
            Ordering::Less => Err(PublishError::LeaseLost),
            Ordering::Equal => Ok(holder.token != Some(self.token)),
            Ordering::Greater => Ok(true),
        }
    }

    /// That no other process has written the index between the reading of
    /// `found` and a claim that was made after it. The index of the claimed run
    /// goes on from what was read, and readers take the highest run's.
    ///
    /// A store that does not answer is not waited for: what is live goes on.
    ///
    /// # Errors
    /// [`PublishError::Unread`] when one has.
    pub async fn index_is_still(
        &self,
        broadcast: BroadcastId,
        found: Option<&Head>,
    ) -> Result<(), PublishError> {
        let newest = match self.soon("read the index", self.head(broadcast)).await {
            Err(PublishError::Store(_)) => return Ok(()),
            newest => newest?,
        };
        if newest.as_ref() == found {
            return Ok(());
        }
        let objects = self.objects(broadcast);
        let by = match &newest {
            Some(head) => {
                let claim = objects.run(head.run);
                let asked = async { Ok(self.store.get(&claim).await?) };
                match self.soon("see who wrote the index", asked).await {
                    Err(PublishError::Store(_)) => return Ok(()),
                    by => by?,
                }
            }
            None => None,
        };
        if by.is_some_and(|by| by == self.token.to_string().as_bytes()) {
            return Ok(());
        }
        Err(PublishError::Unread { broadcast })
    }

    /// Tells how the index is: `behind` what is stored, and for so long that the
    /// checkpoint moves on without it.
    pub fn index_is(&self, behind: bool, overdue: bool) {
        self.metrics.index_is_behind(behind);
        if overdue {
            self.index.failing("the object store takes no index, and the checkpoint can't wait");
        } else if !behind {
            self.index.ok();
        }
    }
}
