//! One peer, from its first byte to its last: handshake, connect, publish.
//!
//! The caller feeds bytes and time, writes [`ServerSession::take_output`] to
//! the peer, and answers [`Event::PublishRequested`]. It polls all events after
//! each input; while it has not answered it should not read on, so that the
//! peer waits by TCP.

mod commands;
mod media;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::chunk_reader::ChunkReader;
use super::chunk_writer::ChunkWriter;
use super::clock::UnwrapClock;
use super::control::Control;
use super::error::{ErrorKind, RtmpError, Wait};
use super::handshake::Handshake;
use super::limits::Limits;
use super::message::Message;
use super::metadata::Metadata;
use crate::record::Track;

/// How long a peer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start to the end of the handshake.
    pub handshake: Duration,
    /// From there, or from the end of a publish, to `publish`.
    pub publish: Duration,
    /// Between audio or video messages of an accepted publisher. A network that stands still for less
    /// costs it nothing.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { handshake: ten, publish: ten, idle: 3 * ten }
    }
}

/// How to serve a peer.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The one application served; `connect` to another is refused.
    pub app: String,
    /// Bounds on memory.
    pub limits: Limits,
    /// Bounds on time.
    pub timeouts: Timeouts,
    /// Makes the random bytes of the handshake.
    pub seed: u64,
}

impl SessionConfig {
    /// With default bounds.
    pub fn new(app: &str, seed: u64) -> Self {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        Self { app: app.to_owned(), limits, timeouts, seed }
    }
}

/// Chunk size announced to the peer. ffmpeg adopts it for its own chunks, so
/// that most frames are one chunk.
pub const CHUNK_SIZE: u32 = 60_000;
/// Acknowledgement window announced and, until the peer says its own, used.
pub const WINDOW: u32 = 2_500_000;

/// The publishing name: here the publish key. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamName(String);

impl StreamName {
    /// The text, for whoever checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamName(…)")
    }
}

/// How a publisher said that its publish is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublish {
    /// `FCUnpublish`.
    FcUnpublish,
    /// `deleteStream`.
    DeleteStream,
    /// `closeStream`.
    CloseStream,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `connect` was accepted.
    Connected {
        /// The encoder's name for itself.
        encoder: String,
    },
    /// The peer wants to publish; to be answered by
    /// [`ServerSession::accept_publish`] or [`ServerSession::reject_publish`].
    PublishRequested(StreamName),
    /// The publisher announced what it sends.
    Metadata(Metadata),
    /// An audio or video message.
    Media {
        /// Audio or video.
        track: Track,
        /// Milliseconds of RTMP time, unwrapped.
        time_ms: i64,
        /// The FLV tag body, not empty.
        payload: Bytes,
    },
    /// The publisher ended its publish.
    Unpublished(Unpublish),
}

/// The code of a refusal, as encoders know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectCode {
    /// The publishing name is wrong or taken.
    BadName,
    /// What is published, or how, is not taken.
    Rejected,
    /// The server can't go on with it.
    Failed,
}

impl RejectCode {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadName => "NetStream.Publish.BadName",
            Self::Rejected => "NetStream.Publish.Rejected",
            Self::Failed => "NetStream.Publish.Failed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    /// The handshake is over, `connect` is awaited.
    Open,
    /// Between connect and publish, or after a publish.
    Connected,
    /// The caller has to answer for this message stream.
    Asked(u32),
    Publishing(u32),
    Closed,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct ServerSession {
    config: SessionConfig,
    phase: Phase,
    deadline: Option<(Duration, Wait)>,
    handshake: Handshake,
    reader: ChunkReader,
    writer: ChunkWriter,
    clock: UnwrapClock,
    events: VecDeque<Event>,
    output: BytesMut,
    /// Bytes read of the peer's stream, and how many were acknowledged.
    received: u64,
    acknowledged: u64,
    window: u32,
    last_stream_id: u32,
}

impl ServerSession {
    /// For a peer that has just connected. `now` is the time on any clock that
    /// never goes back; all later times are on the same.
    pub fn new(config: SessionConfig, now: Duration) -> Self {
        Self {
            phase: Phase::Handshake,
            deadline: Some((now + config.timeouts.handshake, Wait::Handshake)),
            handshake: Handshake::new(config.seed),
            reader: ChunkReader::new(config.limits),
            writer: ChunkWriter::default(),
            clock: UnwrapClock::default(),
            events: VecDeque::new(),
            output: BytesMut::new(),
            received: 0,
            acknowledged: 0,
            window: WINDOW,
            last_stream_id: 0,
            config,
        }
    }

