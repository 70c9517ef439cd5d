//! What waits for the log: whole groups of pictures, bounded by bytes.
//!
//! While Kafka takes records the ring is all but empty. When it doesn't, groups
//! of pictures gather, and when they are over the bound whole ones are given
//! up, the oldest that nothing was sent of first, with the audio among them.
//! Never single frames: a reader could not tell what it decodes. Control
//! records are never given up.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::oneshot;

/// One log message, and who waits for its offset.
#[derive(Debug)]
pub struct Entry {
    /// The message.
    pub bytes: Bytes,
    /// Told the offset; dropped when the log refuses the message for good.
    pub appended: Option<oneshot::Sender<i64>>,
}

impl From<Bytes> for Entry {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, appended: None }
    }
}

/// What a set of log messages is to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `open` or `end`.
    Control,
    /// A keyframe and what is repeated before it.
    GopStart,
    /// Anything else.
    Inside,
}

#[derive(Debug)]
struct Group {
    control: bool,
    /// Whether a message of it was handed out.
    begun: bool,
    bytes: usize,
    messages: VecDeque<Entry>,
}

/// What was given up by a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Groups of pictures, whole or what was left of them.
    pub gops: u64,
    /// Log messages, audio included.
    pub messages: u64,
}

/// The queue in front of the log.
#[derive(Debug)]
pub struct Ring {
    limit: usize,
    bytes: usize,
    groups: VecDeque<Group>,
    /// The group being received was given up; what follows of it goes too.
    discarding: bool,
}

impl Ring {
    /// Holds at most `limit` bytes of frames.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, groups: VecDeque::new(), discarding: false }
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.messages.is_empty())
    }

    /// Adds messages that belong together; returns what was given up for them.
    pub fn push(&mut self, kind: Kind, messages: Vec<Entry>) -> Dropped {
        let mut dropped = Dropped::default();
        self.discarding &= kind == Kind::Inside;
        if self.discarding {
            dropped.messages = count(messages.len());
            return dropped;
        }
        let joins = kind == Kind::Inside && self.groups.back().is_some_and(|g| !g.control);
        if !joins {
            self.groups.push_back(Group {
                control: kind == Kind::Control,
                begun: false,
                bytes: 0,
                messages: VecDeque::new(),
            });
        }
        if let Some(group) = self.groups.back_mut() {
            let bytes: usize = messages.iter().map(|m| m.bytes.len()).sum();
            group.bytes += bytes;
            self.bytes += bytes;
            group.messages.extend(messages);
        }
        while self.bytes > self.limit {
            match self.victim() {
                Some(index) => self.give_up(index, &mut dropped),
                None => break,
            }
        }
        dropped
    }

    /// The group to give up next: the oldest that is whole and not begun, else
    /// the one being received, else what is left of the one being sent.
    fn victim(&self) -> Option<usize> {
        let last = self.groups.len().checked_sub(1)?;
        let holds_frames = |group: &Group| !group.control && !group.messages.is_empty();
        let mut droppable = self.groups.iter().enumerate().filter(|(_, g)| holds_frames(g));
        droppable
            .clone()
            .find(|(index, group)| !group.begun && *index < last)
            .or_else(|| droppable.next_back())
            .map(|(index, _)| index)
    }

    fn give_up(&mut self, index: usize, dropped: &mut Dropped) {
        self.discarding |= index + 1 == self.groups.len();
        if let Some(group) = self.groups.remove(index) {
            self.bytes = self.bytes.saturating_sub(group.bytes);
            dropped.gops += 1;
            dropped.messages += count(group.messages.len());
        }
    }

    /// The next message for the log.
    pub fn pop(&mut self) -> Option<Entry> {
        loop {
            let last = self.groups.len() == 1;
            let group = self.groups.front_mut()?;
            group.begun = true;
            if let Some(message) = group.messages.pop_front() {
                group.bytes = group.bytes.saturating_sub(message.bytes.len());
                self.bytes = self.bytes.saturating_sub(message.bytes.len());
                return Some(message);
            }
            if last {
                // It stays while it is empty: more of it may come.
                return None;
            }
            self.groups.pop_front();
        }
    }

    /// Puts the message that was popped last back to the front.
    pub fn put_back(&mut self, entry: Entry) {
        // The group it came from is only left when the next one is popped.
        if let Some(group) = self.groups.front_mut() {
            group.bytes += entry.bytes.len();
            self.bytes += entry.bytes.len();
            group.messages.push_front(entry);
        }
    }
}

