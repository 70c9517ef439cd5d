//! Cleans up after one stream.
//!
//! The order: nobody may publish any more, then what is open is ended, then the
//! log and the caches go, then what the deletion policy does not keep, and the
//! row that leads here goes last. Each step may be repeated; a step that fails
//! ends it, and the next look begins from the front.
//!
//! What is many commands (keys, caches, media, the record) takes as long as it
//! takes, each command bounded by its client; no stream waits for it.

use millrace_media::id::StreamId;
use millrace_platform::names::topics;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::registry::{Keep, Registration};
use millrace_platform::wall;
use tracing::warn;

use super::super::topics::forget as forget_topic;
use super::super::{External, StepError};

/// All but the row.
pub(super) async fn stream(outside: &External, livestream: &Registration) -> Result<(), StepError> {
    let stream = &livestream.stream;
    outside.keys.revoke_all(stream).await?;
    end_broadcasts(outside, stream).await?;
    log(outside, stream).await?;
    outside.cleaning.forget(stream).await?;
    match livestream.keep {
        Keep::Retain => Ok(()),
        Keep::Delete => {
            media(outside, stream).await?;
            Ok(outside.record.delete(stream).await?)
        }
    }
}

/// The row.
pub(super) async fn forget(outside: &External, livestream: &Registration) -> Result<(), StepError> {
    outside.registered.forget(livestream.uid.as_str());
    outside.guards.postgres.call(outside.registry.forget(&livestream.uid)).await
}

/// No ingest is left to end them.
async fn end_broadcasts(outside: &External, stream: &StreamId) -> Result<(), StepError> {
    let open = outside.guards.postgres.call(outside.record.unfinished(stream)).await?;
    for (broadcast, _) in open {
        let end = async {
            let mut transaction = outside.database.begin().await?;
            let done = outside.broadcasts.end_deleted(&mut transaction, broadcast, wall::ms());
            match done.await {
                // Somebody else deleted it.
                Ok(()) | Err(DatabaseError::NotFound { .. }) => transaction.commit().await,
                failed => failed,
            }
        };
        outside.guards.postgres.call(end).await?;
    }
    Ok(())
}

/// Kafka takes the checkpoint with the topic. Its group is not deleted by name:
/// a request to a group's coordinator whose connection breaks ends the process
/// (librdkafka #4605).
async fn log(outside: &External, stream: &StreamId) -> Result<(), StepError> {
    forget_topic(outside, stream);
    let topic = topics::frames_topic(&outside.installation, stream);
    outside.guards.kafka.call(outside.admin.delete(&topic)).await
}

/// Segments, init segments, indexes.
async fn media(outside: &External, stream: &StreamId) -> Result<(), StepError> {
    if let Some(store) = outside.store()? {
        store.delete_below(stream.as_str()).await?;
    } else {
        warn!(%stream, "its media stay: OBJECT_STORE_URL is not set");
    }
    Ok(())
}
