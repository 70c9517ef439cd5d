//! A broadcast of made-up bytes, published to Redis as a transcoder does.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use millrace_delivery::settings::Settings;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::{
    Access, BroadcastInfo, FrameRate, InitHash, PartInfo, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_media::time::Ticks;
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{Lease, MediaWriter, Outcome};
use millrace_platform::wall;
use uuid::Uuid;

/// Parts of a segment of two seconds.
pub(crate) const PARTS: u32 = 10;
/// Of a part.
pub(crate) const PART_MS: i64 = 200;

const TIMESCALE: u32 = 90_000;
const RUN: Run = Run(1);
const INIT: Bytes = Bytes::from_static(b"init");

/// The broadcast.
pub(crate) struct Feed {
    info: BroadcastInfo,
    writer: MediaWriter,
}

impl Feed {
    /// Begins one with a rung for each of these rates, in kbit/s.
    pub(crate) async fn begin(settings: &Settings, rungs: &[(&str, u32)]) -> Result<Self> {
        Self::targeting(settings, rungs, 2).await
    }

    /// One that says of its segments that they have so many seconds: requests
    /// wait for three times that.
    pub(crate) async fn targeting(
        settings: &Settings,
        rungs: &[(&str, u32)],
        seconds: i64,
    ) -> Result<Self> {
        let info = BroadcastInfo {
            stream: StreamId::new("bench", "serving")?,
            broadcast: BroadcastId(Uuid::now_v7()),
            started_ms: wall::ms(),
            segment_duration: Ticks::from_ms(seconds * 1_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(120_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: rungs.iter().map(|rung| rendition(*rung)).collect::<Result<_>>()?,
            ended: false,
            access: Access::Public,
        };
        let lease = Lease { broadcast: info.broadcast, run: RUN, token: Uuid::new_v4() };
        let redis = Redis::connect(&settings.redis.media, "media")?;
        let writer = MediaWriter::new(redis, &settings.installation, &info.stream, lease);
        writer.claim().await?;
        writer.put_init(&InitHash::of(&INIT), &INIT).await?;
        writer.put_broadcast(&info).await?;
        Ok(Self { info, writer })
    }

    pub(crate) fn stream(&self) -> &StreamId {
        &self.info.stream
    }

    pub(crate) fn index(&self) -> String {
        format!("/hls/{}/index.m3u8", self.info.stream)
    }

    /// `/hls/…/{rendition}/{name}`
    pub(crate) fn path(&self, rendition: &str, name: &str) -> String {
        format!("/hls/{}/{}/{rendition}/{name}", self.info.stream, self.info.broadcast)
    }

    /// A whole segment of every rung, its parts first.
    pub(crate) async fn whole(&self, msn: u64) -> Result<()> {
        for part in 0..PARTS {
            self.part(msn, part).await?;
        }
        self.segment(msn).await
    }

    /// A part of every rung.
    pub(crate) async fn part(&self, msn: u64, part: u32) -> Result<()> {
        for rendition in &self.info.renditions {
            let bytes = media(rendition, PART_MS)?;
            let offset = start_ms(msn)? + i64::from(part) * PART_MS;
            let info = PartInfo {
                msn: Msn(msn),
                part,
                run: RUN,
                start: offset * i64::from(TIMESCALE) / 1_000,
                duration: PART_MS * i64::from(TIMESCALE) / 1_000,
                bytes: bytes.len() as u64,
                independent: part == 0,
                discontinuities: 0,
                date_ms: self.info.started_ms + offset,
                init: InitHash::of(&INIT),
                base: Some(Ticks::ZERO),
            };
            let outcome = self.writer.publish_part(&rendition.name, &info, &bytes).await?;
            ensure!(outcome == Outcome::New, "{outcome:?}");
        }
        Ok(())
    }

    /// Completes a segment of every rung.
    pub(crate) async fn segment(&self, msn: u64) -> Result<()> {
        let parts: Vec<_> = (0..PARTS).map(|part| (part, RUN)).collect();
        let first = Msn(msn.saturating_sub(60));
        for rendition in &self.info.renditions {
            let bytes = media(rendition, i64::from(PARTS) * PART_MS)?;
            let info = SegmentInfo {
                msn: Msn(msn),
                run: RUN,
                start: start_ms(msn)? * i64::from(TIMESCALE) / 1_000,
                duration: 2 * i64::from(TIMESCALE),
                bytes: bytes.len() as u64,
                discontinuities: 0,
                date_ms: self.info.started_ms + start_ms(msn)?,
                init: InitHash::of(&INIT),
                gap: false,
                base: Some(Ticks::ZERO),
            };
            let written =
                self.writer.publish_segment(&rendition.name, &info, &bytes, &parts, first);
            written.await?;
        }
        Ok(())
    }
}

fn start_ms(msn: u64) -> Result<i64> {
    Ok(i64::try_from(msn)? * i64::from(PARTS) * PART_MS)
}

/// So long of this rendition at its rate.
fn media(rendition: &RenditionInfo, ms: i64) -> Result<Bytes> {
    let bytes = rendition.average_bandwidth / 8 * u64::try_from(ms)? / 1_000;
    Ok(Bytes::from(vec![7; usize::try_from(bytes).context("a rate without end")?]))
}

fn rendition((name, kbps): (&str, u32)) -> Result<RenditionInfo> {
    let name: RenditionName = name.parse()?;
    let height = name.as_str().trim_end_matches('p').parse()?;
    Ok(RenditionInfo {
        kind: RenditionKind::Video { width: height * 16 / 9, height },
        codecs: "avc1.64001f".to_owned(),
        timescale: TIMESCALE,
        bandwidth: u64::from(kbps) * 1_000,
        average_bandwidth: u64::from(kbps) * 1_000,
        name,
    })
}
