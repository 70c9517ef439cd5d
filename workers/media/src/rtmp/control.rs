//! Protocol control and user control messages (RTMP §5.4, §6.2, §7.1.7).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::message::{Message, MessageType};

/// What a peer says about the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Its chunks are this large from now on, in bytes (RTMP §5.4.1).
    SetChunkSize(u32),
    /// The unfinished message on this chunk stream is given up (RTMP §5.4.2).
    Abort(u32),
    /// It has read this many bytes (RTMP §5.4.3).
    Acknowledgement(u32),
    /// It wants an acknowledgement every so many bytes (RTMP §5.4.4).
    WindowAckSize(u32),
    /// It asks us to limit our output to this window (RTMP §5.4.5).
    SetPeerBandwidth(u32),
    /// A message stream can be used (RTMP §7.1.7, event 0).
    StreamBegin(u32),
    /// It wants to know whether we live (RTMP §7.1.7, event 6).
    PingRequest(u32),
    /// We do (RTMP §7.1.7, event 7).
    PingResponse(u32),
    /// Another user control event; nothing follows from it.
    OtherEvent(u16),
}

/// A control message that ends before its fields do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("control message of type {kind:?} has only {length} bytes")]
pub struct ControlError {
    kind: MessageType,
    length: usize,
}

const EVENT_STREAM_BEGIN: u16 = 0;
const EVENT_PING_REQUEST: u16 = 6;
const EVENT_PING_RESPONSE: u16 = 7;

impl Control {
    /// Reads a message's payload; `None` when its type is no control message.
    ///
    /// # Errors
    /// When the payload is too short.
    pub fn read(kind: MessageType, payload: &Bytes) -> Result<Option<Self>, ControlError> {
        let short = |_| ControlError { kind, length: payload.len() };
        let mut rest = payload.clone();
        let make: fn(u32) -> Self = match kind {
            // The first bit is 0 (RTMP §5.4.1); with it set the size is out of
            // every range, which the chunk reader says.
            MessageType::SetChunkSize => Self::SetChunkSize,
            MessageType::Abort => Self::Abort,
            MessageType::Acknowledgement => Self::Acknowledgement,
            MessageType::WindowAckSize => Self::WindowAckSize,
            // The limit type behind the window changes nothing here.
            MessageType::SetPeerBandwidth => Self::SetPeerBandwidth,
            MessageType::UserControl => match rest.try_get_u16().map_err(short)? {
                EVENT_STREAM_BEGIN => Self::StreamBegin,
                EVENT_PING_REQUEST => Self::PingRequest,
                EVENT_PING_RESPONSE => Self::PingResponse,
                event => return Ok(Some(Self::OtherEvent(event))),
            },
            _ => return Ok(None),
        };
        Ok(Some(make(rest.try_get_u32().map_err(short)?)))
    }

    /// As a message.
    pub fn message(self) -> Message {
        let mut payload = BytesMut::with_capacity(6);
        let mut event = |event, value| {
            payload.put_u16(event);
            payload.put_u32(value);
            MessageType::UserControl
        };
        let kind = match self {
            Self::StreamBegin(stream) => event(EVENT_STREAM_BEGIN, stream),
            Self::PingRequest(time) => event(EVENT_PING_REQUEST, time),
            Self::PingResponse(time) => event(EVENT_PING_RESPONSE, time),
            Self::OtherEvent(number) => event(number, 0),
            Self::SetChunkSize(value) => plain(&mut payload, value, MessageType::SetChunkSize),
            Self::Abort(value) => plain(&mut payload, value, MessageType::Abort),
            Self::Acknowledgement(value) => {
                plain(&mut payload, value, MessageType::Acknowledgement)
            }
            Self::WindowAckSize(value) => plain(&mut payload, value, MessageType::WindowAckSize),
            Self::SetPeerBandwidth(value) => {
                let kind = plain(&mut payload, value, MessageType::SetPeerBandwidth);
                payload.put_u8(2); // dynamic
                kind
            }
        };
        Message { kind, stream_id: 0, timestamp: 0, payload: payload.freeze() }
    }
}

fn plain(payload: &mut BytesMut, value: u32, kind: MessageType) -> MessageType {
    payload.put_u32(value);
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for control in [
            Control::SetChunkSize(60_000),
            Control::Abort(7),
            Control::Acknowledgement(u32::MAX),
            Control::WindowAckSize(0),
            Control::SetPeerBandwidth(5),
            Control::StreamBegin(1),
            Control::PingRequest(9),
            Control::PingResponse(9),
        ] {
            let message = control.message();
            assert_eq!(Control::read(message.kind, &message.payload), Ok(Some(control)));
        }
    }

    #[test]
    fn a_short_one_is_an_error_and_another_type_is_none() {
        let two = Bytes::from_static(&[0, 6]);
        assert!(Control::read(MessageType::UserControl, &two).is_err());
        assert!(Control::read(MessageType::SetChunkSize, &two).is_err());
        assert_eq!(Control::read(MessageType::Audio, &two), Ok(None));
    }
}
