//! What a broadcast left in the log: the truth about what was published, to its last picture.
//!
//! Read from outside, and told by the numbers in the pictures themselves.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use millrace_harness::counter;
use millrace_harness::recorder::sha;
use millrace_media::flv::{FileWriter, FlvError};
use millrace_media::id::Epoch;
use millrace_media::record::{Body, Frame, Reassembler, Record, Track};
use millrace_platform::config::KafkaConfig;
use millrace_platform::kafka::{LogReader, ReaderOptions, Start};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long reading what one broadcast wrote may take.
const LIMIT: Duration = Duration::from_mins(1);

/// What is in the log, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Logged {
    /// Numbers of pictures.
    pub(crate) pictures: Vec<u32>,
    /// Hashes of frames of sound.
    pub(crate) sounds: Vec<u64>,
}

/// A reader of the log who keeps all of it.
#[derive(Debug)]
pub(crate) struct Log {
    kafka: KafkaConfig,
    topic: String,
    /// The first offset that was not read.
    next: i64,
    chunks: Reassembler,
    records: Vec<Record>,
}

impl Log {
    /// From now on.
    ///
    /// # Errors
    /// When there is no such log, or Kafka is away.
    pub(crate) async fn open(kafka: &KafkaConfig, topic: &str) -> Result<Self> {
        let (kafka, topic) = (kafka.clone(), topic.to_owned());
        let next = end(&kafka, &topic).await?;
        Ok(Self { kafka, topic, next, chunks: Reassembler::default(), records: Vec::new() })
    }

    /// Reads what was written since.
    ///
    /// # Errors
    /// When Kafka is away.
    pub(crate) async fn read(&mut self) -> Result<()> {
        let end = end(&self.kafka, &self.topic).await?;
        let range = LogReader::read_range(&self.kafka, &self.topic, self.next, end, LIMIT);
        for message in range.await? {
            // What is no record, no reader takes.
            if let Ok(Some(record)) = self.chunks.push(&message.payload) {
                self.records.push(record);
            }
        }
        self.next = end;
        Ok(())
    }

    /// Reads what was written since, and deletes it in the log, as retention would.
    ///
    /// # Errors
    /// When Kafka is away or refuses.
    pub(crate) async fn truncate(&mut self) -> Result<()> {
        self.read().await?;
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.kafka.brokers).create()?;
        let mut read = TopicPartitionList::new();
        read.add_partition_offset(&self.topic, 0, Offset::Offset(self.next))?;
        admin.delete_records(&read, &AdminOptions::new()).await.context("emptying the log")?;
        Ok(())
    }

    /// The numbers in the pictures that were read, in the order of the log.
    ///
    /// # Errors
    /// When one cannot be decoded or has no number: then there is no truth to judge by.
    pub(crate) async fn numbers(&self) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for film in films(&self.records)? {
            let read = counter::read(film.into()).await.context("decoding the log")?;
            let read: Option<Vec<u32>> = read.into_iter().collect();
            numbers.extend(read.context("a picture in the log has no readable number")?);
        }
        Ok(numbers)
    }

    /// The hashes of the frames of sound that were read, in the order of the log.
    pub(crate) fn sounds(&self) -> Vec<u64> {
        let frames = valid(&self.records).filter(|(_, frame)| frame.track == Track::Audio);
        let sounds = frames.filter(|(_, frame)| !frame.config);
        // After the two bytes of AUDIODATA (FLV E.4.2.1).
        sounds.filter_map(|(_, frame)| Some(sha(frame.payload.get(2..)?))).collect()
    }
}

/// One past the last record.
async fn end(kafka: &KafkaConfig, topic: &str) -> Result<i64> {
    let reader = LogReader::open(kafka, topic, Start::End, ReaderOptions::default()).await?;
    Ok(reader.watermarks().await?.high)
}

