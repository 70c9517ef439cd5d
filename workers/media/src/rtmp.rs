//! The server side of RTMP 1.0 without I/O: bytes in, events and bytes out.
//!
//! Input flows through [`handshake`] once, then through [`chunk_reader`] into
//! [`message`]s; protocol control ([`control`]) is answered here, commands
//! ([`command`], [`amf0`]) drive the [`session`], and audio and video come out
//! as [`Event`]s with the FLV tag body as payload and time unwrapped to 64 bit
//! ([`clock`]). What the server says leaves through [`chunk_writer`].
//!
//! The session knows no socket, no clock and no publish key: time is an
//! argument, and whether a publisher is welcome is the caller's answer.
//!
//! Every peer is a stranger: each buffer, count, depth and wait has a bound
//! ([`Limits`], [`session::Timeouts`]), and memory grows with what was
//! received, never with what was announced.
//!
//! Clauses are those of "Adobe's Real Time Messaging Protocol" 1.0 (RTMP §),
//! "Action Message Format AMF 0" (AMF0 §) and "Enhanced RTMP" v1 and v2 (E-RTMP).

pub mod amf0;
pub mod chunk_reader;
pub mod chunk_writer;
pub mod clock;
pub mod codec;
pub mod command;
pub mod control;
mod error;
pub mod handshake;
mod limits;
pub mod message;
pub mod metadata;
mod replies;
pub mod session;

pub use error::{ErrorKind, RtmpError};
pub use limits::Limits;
pub use message::{Message, MessageType};
pub use metadata::Metadata;
pub use session::{Event, RejectCode, ServerSession, SessionConfig, StreamName, Unpublish};
