//! What is told of a stream.

use millrace_platform::kafka::Event;
use millrace_platform::kafka::events::data::{EventData, Rung, StreamProvisioned};
use millrace_platform::wall;

use super::{External, StepError};
use crate::reconcile::validated::ValidatedStream;

/// Tell that a stream is there, for `local`, which registers nothing. Told
/// again it is the same event, which consumers know by its id.
pub async fn provisioned(outside: &External, stream: &ValidatedStream) -> Result<(), StepError> {
    let event = event(stream, wall::ms());
    let work = async {
        let mut transaction = outside.database.begin().await?;
        outside.outbox.append(&mut transaction, "operator", &[event]).await?;
        transaction.commit().await
    };
    outside.guards.postgres.call(work).await
}

/// That a stream is there.
pub(super) fn event(stream: &ValidatedStream, now_ms: i64) -> Event<EventData> {
    let ladder = stream.ladder.iter().map(|rung| Rung {
        name: rung.name.clone(),
        height: rung.height,
        bitrate_kbps: rung.bitrate_kbps,
    });
    let uid = stream.uid.as_str().to_owned();
    let broadcaster = stream.broadcaster.as_str().to_owned();
    let identity = vec![uid.clone()];
    let data = StreamProvisioned { uid, broadcaster, ladder: ladder.collect() };
    Event::new(stream.id.clone(), now_ms, identity, data)
}
