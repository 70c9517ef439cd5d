//! Audio and video messages of one epoch to records.
//!
//! Reads of a message what the record's header says: keyframe, configuration,
//! composition time. Before every keyframe after the first the facts and the
//! configurations are repeated, so that a reader can start at each.

use bytes::Bytes;

use millrace_media::avc::{AvcConfig, AvcError};
use millrace_media::flv::{AudioPacket, AudioTag, FlvError, FrameType, VideoPacket, VideoTag};
use millrace_media::id::Epoch;
use millrace_media::record::{Body, Frame, Open, Record, Track};

/// A message as it arrived.
#[derive(Debug, Clone)]
pub struct Message {
    /// Audio or video.
    pub track: Track,
    /// RTMP time in ms, unwrapped.
    pub time_ms: i64,
    /// Wall clock in ms since 1970.
    pub arrival_ms: i64,
    /// The FLV tag body.
    pub payload: Bytes,
}

/// The records of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whether a group of pictures begins with the first record.
    pub starts_gop: bool,
    /// Whether it is a picture, a keyframe or not.
    pub picture: bool,
    /// In order; empty when the message holds nothing for a reader.
    pub records: Vec<Record>,
}

/// Why a message is not written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is no FLV tag body; it is to be skipped.
    #[error(transparent)]
    Malformed(#[from] FlvError),
    /// A video configuration that no reader could start a decoder with.
    #[error(transparent)]
    VideoConfig(#[from] AvcError),
}

/// Writes the records of one epoch.
#[derive(Debug)]
pub struct Frames {
    epoch: Epoch,
    facts: Open,
    sequence: u64,
    video_config: Option<Bytes>,
    audio_config: Option<Bytes>,
    /// Whether the next keyframe needs nothing repeated.
    first: bool,
}

impl Frames {
    /// For the epoch that these facts opened.
    pub fn new(epoch: Epoch, facts: Open) -> Self {
        Self { epoch, facts, sequence: 0, video_config: None, audio_config: None, first: true }
    }

    /// Records of this epoch were lost: the next keyframe repeats everything.
    pub fn after_loss(&mut self) {
        self.first = false;
    }

    /// The records of the next message.
    ///
    /// # Errors
    /// When the message is not to be written.
    pub fn push(&mut self, message: &Message) -> Result<Written, FrameError> {
        match message.track {
            Track::Video => self.video(message),
            Track::Audio => Ok(self.audio(message)?),
        }
    }

    fn video(&mut self, message: &Message) -> Result<Written, FrameError> {
        let tag = VideoTag::parse(&message.payload)?;
        let mut written = Written { starts_gop: false, picture: false, records: Vec::new() };
        match tag.packet {
            VideoPacket::Config(record) => {
                AvcConfig::parse(&record)?;
                self.video_config = Some(message.payload.clone());
                written.records.push(self.config(message, message.payload.clone(), false));
            }
            VideoPacket::Picture { composition_ms, .. } => {
                let keyframe = matches!(tag.frame_type, FrameType::Key | FrameType::GeneratedKey);
                if keyframe && !self.first {
                    self.repeat(message, &mut written.records);
                }
                self.first &= !keyframe;
                written.starts_gop = keyframe;
                written.picture = true;
                let frame = Frame { keyframe, composition_ms, ..self.frame(message) };
                written.records.push(self.record(Body::Frame(frame)));
            }
            VideoPacket::End | VideoPacket::Command => {}
        }
        Ok(written)
    }

    fn audio(&mut self, message: &Message) -> Result<Written, FlvError> {
        let record = match AudioTag::parse(&message.payload)?.packet {
            AudioPacket::Config(_) => {
                self.audio_config = Some(message.payload.clone());
                self.config(message, message.payload.clone(), false)
            }
            AudioPacket::Frame(_) => {
                let frame = self.frame(message);
                self.record(Body::Frame(frame))
            }
        };
        Ok(Written { starts_gop: false, picture: false, records: vec![record] })
    }

    /// Facts and configurations before this keyframe.
    fn repeat(&mut self, keyframe: &Message, records: &mut Vec<Record>) {
        records.push(self.record(Body::Facts(self.facts.clone())));
        if let Some(payload) = self.video_config.clone() {
            records.push(self.config(keyframe, payload, true));
        }
        if let Some(payload) = self.audio_config.clone() {
            let audio = Message { track: Track::Audio, ..keyframe.clone() };
            records.push(self.config(&audio, payload, true));
        }
    }

    fn config(&mut self, at: &Message, payload: Bytes, repeated: bool) -> Record {
        let frame = Frame { config: true, repeated, payload, ..self.frame(at) };
        self.record(Body::Frame(frame))
    }

    /// A plain frame with the next sequence number.
    fn frame(&mut self, message: &Message) -> Frame {
        let sequence = self.sequence;
        self.sequence += 1;
        Frame {
            track: message.track,
            keyframe: false,
            config: false,
            repeated: false,
            sequence,
            time_ms: message.time_ms,
            composition_ms: 0,
            arrival_ms: message.arrival_ms,
            payload: message.payload.clone(),
        }
    }

    fn record(&self, body: Body) -> Record {
        Record { epoch: self.epoch, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_media::id::BroadcastId;
    use uuid::Uuid;

    /// 854x480, High, level 3.1.
    const VIDEO_CONFIG: &[u8] = &[
        0x17, 0x00, 0x00, 0x00, 0x00, 0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64,
        0x00, 0x1f, 0xac, 0xd9, 0x40, 0xd8, 0x3d, 0xe6, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9,
        0x00, 0x00, 0xea, 0x60, 0x0f, 0x18, 0x31, 0x96, 0x01, 0x00, 0x06, 0x68, 0xea, 0xe3, 0xcb,
        0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
    ];

    fn frames() -> Frames {
        let facts = Open {
            broadcast: BroadcastId(Uuid::nil()),
            nonce: Uuid::nil(),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 5,
            resumed: false,
        };
        Frames::new(Epoch(3), facts)
    }

    fn written(frames: &mut Frames, track: Track, payload: &'static [u8]) -> Vec<String> {
        let payload = Bytes::from_static(payload);
        let message = Message { track, time_ms: 40, arrival_ms: 9, payload };
        let records = frames.push(&message).unwrap().records;
        records.iter().map(|r| describe(&r.body)).collect()
    }

    fn describe(body: &Body) -> String {
        match body {
            Body::Frame(f) => {
                let kind = if f.config { "config" } else { "frame" };
                let repeated = if f.repeated { " repeated" } else { "" };
                let key = if f.keyframe { " key" } else { "" };
                let (track, sequence, offset) = (f.track, f.sequence, f.composition_ms);
                format!("{sequence} {track:?} {kind}{repeated}{key} {offset}")
            }
            Body::Facts(_) => "facts".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn facts_and_configurations_stand_before_every_keyframe_but_the_first() {
        let mut frames = frames();
        let mut all = Vec::new();
        for (track, payload) in [
            (Track::Video, VIDEO_CONFIG),
            (Track::Audio, &[0xaf, 0, 0x12, 0x10]),
            (Track::Video, &[0x17, 1, 0, 0, 66, 1]),
            (Track::Video, &[0x27, 1, 0xff, 0xff, 0xff, 1]),
            (Track::Audio, &[0xaf, 1, 1]),
            (Track::Video, &[0x17, 1, 0, 0, 0, 1]),
        ] {
            all.extend(written(&mut frames, track, payload));
        }
        assert_eq!(
            all,
            [
                "0 Video config 0",
                "1 Audio config 0",
                "2 Video frame key 66",
                "3 Video frame -1",
                "4 Audio frame 0",
                "facts",
                "5 Video config repeated 0",
                "6 Audio config repeated 0",
                "7 Video frame key 0",
            ]
        );
    }

    #[test]
    fn the_first_keyframe_repeats_too_after_a_loss() {
        let mut frames = frames();
        written(&mut frames, Track::Video, VIDEO_CONFIG);
        frames.after_loss();
        let all = written(&mut frames, Track::Video, &[0x17, 1, 0, 0, 0, 1]);
        assert_eq!(all, ["facts", "1 Video config repeated 0", "2 Video frame key 0"]);
    }

    #[test]
    fn what_holds_no_picture_writes_nothing() {
        let mut frames = frames();
        assert!(written(&mut frames, Track::Video, &[0x17, 2, 0, 0, 0]).is_empty());
        assert!(written(&mut frames, Track::Video, &[0x57, 0]).is_empty());
        let payload = Bytes::from_static(&[0x17]);
        let cut = Message { track: Track::Video, time_ms: 0, arrival_ms: 0, payload };
        assert!(frames.push(&cut).is_err());
    }

    #[test]
    fn a_configuration_that_no_decoder_takes_is_not_written() {
        let payload = Bytes::from_static(&[0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x1e, 0xff, 0xe0, 0]);
        let message = Message { track: Track::Video, time_ms: 0, arrival_ms: 0, payload };
        let error = frames().push(&message).unwrap_err();
        assert!(matches!(error, FrameError::VideoConfig(_)), "{error}");
    }
}