    /// Reads what the peer sent. After the end of the session it is ignored.
    ///
    /// # Errors
    /// When the session can't go on. Write what [`Self::take_output`] holds,
    /// then close.
    pub fn handle_input(&mut self, input: &[u8], now: Duration) -> Result<(), RtmpError> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        let mut rest = input;
        let done = self.read(&mut rest, now);
        let read = input.len() - rest.len();
        self.received = self.received.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        done.and_then(|()| self.acknowledge()).map_err(|kind| self.fail(kind))
    }

    fn read(&mut self, rest: &mut &[u8], now: Duration) -> Result<(), ErrorKind> {
        if self.phase == Phase::Handshake {
            self.handshake.read(rest, &mut self.output)?;
            if self.handshake.is_done() {
                self.enter(Phase::Open, now);
            }
        }
        while !rest.is_empty() && self.phase != Phase::Closed {
            let Some(message) = self.reader.read(rest)? else { break };
            self.handle_message(message, now)?;
            if self.output.len() > self.config.limits.output {
                return Err(ErrorKind::Output(self.config.limits.output));
            }
            if self.events.len() > self.config.limits.events {
                return Err(ErrorKind::Events(self.config.limits.events));
            }
        }
        Ok(())
    }

    fn handle_message(&mut self, message: Message, now: Duration) -> Result<(), ErrorKind> {
        match Control::read(message.kind, &message.payload)? {
            None if message.kind.is_media() => self.handle_media(message, now),
            None => self.handle_call(&message, now),
            Some(control) => self.handle_control(control),
        }
    }

    fn handle_control(&mut self, control: Control) -> Result<(), ErrorKind> {
        match control {
            Control::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Control::Abort(csid) => self.reader.abort(csid),
            // A window of 0 would want an acknowledgement per byte.
            Control::WindowAckSize(window) if window > 0 => self.window = window,
            Control::PingRequest(time) => self.send(&Control::PingResponse(time).message()),
            Control::SetPeerBandwidth(_)
            | Control::WindowAckSize(_)
            | Control::Acknowledgement(_)
            | Control::StreamBegin(_)
            | Control::PingResponse(_)
            | Control::OtherEvent(_) => {}
        }
        Ok(())
    }

    /// At most one acknowledgement per input, however small the window.
    fn acknowledge(&mut self) -> Result<(), ErrorKind> {
        let started = !matches!(self.phase, Phase::Handshake | Phase::Closed);
        if started && self.received - self.acknowledged >= u64::from(self.window) {
            self.acknowledged = self.received;
            // The sequence number wraps (RTMP §5.4.3).
            let low = u32::try_from(self.received & u64::from(u32::MAX)).unwrap_or_default();
            self.send(&Control::Acknowledgement(low).message());
        }
        if self.output.len() > self.config.limits.output {
            return Err(ErrorKind::Output(self.config.limits.output));
        }
        Ok(())
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be written to the peer; empty when there is nothing.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadline.map(|(at, _)| at)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// When the peer took too long; the session is over.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), RtmpError> {
        match self.deadline {
            Some((at, wait)) if at <= now => Err(self.fail(ErrorKind::Timeout(wait))),
            _ => Ok(()),
        }
    }

    /// Whether the session is over and only output may be left.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        let timeouts = self.config.timeouts;
        self.deadline = match phase {
            Phase::Handshake | Phase::Asked(_) | Phase::Closed => None,
            Phase::Open | Phase::Connected => Some((now + timeouts.publish, Wait::Publish)),
            Phase::Publishing(_) => Some((now + timeouts.idle, Wait::Media)),
        };
    }

    fn fail(&mut self, kind: ErrorKind) -> RtmpError {
        self.phase = Phase::Closed;
        self.deadline = None;
        RtmpError { at: self.received, kind }
    }

    fn send(&mut self, message: &Message) {
        self.writer.write(message, &mut self.output);
    }
}

#[cfg(test)]
mod tests;
