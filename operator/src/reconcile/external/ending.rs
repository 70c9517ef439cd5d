//! Ends the broadcast of a stream that was suspended while it was live: no
//! ingest is left that would close its reconnect window.

use std::time::{Duration, Instant};

use millrace_media::id::StreamId;
use millrace_media::record::EndReason;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::broadcasts::NO_MEDIA;

use super::live::Broadcast;
use super::{External, StepError};

/// A row that was seen to be over is not looked at for so long.
const LIFE: Duration = Duration::from_hours(1);

/// Ends it in the log, or, once the log says that it is over, in its row. The
/// end in the log is news, which brings the stream back for its row.
///
/// # Errors
/// `KafkaUnavailable`, `TopicRefused`, `PostgresUnavailable`, `PostgresRefused`.
pub async fn end(
    outside: &External,
    stream: &StreamId,
    broadcast: &Broadcast,
) -> Result<(), StepError> {
    match broadcast.ended {
        None => {
            let place = outside.endings.place().await;
            let ended = outside.endings.end_at(place, stream, broadcast.id);
            outside.guards.kafka.call(ended).await.map(drop)
        }
        Some((at_ms, reason)) => end_row(outside, stream, broadcast, (at_ms, reason)).await,
    }
}

async fn end_row(
    outside: &External,
    stream: &StreamId,
    Broadcast { id, pictured, .. }: &Broadcast,
    (at_ms, reason): (i64, EndReason),
) -> Result<(), StepError> {
    if outside.rows_ended.holds(stream, id, LIFE, Instant::now()) {
        return Ok(());
    }
    let end = async {
        let mut transaction = outside.database.begin().await?;
        let (rows, row) = (&outside.broadcasts, &mut transaction);
        let done = if *pictured {
            rows.end(row, *id, reason, at_ms).await
        } else {
            rows.fail(row, *id, NO_MEDIA, at_ms).await
        };
        match done {
            Ok(()) => transaction.commit().await,
            // Its publisher's row was never written, or a fault ended it.
            Err(DatabaseError::NotFound { .. } | DatabaseError::InvalidTransition { .. }) => Ok(()),
            failed => failed,
        }
    };
    outside.guards.postgres.call(end).await?;
    outside.rows_ended.note(stream, id, Instant::now());
    Ok(())
}
