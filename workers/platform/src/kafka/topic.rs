//! What the topics should be like.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_media::id::StreamId;

use super::Settings;
use crate::config::Installation;
use crate::names::topics;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Partitions it is made with; not changed later.
    pub partitions: i32,
    /// Copies of each partition; not changed later. -1 is the broker's default.
    pub replication: i32,
    /// Settings that differ from the broker's.
    pub config: BTreeMap<String, String>,
}

impl TopicSpec {
    /// The log of one stream: one partition, kept for the replay window.
    pub fn frames(
        installation: &Installation,
        stream: &StreamId,
        replay_window: Duration,
        replication: i32,
    ) -> Self {
        let config = [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", replay_window.as_millis().to_string()),
            ("segment.ms", "60000".to_owned()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", "1048576".to_owned()),
        ];
        Self {
            name: topics::frames_topic(installation, stream),
            partitions: 1,
            replication,
            config: config.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        }
    }

    /// The events of all streams.
    pub fn events(installation: &Installation, partitions: i32, replication: i32) -> Self {
        Self {
            name: topics::events_topic(installation),
            partitions,
            replication,
            config: BTreeMap::new(),
        }
    }

    /// Whether a topic with these settings is as it should be.
    pub fn is_as_said_in(&self, there: &Settings) -> bool {
        self.config.iter().all(|(key, value)| there.get(key) == Some(value))
    }
}
