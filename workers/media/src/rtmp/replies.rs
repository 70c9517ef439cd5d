//! What the server answers to commands (RTMP §7.2.1.1, §7.2.2).

use bytes::BytesMut;

use super::amf0::Value;
use super::message::{Message, MessageType};

/// An `onStatus` or connect answer's information object (RTMP §7.2.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Status<'a> {
    /// `status` or `error`.
    pub(super) level: &'a str,
    /// Machine-readable, for example `NetStream.Publish.Start`.
    pub(super) code: &'a str,
    /// For a person.
    pub(super) description: &'a str,
}

impl Status<'_> {
    fn object(self) -> Value {
        object(&[
            ("level", self.level.into()),
            ("code", self.code.into()),
            ("description", self.description.into()),
        ])
    }
}

fn object(properties: &[(&str, Value)]) -> Value {
    Value::Object(properties.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
}

fn command(stream_id: u32, values: &[Value]) -> Message {
    let mut payload = BytesMut::new();
    for value in values {
        value.encode(&mut payload);
    }
    let kind = MessageType::CommandAmf0;
    Message { kind, stream_id, timestamp: 0, payload: payload.freeze() }
}

/// `connect` succeeded.
pub(super) fn connected(transaction: f64) -> Message {
    // Encoders look for an "FMS" version before they send FCPublish.
    let server = object(&[("fmsVer", "FMS/3,0,1,123".into()), ("capabilities", 31.0.into())]);
    let information = object(&[
        ("level", "status".into()),
        ("code", "NetConnection.Connect.Success".into()),
        ("description", "Connection succeeded.".into()),
        ("objectEncoding", 0.0.into()),
    ]);
    command(0, &["_result".into(), transaction.into(), server, information])
}

/// A call succeeded with this value.
pub(super) fn result(transaction: f64, value: Value) -> Message {
    command(0, &["_result".into(), transaction.into(), Value::Null, value])
}

/// A call failed.
pub(super) fn error(transaction: f64, description: &str, code: &str) -> Message {
    let information = Status { level: "error", code, description }.object();
    command(0, &["_error".into(), transaction.into(), Value::Null, information])
}

/// Something happened to a message stream.
pub(super) fn on_status(stream_id: u32, status: Status<'_>) -> Message {
    command(stream_id, &["onStatus".into(), 0.0.into(), Value::Null, status.object()])
}
