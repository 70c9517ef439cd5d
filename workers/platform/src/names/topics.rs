//! Kafka's topics and groups, prefixed with `<installation>.`.

use millrace_media::id::StreamId;

use crate::config::Installation;

/// The log of one stream.
pub fn frames_topic(installation: &Installation, stream: &StreamId) -> String {
    format!("{}stream-frames.{stream}", installation.prefix('.'))
}

/// The events of all streams.
pub fn events_topic(installation: &Installation) -> String {
    format!("{}stream-events", installation.prefix('.'))
}

/// The group whose committed offset is the transcoder's checkpoint.
pub fn checkpoint_group(installation: &Installation, stream: &StreamId) -> String {
    format!("{}transcode.{stream}", installation.prefix('.'))
}
