//! Kafka: the topic of a stream's frames, and the shared one of events.

use millrace_platform::kafka::{Ensured, TopicSpec};
use tracing::info;

use super::{External, ExternalError};
use crate::reconcile::validated::ValidatedStream;

/// Copies of each partition: the brokers' own default.
const REPLICATION: i32 = -1;
/// Events are ordered per stream only, so they may spread.
const EVENTS_PARTITIONS: i32 = 4;

pub(super) async fn apply(
    outside: &External,
    stream: &ValidatedStream,
) -> Result<(), ExternalError> {
    let installation = &outside.installation;
    let topics = [
        TopicSpec::events(installation, EVENTS_PARTITIONS, REPLICATION),
        TopicSpec::frames(installation, &stream.id, stream.ingest.replay_window, REPLICATION),
    ];
    for topic in topics {
        match outside.admin.ensure(&topic).await? {
            Ensured::Unchanged => {}
            done => info!(stream = %stream.id, topic = topic.name, ?done, "topic"),
        }
    }
    Ok(())
}
