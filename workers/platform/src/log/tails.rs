//! Reading the ends of many logs at once for their control state.

use std::collections::HashMap;
use std::time::Duration;

use millrace_media::record::Reassembler;

use super::Control;
use crate::kafka::{KafkaError, LogRecord, Stretch, Tails};

/// What was read of one log.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    /// What was known before, and what was read.
    pub control: Control,
    /// What was read, alone: whether it says enough.
    pub read: Control,
}

#[derive(Default)]
struct Folding {
    folded: Folded,
    records: Reassembler,
}

/// Folds pieces of logs, each into what is known of it by its topic. What did
/// not come wholly within `patience` is left out.
///
/// # Errors
/// When Kafka refuses, or nothing came at all.
pub async fn fold_tails(
    tails: &Tails,
    pieces: Vec<(Stretch, Control)>,
    patience: Duration,
) -> Result<HashMap<String, Folded>, KafkaError> {
    let (stretches, state): (Vec<_>, HashMap<_, _>) = pieces
        .into_iter()
        .map(|(stretch, control)| {
            let folded = Folded { control, read: Control::default() };
            let topic = stretch.topic.clone();
            (stretch, (topic, Folding { folded, records: Reassembler::default() }))
        })
        .unzip();
    let (mut state, done) = tails.fold(stretches, patience, state, push).await?;
    Ok(done
        .into_iter()
        .filter_map(|topic| state.remove(&topic).map(|folding| (topic, folding.folded)))
        .collect())
}

fn push(state: &mut HashMap<String, Folding>, topic: &str, message: &LogRecord) {
    let Some(Folding { folded, records }) = state.get_mut(topic) else { return };
    // What can't be read is another version's and no control record of ours.
    if let Ok(Some(record)) = records.push(&message.payload) {
        folded.control.push(&record, message.timestamp_ms);
        folded.read.push(&record, message.timestamp_ms);
    }
}
