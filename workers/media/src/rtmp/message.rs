//! RTMP messages: what chunks join to (RTMP §6.1).

use bytes::Bytes;

/// The message types of RTMP §5.4 and §7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// 1, RTMP §5.4.1.
    SetChunkSize,
    /// 2, RTMP §5.4.2.
    Abort,
    /// 3, RTMP §5.4.3.
    Acknowledgement,
    /// 4, RTMP §6.2.
    UserControl,
    /// 5, RTMP §5.4.4.
    WindowAckSize,
    /// 6, RTMP §5.4.5.
    SetPeerBandwidth,
    /// 8, RTMP §7.1.4.
    Audio,
    /// 9, RTMP §7.1.5.
    Video,
    /// 15, RTMP §7.1.2.
    DataAmf3,
    /// 17, RTMP §7.1.1.
    CommandAmf3,
    /// 18, RTMP §7.1.2.
    DataAmf0,
    /// 20, RTMP §7.1.1.
    CommandAmf0,
    /// 22, RTMP §7.1.6.
    Aggregate,
    /// Any other; such messages are skipped.
    Other(u8),
}

impl MessageType {
    /// From the message type id.
    pub fn from_id(id: u8) -> Self {
        match id {
            1 => Self::SetChunkSize,
            2 => Self::Abort,
            3 => Self::Acknowledgement,
            4 => Self::UserControl,
            5 => Self::WindowAckSize,
            6 => Self::SetPeerBandwidth,
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::DataAmf3,
            17 => Self::CommandAmf3,
            18 => Self::DataAmf0,
            20 => Self::CommandAmf0,
            22 => Self::Aggregate,
            other => Self::Other(other),
        }
    }

    /// The message type id.
    pub fn id(self) -> u8 {
        match self {
            Self::SetChunkSize => 1,
            Self::Abort => 2,
            Self::Acknowledgement => 3,
            Self::UserControl => 4,
            Self::WindowAckSize => 5,
            Self::SetPeerBandwidth => 6,
            Self::Audio => 8,
            Self::Video => 9,
            Self::DataAmf3 => 15,
            Self::CommandAmf3 => 17,
            Self::DataAmf0 => 18,
            Self::CommandAmf0 => 20,
            Self::Aggregate => 22,
            Self::Other(id) => id,
        }
    }

    /// Whether it carries audio or video, and so may be large.
    pub fn is_media(self) -> bool {
        matches!(self, Self::Audio | Self::Video | Self::Aggregate)
    }
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the payload is.
    pub kind: MessageType,
    /// The message stream; 0 is the connection itself (RTMP §7).
    pub stream_id: u32,
    /// Milliseconds, modulo 2³² (RTMP §6.1.1).
    pub timestamp: u32,
    /// The payload.
    pub payload: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_back_from_its_type() {
        for id in 0..=u8::MAX {
            assert_eq!(MessageType::from_id(id).id(), id);
        }
    }
}
