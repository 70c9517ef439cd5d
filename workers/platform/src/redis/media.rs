//! Parts, segments, playlists and the writer's lease: Redis database 1.
//!
//! [`MediaWriter`] is the one writer of a broadcast, fenced by its run;
//! [`MediaReader`] is any number of readers, [`Tail`] how they wait for more.

mod lease;
mod reader;
mod tail;
mod writer;

pub use lease::{Holder, Lease, MediaError};
pub use reader::MediaReader;
pub use tail::Tail;
pub use writer::{MediaWriter, Outcome, Write};

use std::fmt;
use std::str::FromStr;

use millrace_media::published::Entry;

/// The id of an entry in its playlist log: entries are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// The media sequence number.
    pub msn: u64,
    /// Part number + 1, or [`Entry::SEGMENT_SEQUENCE`], or 0 for the end.
    pub sequence: u64,
}

impl EntryId {
    /// Before every entry but an end at 0: reading after it reads all.
    pub const START: Self = Self { msn: 0, sequence: 0 };

    /// Of this entry.
    pub fn of(entry: &Entry) -> Self {
        let (msn, sequence) = entry.id();
        Self { msn, sequence }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.msn, self.sequence)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (msn, sequence) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { msn: msn.parse()?, sequence: sequence.parse()? })
    }
}

/// The field of a playlist log's entries.
const FIELD: &str = "e";

/// One raw entry: its id and its fields.
type RawEntry = (String, Vec<(String, Vec<u8>)>);

/// The entry in the raw form; says what is wrong with one that can't be read.
fn parse_entry((id, fields): RawEntry) -> Result<Entry, String> {
    let (_, json) = fields
        .into_iter()
        .find(|(field, _)| field == FIELD)
        .ok_or_else(|| format!("entry {id} has no field {FIELD}"))?;
    serde_json::from_slice(&json).map_err(|e| format!("entry {id}: {e}"))
}
