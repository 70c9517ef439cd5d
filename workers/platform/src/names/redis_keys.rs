//! Redis keys, prefixed with `<installation>:`. The stream id is the hash tag:
//! all keys of one stream are in one slot of a cluster.

use millrace_media::id::{BroadcastId, KeyId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::InitHash;

use crate::config::Installation;

/// Database 0: the verdict on a publish key.
pub fn verdict(installation: &Installation, key: &KeyId) -> String {
    format!("{}key:{key}", installation.prefix(':'))
}

/// Database 0: the channel that announces revoked keys.
pub fn revoked_channel(installation: &Installation) -> String {
    format!("{}key-revoked", installation.prefix(':'))
}

/// Database 2: the streams that are live. The one key there of no stream.
pub fn live_streams(installation: &Installation) -> String {
    format!("{}metrics-live", installation.prefix(':'))
}

/// Database 2: what was counted of a stream in one second (unix s).
pub fn counted(installation: &Installation, stream: &StreamId, second: u64) -> String {
    format!("{}metrics:{{{stream}}}:{second}", installation.prefix(':'))
}

/// Database 2: the last second of a stream, summed.
pub fn snapshot(installation: &Installation, stream: &StreamId) -> String {
    format!("{}metrics:{{{stream}}}:snapshot", installation.prefix(':'))
}

/// The keys of one stream in database 3.
#[derive(Debug, Clone)]
pub struct ViewerKeys {
    prefix: String,
    stream: StreamId,
}

impl ViewerKeys {
    /// Of this stream.
    pub fn new(installation: &Installation, stream: &StreamId) -> Self {
        Self { prefix: installation.prefix(':'), stream: stream.clone() }
    }

    fn key(&self, kind: &str) -> String {
        format!("{}{kind}:{{{}}}", self.prefix, self.stream)
    }

    /// Who watches: a sorted set by the time last seen.
    pub fn viewers(&self) -> String {
        self.key("viewers")
    }

    /// What is known of each of them.
    pub fn visits(&self) -> String {
        self.key("visits")
    }

    /// How many are on each rung.
    pub fn rungs(&self) -> String {
        self.key("rungs")
    }

    /// Guesses that a viewer known by name makes unnecessary.
    pub fn covered(&self) -> String {
        self.key("covered")
    }

    /// Who left a short while ago: a sorted set by when.
    pub fn left(&self) -> String {
        self.key("left")
    }

    /// How many came, went and changed rungs.
    pub fn turnover(&self) -> String {
        self.key("turnover")
    }

    /// What guesses are hashed with.
    pub fn salt(&self) -> String {
        self.key("salt")
    }
}

/// The keys of one stream in database 1.
#[derive(Debug, Clone)]
pub struct MediaKeys {
    prefix: String,
    stream: StreamId,
}

impl MediaKeys {
    /// Of this stream.
    pub fn new(installation: &Installation, stream: &StreamId) -> Self {
        Self { prefix: installation.prefix(':'), stream: stream.clone() }
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    fn key(&self, kind: &str) -> String {
        format!("{}{kind}:{{{}}}", self.prefix, self.stream)
    }

    /// How the names of all keys begin of which a stream has many.
    pub fn beginnings(&self) -> [String; 4] {
        ["playlist", "part", "segment", "init"].map(|kind| format!("{}:", self.key(kind)))
    }

    /// The current or last broadcast.
    pub fn broadcast(&self) -> String {
        self.key("broadcast")
    }

    /// The writer's lease.
    pub fn writer(&self) -> String {
        self.key("writer")
    }

    /// The playlist log of one rendition.
    pub fn playlist(&self, broadcast: BroadcastId, rendition: &RenditionName) -> String {
        format!("{}:{broadcast}:{rendition}", self.key("playlist"))
    }

    /// The bytes of one part.
    pub fn part(
        &self,
        broadcast: BroadcastId,
        rendition: &RenditionName,
        (msn, part, run): (Msn, u32, Run),
    ) -> String {
        format!("{}:{broadcast}:{rendition}:{msn}.{part}-{run}", self.key("part"))
    }

    /// The bytes of one segment.
    pub fn segment(
        &self,
        broadcast: BroadcastId,
        rendition: &RenditionName,
        (msn, run): (Msn, Run),
    ) -> String {
        format!("{}:{broadcast}:{rendition}:{msn}-{run}", self.key("segment"))
    }

    /// The bytes of one init segment.
    pub fn init(&self, broadcast: BroadcastId, hash: &InitHash) -> String {
        format!("{}:{broadcast}:{}", self.key("init"), hash.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    #[test]
    fn keys_are_those_of_the_architecture_page() {
        let stream: StreamId = "events.keynote".parse().unwrap();
        let broadcast = BroadcastId(uuid::Uuid::nil());
        let rendition: RenditionName = "720p".parse().unwrap();
        let keys = MediaKeys::new(&Installation::default(), &stream);
        assert_eq!(
            keys.part(broadcast, &rendition, (Msn(7), 2, Run(3))),
            "part:{events.keynote}:00000000-0000-0000-0000-000000000000:720p:7.2-3"
        );
        assert_eq!(
            keys.segment(broadcast, &rendition, (Msn(7), Run(3))),
            "segment:{events.keynote}:00000000-0000-0000-0000-000000000000:720p:7-3"
        );
        let blue = Installation::parse("blue").unwrap();
        assert_eq!(MediaKeys::new(&blue, &stream).writer(), "blue:writer:{events.keynote}");
        assert_eq!(ViewerKeys::new(&blue, &stream).viewers(), "blue:viewers:{events.keynote}");
        assert_eq!(counted(&blue, &stream, 12), "blue:metrics:{events.keynote}:12");
    }
}
