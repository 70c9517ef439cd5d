//! Commands and data messages, and the answers to them (RTMP §7.2).

use std::time::Duration;

use super::{CHUNK_SIZE, Event, Phase, RejectCode, ServerSession, StreamName, Unpublish, WINDOW};
use crate::rtmp::amf0::{Value, decode_all};
use crate::rtmp::clock::UnwrapClock;
use crate::rtmp::command::{Command, CommandKind};
use crate::rtmp::control::Control;
use crate::rtmp::error::ErrorKind;
use crate::rtmp::message::{Message, MessageType};
use crate::rtmp::metadata::Metadata;
use crate::rtmp::replies::{self, Status};

impl ServerSession {
    /// A message that is neither control nor media.
    pub(super) fn handle_call(
        &mut self,
        message: &Message,
        now: Duration,
    ) -> Result<(), ErrorKind> {
        let payload = message.payload.as_ref();
        match message.kind {
            MessageType::CommandAmf0 => self.handle_command(payload, message.stream_id, now),
            // An AMF3 command is AMF0 behind one byte (RTMP §7.1.1).
            MessageType::CommandAmf3 => {
                let payload = payload.get(1..).unwrap_or_default();
                self.handle_command(payload, message.stream_id, now)
            }
            MessageType::DataAmf0 => {
                self.handle_data(payload);
                Ok(())
            }
            MessageType::DataAmf3 => {
                self.handle_data(payload.get(1..).unwrap_or_default());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn handle_command(
        &mut self,
        payload: &[u8],
        stream_id: u32,
        now: Duration,
    ) -> Result<(), ErrorKind> {
        let Command { kind, transaction } = Command::read(payload)?;
        if self.phase == Phase::Open && !matches!(kind, CommandKind::Connect { .. }) {
            return Err(ErrorKind::NotConnected(kind.name().to_owned()));
        }
        match kind {
            CommandKind::Connect { app, encoder } => {
                return self.connect(&app, encoder, transaction);
            }
            CommandKind::CreateStream => {
                self.last_stream_id = self.last_stream_id.wrapping_add(1).max(1);
                let id = Value::Number(f64::from(self.last_stream_id));
                self.send(&replies::result(transaction, id));
            }
            CommandKind::ReleaseStream | CommandKind::FcPublish => {
                self.send(&replies::result(transaction, Value::Undefined));
            }
            CommandKind::Publish { name } => self.request_publish(name, stream_id, now),
            CommandKind::FcUnpublish => self.unpublish(Unpublish::FcUnpublish, now),
            CommandKind::CloseStream => self.unpublish(Unpublish::CloseStream, now),
            CommandKind::DeleteStream { stream_id } => {
                let current = match self.phase {
                    Phase::Asked(id) | Phase::Publishing(id) => f64::from(id),
                    _ => return Ok(()),
                };
                // Some encoders say 0 for "mine".
                if stream_id == 0.0 || (stream_id - current).abs() < 0.5 {
                    self.unpublish(Unpublish::DeleteStream, now);
                }
            }
            CommandKind::Play => {
                let status = Status {
                    level: "error",
                    code: "NetStream.Play.Failed",
                    description: "This server takes publishers; play the stream over HLS.",
                };
                self.send(&replies::on_status(stream_id, status));
            }
            CommandKind::Other { .. } if transaction != 0.0 => {
                self.send(&replies::result(transaction, Value::Null));
            }
            CommandKind::Other { .. } => {}
        }
        Ok(())
    }

    fn connect(&mut self, app: &str, encoder: String, transaction: f64) -> Result<(), ErrorKind> {
        if app != self.config.app {
            let served = self.config.app.clone();
            let description = format!(
                "This application is not served here; publish to \
                 rtmp://<host>/{served}/<stream key>."
            );
            let code = "NetConnection.Connect.InvalidApp";
            self.send(&replies::error(transaction, &description, code));
            return Err(ErrorKind::UnknownApp { served });
        }
        self.send(&Control::WindowAckSize(WINDOW).message());
        self.send(&Control::SetPeerBandwidth(WINDOW).message());
        self.send(&Control::SetChunkSize(CHUNK_SIZE).message());
        self.writer.set_chunk_size(CHUNK_SIZE);
        self.send(&replies::connected(transaction));
        if self.phase == Phase::Open {
            // The deadline for `publish` goes on.
            self.phase = Phase::Connected;
            self.events.push_back(Event::Connected { encoder });
        }
        Ok(())
    }

    fn request_publish(&mut self, name: String, stream_id: u32, now: Duration) {
        if self.phase == Phase::Connected {
            self.clock = UnwrapClock::default();
            self.enter(Phase::Asked(stream_id), now);
            self.events.push_back(Event::PublishRequested(StreamName(name)));
        } else {
            let description = "This connection publishes already.";
            let code = RejectCode::BadName.as_str();
            self.send(&replies::on_status(stream_id, Status { level: "error", code, description }));
        }
    }

    /// The publisher is welcome. Without a pending request nothing happens.
    pub fn accept_publish(&mut self, now: Duration) {
        let Phase::Asked(stream_id) = self.phase else { return };
        self.reader.trust();
        self.send(&Control::StreamBegin(stream_id).message());
        let status = Status {
            level: "status",
            code: "NetStream.Publish.Start",
            description: "Publishing starts.",
        };
        self.send(&replies::on_status(stream_id, status));
        self.enter(Phase::Publishing(stream_id), now);
    }

    /// The publisher is not, or no longer, welcome: it is told why, and the
    /// session is over. `description` is for a person and must not hold a key.
    pub fn reject_publish(&mut self, code: RejectCode, description: &str) {
        if let Phase::Asked(stream_id) | Phase::Publishing(stream_id) = self.phase {
            let status = Status { level: "error", code: code.as_str(), description };
            self.send(&replies::on_status(stream_id, status));
        }
        self.phase = Phase::Closed;
        self.deadline = None;
    }

    fn unpublish(&mut self, how: Unpublish, now: Duration) {
        let (Phase::Asked(stream_id) | Phase::Publishing(stream_id)) = self.phase else { return };
        let status = Status {
            level: "status",
            code: "NetStream.Unpublish.Success",
            description: "Publishing is over.",
        };
        self.send(&replies::on_status(stream_id, status));
        self.events.push_back(Event::Unpublished(how));
        self.enter(Phase::Connected, now);
    }

    /// Metadata is an announcement: what can't be read is left out.
    fn handle_data(&mut self, payload: &[u8]) {
        if !matches!(self.phase, Phase::Asked(_) | Phase::Publishing(_)) {
            return;
        }
        let metadata = decode_all(payload).ok().and_then(|v| Metadata::from_values(&v));
        self.events.extend(metadata.map(Event::Metadata));
    }
}