/// The frames that count. An epoch ends where a higher one opens: what comes of it later counts for
/// nobody.
fn valid(records: &[Record]) -> impl Iterator<Item = (Epoch, &Frame)> {
    let mut open = Epoch(0);
    records.iter().filter_map(move |record| match &record.body {
        Body::Open(_) => {
            open = open.max(record.epoch);
            None
        }
        Body::Frame(frame) if record.epoch >= open => Some((record.epoch, frame)),
        _ => None,
    })
}

/// The pictures of each epoch as a file for a decoder.
fn films(records: &[Record]) -> Result<Vec<Bytes>, FlvError> {
    let mut films: Vec<Film> = Vec::new();
    for (epoch, frame) in valid(records).filter(|(_, frame)| frame.track == Track::Video) {
        if films.last().is_none_or(|film| film.epoch != epoch) {
            films.push(Film::new(epoch));
        }
        if let Some(film) = films.last_mut() {
            film.push(frame)?;
        }
    }
    Ok(films.into_iter().map(|mut film| film.file.take()).collect())
}

/// From picture to picture in a film.
const STEP_MS: u32 = 33;

struct Film {
    epoch: Epoch,
    config: Bytes,
    /// Times of its own, of which a decoder has nothing to say: stamps may be wrong.
    time_ms: u32,
    file: FileWriter,
}

impl Film {
    fn new(epoch: Epoch) -> Self {
        Self { epoch, config: Bytes::new(), time_ms: 0, file: FileWriter::new(true, false) }
    }

    fn push(&mut self, frame: &Frame) -> Result<(), FlvError> {
        if frame.config {
            // It is repeated before every keyframe.
            if self.config == frame.payload {
                return Ok(());
            }
            self.config = frame.payload.clone();
        }
        self.file.write(Track::Video, self.time_ms, &frame.payload)?;
        self.time_ms += STEP_MS;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::flv::FileReader;
    use millrace_media::id::BroadcastId;
    use millrace_media::record::Open;
    use uuid::Uuid;

    use super::*;

    fn open(epoch: u64) -> Record {
        let open = Open {
            broadcast: BroadcastId(Uuid::nil()),
            nonce: Uuid::nil(),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 0,
            resumed: false,
        };
        Record { epoch: Epoch(epoch), body: Body::Open(open) }
    }

    fn frame(epoch: u64, time_ms: i64, config: bool, payload: &'static [u8]) -> Record {
        let frame = Frame {
            track: Track::Video,
            keyframe: false,
            config,
            repeated: false,
            sequence: 0,
            time_ms,
            composition_ms: 0,
            arrival_ms: 0,
            payload: Bytes::from_static(payload),
        };
        Record { epoch: Epoch(epoch), body: Body::Frame(frame) }
    }

    fn tags(film: &Bytes) -> Vec<(u32, Vec<u8>)> {
        let mut reader = FileReader::new(1_000);
        reader.push(film);
        let tags = std::iter::from_fn(|| reader.pop().unwrap());
        tags.map(|tag| (tag.timestamp_ms, tag.body.to_vec())).collect()
    }

    #[test]
    fn each_epoch_is_a_film_with_its_configuration_once_and_ends_where_the_next_opens() {
        let records = [
            open(1),
            frame(1, 0, true, b"c"),
            frame(1, 0, false, b"k"),
            frame(1, 33, true, b"c"),
            frame(1, 33, false, b"p"),
            open(2),
            frame(1, 66, false, b"late"),
            frame(2, 5, true, b"c"),
            frame(2, 5, false, b"k"),
        ];
        let films = films(&records).unwrap();
        let [first, second] = &films[..] else { panic!("{} films", films.len()) };
        assert_eq!(tags(first), [(0, b"c".to_vec()), (33, b"k".to_vec()), (66, b"p".to_vec())]);
        assert_eq!(tags(second), [(0, b"c".to_vec()), (33, b"k".to_vec())]);
    }
}
