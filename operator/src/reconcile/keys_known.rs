//! Which streams' publish keys were seen to be right a moment ago. What pods do
//! has a stream looked at several times a second; each look would read a Secret
//! and rows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::LiveStream;
use crate::fingerprint::fingerprint;

/// What was seen is believed for so long: less than from one look at
/// certificates to the next.
const LIFE: Duration = Duration::from_secs(50);

/// What was seen of the keys of all streams.
#[derive(Debug, Default)]
pub struct KeysKnown(Mutex<HashMap<String, Known>>);

/// A stream's keys were right.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// For the LiveStream as it was then.
    stream: u64,
    at: Instant,
    /// When one that was rotated away is no good any more, s since 1970.
    pub ends: Option<i64>,
}

impl KeysKnown {
    /// What is known, if it still holds: whoever touches the LiveStream has its
    /// keys looked at again.
    pub fn get(&self, stream: &LiveStream, now_s: i64) -> Option<Known> {
        let known = *self.all().get(stream.metadata.uid.as_ref()?)?;
        let same = known.stream == digest(stream) && known.at.elapsed() < LIFE;
        (same && known.ends.is_none_or(|ends| now_s < ends)).then_some(known)
    }

    /// They are right.
    pub fn note(&self, stream: &LiveStream, ends: Option<i64>) {
        let Some(uid) = stream.metadata.uid.clone() else { return };
        self.all().insert(uid, Known { stream: digest(stream), at: Instant::now(), ends });
    }

    /// The stream of this UID is gone.
    pub fn forget(&self, uid: &str) {
        self.all().remove(uid);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of what people write, and not of status.
fn digest(stream: &LiveStream) -> u64 {
    fingerprint(&(stream.metadata.generation, &stream.metadata.annotations))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keys_are_known_until_somebody_touches_the_stream_or_one_of_them_ends() {
        let mut stream =
            LiveStream::new("keynote", serde_json::from_str("{\"broadcaster\":\"acme\"}").unwrap());
        stream.metadata.uid = Some("1".to_owned());
        let known = KeysKnown::default();
        assert!(known.get(&stream, 0).is_none());
        known.note(&stream, Some(100));
        assert_eq!(known.get(&stream, 99).unwrap().ends, Some(100));
        assert!(known.get(&stream, 100).is_none());
        let mut touched = stream.clone();
        touched.metadata.annotations =
            Some(BTreeMap::from([("look".to_owned(), "now".to_owned())]));
        assert!(known.get(&touched, 0).is_none());
        known.forget("1");
        assert!(known.get(&stream, 0).is_none());
    }
}
