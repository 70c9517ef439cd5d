//! Reading the end of the log for its control state.

use std::time::Duration;

use super::Control;
use crate::config::KafkaConfig;
use crate::kafka::{KafkaError, LogReader, Producer, Watermarks};
use millrace_media::record::Reassembler;

/// Records looked at first. The facts stand before every keyframe, so this is
/// enough for sources with a keyframe every ten seconds and more.
const FIRST_LOOK: i64 = 2_000;
/// How long reading a piece of the log may take.
const READ: Duration = Duration::from_secs(10);

/// The log of one stream, to be read from.
#[derive(Debug)]
pub struct Tail {
    /// Where Kafka is.
    pub kafka: KafkaConfig,
    /// The stream's topic.
    pub topic: String,
    /// Knows the brokers already, so asking it is quick.
    pub producer: Producer,
}

impl Tail {
    /// What the log holds now.
    ///
    /// # Errors
    /// When Kafka can't be asked, or there is no such topic.
    pub async fn bounds(&self) -> Result<Watermarks, KafkaError> {
        self.producer.watermarks(&self.topic).await
    }

    /// Folds what stands in the log from offset `from` on into `control`;
    /// returns the log's end.
    ///
    /// Frames say nothing here, so of a long stretch only the end is read, and
    /// more of it only if no control record was there.
    ///
    /// # Errors
    /// When Kafka can't be asked, or there is no such topic.
    pub async fn read(&self, from: i64, control: &mut Control) -> Result<i64, KafkaError> {
        let Watermarks { low, high } = self.bounds().await?;
        let from = from.max(low);
        let mut look = FIRST_LOOK;
        loop {
            let begin = from.max(high.saturating_sub(look));
            let known = self.fold(begin, high, control).await?;
            if known || begin == from {
                return Ok(high);
            }
            look = look.saturating_mul(8);
        }
    }

    /// Whether there was a control record.
    async fn fold(&self, from: i64, to: i64, control: &mut Control) -> Result<bool, KafkaError> {
        if from >= to {
            return Ok(false);
        }
        let (mut records, mut seen) = (Reassembler::default(), Control::default());
        let range = LogReader::read_range(&self.kafka, &self.topic, from, to, READ);
        for message in range.await? {
            // What can't be read is another version's and no control record of
            // ours.
            if let Ok(Some(record)) = records.push(&message.payload) {
                seen.push(&record, message.timestamp_ms);
                control.push(&record, message.timestamp_ms);
            }
        }
        Ok(seen.is_known())
    }
}
