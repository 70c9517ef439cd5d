//! Looks at the log and at what the transcoder publishes while a picture is on its way.

use std::collections::HashMap;

use anyhow::{Context, Result};
use millrace_media::id::StreamId;
use millrace_media::published::{Entry, MediaName, PartInfo, RenditionInfo, RenditionKind};
use millrace_media::record::{Body, Reassembler, Track};
use millrace_platform::config::{Env, Installation, KafkaConfig, RedisConfig};
use millrace_platform::kafka::{LogReader, ReaderOptions, Start};
use millrace_platform::names::topics::frames_topic;
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{EntryId, MediaReader};
use tokio::time::{Duration, sleep};

use super::camera::FPS;
use super::now;

/// Of one picture in the log, µs since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    /// When ingest had it.
    pub(crate) arrived: i64,
    /// When the broker appended it.
    pub(crate) appended: i64,
}

/// Of one part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// The number of its last picture.
    pub(crate) last: usize,
    /// When its description was there, µs since 1970.
    pub(crate) at: i64,
}

/// Of one stream, before anybody publishes it.
pub(crate) struct Witness {
    log: LogReader,
    media: MediaReader,
    stream: StreamId,
}

impl Witness {
    /// With the addresses of the stream's stack.
    pub(crate) async fn open(
        redis: &str,
        kafka: &str,
        installation: &str,
        stream: &str,
    ) -> Result<Self> {
        let env = Env::from_pairs(
            [
                ("REDIS_URL", redis),
                ("KAFKA_BROKERS", kafka),
                ("MILLRACE_INSTALLATION", installation),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let installation = Installation::read(&env)?;
        let stream = stream.parse()?;
        let topic = frames_topic(&installation, &stream);
        let kafka = KafkaConfig::read(&env)?;
        let log = LogReader::open(&kafka, &topic, Start::End, ReaderOptions::default()).await?;
        let redis = Redis::connect(&RedisConfig::read(&env)?.media, "media")?;
        Ok(Self { log, media: MediaReader::new(redis, installation), stream })
    }

    /// Looks on until it is dropped: the pictures by their numbers, the parts by `<rendition>/<name>`
    /// as in their URLs.
    pub(crate) async fn watch(
        &self,
        logged: &mut Vec<Logged>,
        published: &mut HashMap<String, Published>,
    ) -> Result<()> {
        tokio::try_join!(self.watch_log(logged), self.watch_media(published))?;
        Ok(())
    }

    async fn watch_log(&self, logged: &mut Vec<Logged>) -> Result<()> {
        let mut records = Reassembler::default();
        loop {
            let message = self.log.next().await?;
            let Some(record) = records.push(&message.payload)? else { continue };
            if let Body::Frame(frame) = record.body
                && frame.track == Track::Video
                && !frame.config
            {
                logged.push(Logged {
                    arrived: frame.arrival_ms * 1_000,
                    appended: message.timestamp_ms * 1_000,
                });
            }
        }
    }

    async fn watch_media(&self, published: &mut HashMap<String, Published>) -> Result<()> {
        let info = loop {
            if let Some(info) = self.media.get_broadcast(&self.stream).await? {
                break info;
            }
            sleep(Duration::from_millis(50)).await;
        };
        let is_video =
            |rendition: &&RenditionInfo| matches!(rendition.kind, RenditionKind::Video { .. });
        let rungs: Vec<_> = info.renditions.iter().filter(is_video).collect();
        let from = rungs.iter().map(|rung| (rung.name.clone(), EntryId::START)).collect();
        let mut tail = self.media.tail(&self.stream, info.broadcast, from);
        loop {
            for (rung, entry) in tail.next().await? {
                let Entry::Part(part) = entry else { continue };
                let PartInfo { msn, part: number, run, .. } = part;
                let name = MediaName::Part { msn, part: number, run };
                let timescale =
                    rungs.iter().find(|info| info.name == rung).map(|info| info.timescale);
                let last = last_picture(&part, timescale.context("a rung nobody knows")?)?;
                published.insert(format!("{rung}/{name}"), Published { last, at: now() });
            }
        }
    }
}

/// The number of a part's last picture; the first of the broadcast is at 0.
fn last_picture(part: &PartInfo, timescale: u32) -> Result<usize> {
    let timescale = i64::from(timescale);
    // The stamps are whole ms: to the nearest picture.
    let next = ((part.start + part.duration) * i64::from(FPS) + timescale / 2) / timescale;
    usize::try_from(next - 1).context("a part without a picture")
}