fn count(messages: usize) -> u64 {
    u64::try_from(messages).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(text: &'static str) -> Vec<Entry> {
        vec![Bytes::from_static(text.as_bytes()).into()]
    }

    fn drain(ring: &mut Ring) -> Vec<String> {
        std::iter::from_fn(|| ring.pop())
            .map(|m| String::from_utf8_lossy(&m.bytes).into_owned())
            .collect()
    }

    #[test]
    fn everything_comes_out_in_order_while_there_is_room() {
        let mut ring = Ring::new(100);
        ring.push(Kind::Control, messages("open"));
        for text in ["k1", "a", "p"] {
            let kind = if text == "k1" { Kind::GopStart } else { Kind::Inside };
            assert_eq!(ring.push(kind, messages(text)), Dropped::default());
        }
        assert_eq!(ring.bytes(), 8);
        assert_eq!(drain(&mut ring), ["open", "k1", "a", "p"]);
        ring.push(Kind::Inside, messages("p"));
        ring.push(Kind::GopStart, messages("k2"));
        assert_eq!(drain(&mut ring), ["p", "k2"]);
        assert!(ring.is_empty() && ring.bytes() == 0);
    }

    #[test]
    fn the_oldest_whole_group_goes_first_and_control_stays() {
        let mut ring = Ring::new(10);
        ring.push(Kind::Control, messages("open"));
        ring.push(Kind::GopStart, messages("k1"));
        ring.push(Kind::Inside, messages("a1"));
        ring.push(Kind::GopStart, messages("k2"));
        let dropped = ring.push(Kind::Inside, messages("a2"));
        assert_eq!(dropped, Dropped { gops: 1, messages: 2 });
        assert_eq!(drain(&mut ring), ["open", "k2", "a2"]);
    }

    #[test]
    fn a_group_too_large_is_given_up_to_its_end() {
        let mut ring = Ring::new(4);
        ring.push(Kind::GopStart, messages("k1"));
        assert_eq!(ring.push(Kind::Inside, messages("ppp")), Dropped { gops: 1, messages: 2 });
        assert_eq!(ring.push(Kind::Inside, messages("a")), Dropped { gops: 0, messages: 1 });
        ring.push(Kind::GopStart, messages("k2"));
        assert_eq!(drain(&mut ring), ["k2"]);
    }

    #[test]
    fn a_group_being_sent_is_the_last_to_go() {
        let mut ring = Ring::new(6);
        ring.push(Kind::GopStart, messages("k1"));
        ring.push(Kind::Inside, messages("p1"));
        assert_eq!(ring.pop().unwrap().bytes, "k1");
        ring.push(Kind::GopStart, messages("k2"));
        ring.push(Kind::GopStart, messages("k3"));
        assert_eq!(ring.push(Kind::Inside, messages("p3")).gops, 1);
        assert_eq!(drain(&mut ring), ["p1", "k3", "p3"]);
    }

    proptest! {
        #[test]
        fn frames_are_never_over_the_bound(
            pushes in prop::collection::vec((0u8..10, 1usize..50, 0usize..3), 1..200),
        ) {
            let mut ring = Ring::new(200);
            for (kind, length, pops) in pushes {
                let kind = if kind < 3 { Kind::GopStart } else { Kind::Inside };
                ring.push(kind, vec![Bytes::from(vec![0; length]).into()]);
                prop_assert!(ring.bytes() <= 200);
                for _ in 0..pops {
                    ring.pop();
                }
            }
            let left: usize = std::iter::from_fn(|| ring.pop()).map(|m| m.bytes.len()).sum();
            prop_assert!(left <= 200);
            prop_assert_eq!(ring.bytes(), 0);
        }
    }
}
