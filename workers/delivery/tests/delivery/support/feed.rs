//! Publishes a synthetic broadcast as a transcoder would: parts and segments
//! of recognisable bytes, in Redis and in a directory store.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use millrace_delivery::settings::Settings;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::index::Head;
use millrace_media::published::{
    Access, BroadcastInfo, FrameRate, InitHash, PartInfo, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_media::time::Ticks;
use millrace_platform::config::Installation;
use millrace_platform::names::objects::BroadcastObjects;
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{Lease, MediaWriter};
use millrace_platform::store::Store;
use uuid::Uuid;

/// Parts of each segment: 2 s in 200 ms pieces.
pub(crate) const PARTS: u32 = 10;
const PART_MS: i64 = 200;

/// One broadcast being published.
pub(crate) struct Feed {
    pub info: BroadcastInfo,
    writer: MediaWriter,
    redis: Redis,
    installation: Installation,
    store: Store,
    objects: BroadcastObjects,
    head: Head,
    run: Run,
    /// So many segments stay in Redis' list.
    pub kept: u64,
}

impl Feed {
    /// Begins a broadcast with two rungs and audio.
    pub(crate) async fn begin(settings: &Settings, stream: &StreamId, access: Access) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let started_ms = i64::try_from(now).unwrap();
        let info = BroadcastInfo {
            stream: stream.clone(),
            broadcast: BroadcastId(Uuid::now_v7()),
            started_ms,
            segment_duration: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(120_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: renditions(),
            ended: false,
            access,
        };
        let run = Run(1);
        let lease = Lease { broadcast: info.broadcast, run, token: Uuid::new_v4() };
        let redis = Redis::connect(&settings.redis.media, "media").unwrap();
        let installation = settings.installation.clone();
        let writer = MediaWriter::new(redis.clone(), &installation, stream, lease);
        let store = Store::open(&settings.store, &settings.installation).unwrap();
        let objects = BroadcastObjects::new(stream, info.broadcast);
        writer.claim().await.unwrap();
        writer.put_init(&init(), &INIT).await.unwrap();
        store.put(&objects.init(&init()), INIT).await.unwrap();
        writer.put_broadcast(&info).await.unwrap();
        let head = Head::new(info.clone(), run);
        Self { info, writer, redis, installation, store, objects, head, run, kept: u64::MAX }
    }

    /// The stream's URL part: `/hls/{stream}`.
    pub(crate) fn stream_path(&self) -> String {
        format!("/hls/{}", self.info.stream)
    }

    /// `/hls/{stream}/{broadcast}/{rendition}/{name}`.
    pub(crate) fn path(&self, rendition: &str, name: &str) -> String {
        format!("/hls/{}/{}/{rendition}/{name}", self.info.stream, self.info.broadcast)
    }

    /// Whole segments of every rendition.
    pub(crate) async fn segments(&mut self, range: std::ops::Range<u64>) {
        for msn in range {
            for part in 0..PARTS {
                self.part(msn, part).await;
            }
            self.segment(msn).await;
        }
    }

    /// One part of every rendition.
    pub(crate) async fn part(&self, msn: u64, part: u32) {
        for rendition in &self.info.renditions {
            let bytes = part_bytes(&rendition.name, msn, part);
            let tick = |ms: i64| ms * i64::from(rendition.timescale) / 1_000;
            let offset = i64::from(part) * PART_MS;
            let info = PartInfo {
                msn: Msn(msn),
                part,
                run: self.run,
                start: tick(start_ms(msn) + offset),
                duration: tick(PART_MS),
                bytes: bytes.len() as u64,
                independent: part == 0,
                discontinuities: 0,
                date_ms: self.info.started_ms + start_ms(msn) + offset,
                init: init(),
                base: Some(Ticks::ZERO),
            };
            self.writer.publish_part(&rendition.name, &info, &bytes).await.unwrap();
        }
    }

    /// What follows is made by another run.
    pub(crate) async fn restart(&mut self) {
        self.run = Run(self.run.0 + 1);
        let lease = Lease { broadcast: self.info.broadcast, run: self.run, token: Uuid::new_v4() };
        let (redis, stream) = (self.redis.clone(), &self.info.stream);
        self.writer = MediaWriter::new(redis, &self.installation, stream, lease);
        self.writer.claim().await.unwrap();
    }

    /// Completes a segment of every rendition: in the object store, then in
    /// Redis if it is there.
    pub(crate) async fn segment(&mut self, msn: u64) {
        let segments = self.store_segment(msn).await;
        let parts: Vec<_> = (0..PARTS).map(|part| (part, self.run)).collect();
        for (name, segment) in segments {
            let bytes = segment_bytes(&name, msn);
            let first = Msn(msn.saturating_sub(self.kept));
            let publish = self.writer.publish_segment(&name, &segment, &bytes, &parts, first);
            publish.await.unwrap();
        }
    }

    /// Completes a segment of which parts were lost: it is another one.
    pub(crate) async fn segment_made_again(&mut self, msn: u64) {
        for (name, segment) in self.store_segment(msn).await {
            let bytes = Bytes::from_static(b"made again");
            let publish = self.writer.publish_segment(&name, &segment, &bytes, &[], Msn(0));
            publish.await.unwrap();
        }
    }

    /// Completes a segment in the object store alone.
    pub(crate) async fn store_segment(&mut self, msn: u64) -> Vec<(RenditionName, SegmentInfo)> {
        let mut segments = Vec::new();
        for rendition in &self.info.renditions {
            let bytes = segment_bytes(&rendition.name, msn);
            let path = self.objects.segment(&rendition.name, Msn(msn), self.run);
            self.store.put(&path, bytes.clone()).await.unwrap();
            let segment = SegmentInfo {
                msn: Msn(msn),
                run: self.run,
                start: start_ms(msn) * i64::from(rendition.timescale) / 1_000,
                duration: 2 * i64::from(rendition.timescale),
                bytes: bytes.len() as u64,
                discontinuities: 0,
                date_ms: self.info.started_ms + start_ms(msn),
                init: init(),
                gap: false,
                base: Some(Ticks::ZERO),
            };
            self.head.push(&rendition.name, segment.clone());
            segments.push((rendition.name.clone(), segment));
        }
        if let Some((place, chunk)) = self.head.cut_chunk() {
            let json = serde_json::to_vec(&chunk).unwrap();
            let path = self.objects.chunk(place.first, place.run);
            self.store.put(&path, json.into()).await.unwrap();
        }
        self.write_head().await;
        segments
    }

    /// Ends the broadcast; `msn` is one past its last segment.
    pub(crate) async fn end(&mut self, msn: u64) {
        self.head.info.ended = true;
        self.write_head().await;
        let ends: Vec<_> =
            self.info.renditions.iter().map(|r| (r.name.clone(), Msn(msn))).collect();
        self.writer.publish_end(&self.info, &ends).await.unwrap();
    }

    /// Claims the lease again after Redis has lost it.
    pub(crate) async fn claim_again(&self) {
        self.writer.claim().await.unwrap();
    }

    async fn write_head(&self) {
        let json = serde_json::to_vec(&self.head).unwrap();
        self.store.put(&self.objects.head(self.run), json.into()).await.unwrap();
    }
}

const INIT: Bytes = Bytes::from_static(b"init");

/// The init segment of all renditions.
pub(crate) fn init() -> InitHash {
    InitHash::of(&INIT)
}

/// What a part holds.
pub(crate) fn part_bytes(rendition: &RenditionName, msn: u64, part: u32) -> Bytes {
    Bytes::from(format!("<{rendition} {msn}.{part}>"))
}

/// What a segment holds: its parts.
pub(crate) fn segment_bytes(rendition: &RenditionName, msn: u64) -> Bytes {
    (0..PARTS).flat_map(|part| part_bytes(rendition, msn, part)).collect()
}

fn start_ms(msn: u64) -> i64 {
    i64::try_from(msn).unwrap() * 2_000
}

fn renditions() -> Vec<RenditionInfo> {
    let video = |name: &str, width, height, bandwidth| RenditionInfo {
        name: name.parse().unwrap(),
        kind: RenditionKind::Video { width, height },
        codecs: "avc1.64001f".to_owned(),
        timescale: 90_000,
        bandwidth,
        average_bandwidth: bandwidth,
    };
    let audio = RenditionInfo {
        name: RenditionName::audio(),
        kind: RenditionKind::Audio { sample_rate: 48_000, channels: 2 },
        codecs: "mp4a.40.2".to_owned(),
        timescale: 48_000,
        bandwidth: 128_000,
        average_bandwidth: 128_000,
    };
    vec![video("480p", 854, 480, 1_500_000), video("720p", 1280, 720, 3_000_000), audio]
}
