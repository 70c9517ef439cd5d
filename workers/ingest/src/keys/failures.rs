//! Wrong keys of the last minute, by address and by key id. Pure: time is an
//! argument.
//!
//! Whoever has too many is tired: checked more slowly, one after the other, and
//! told of with less noise. Never refused for it, so what is counted wrongly
//! (many publishers behind one address) costs a right key a moment at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use millrace_media::id::KeyId;

use millrace_platform::network::network;

/// Wrong keys that are nothing special within [`WINDOW`].
const BUDGET: u32 = 10;
/// How long a wrong key counts.
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses, and key ids, remembered at a time.
const MAX_ENTRIES: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Failures {
    addresses: Counts<IpAddr>,
    ids: Counts<KeyId>,
}

impl Failures {
    /// A key from this address was wrong; `id` if there is a key of this id,
    /// so that made-up ones fill no memory.
    pub(super) fn note(&mut self, now: Instant, address: IpAddr, id: Option<&KeyId>) {
        self.addresses.add(now, network(address));
        if let Some(id) = id {
            self.ids.add(now, id.clone());
        }
    }

    /// Whether this address has had too many.
    pub(super) fn tires(&self, now: Instant, address: IpAddr) -> bool {
        self.addresses.tires(now, &network(address))
    }

    /// Whether this address, or anybody with this id, has had too many.
    pub(super) fn tire(&self, now: Instant, address: IpAddr, id: &KeyId) -> bool {
        self.tires(now, address) || self.ids.tires(now, id)
    }
}

#[derive(Debug)]
struct Counts<K> {
    entries: HashMap<K, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    wrong: u32,
}

impl Count {
    fn is_current(self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < WINDOW
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn add(&mut self, now: Instant, who: K) {
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&who) {
            self.entries.retain(|_, count| count.is_current(now));
            if self.entries.len() >= MAX_ENTRIES {
                return;
            }
        }
        let count = self.entries.entry(who).or_insert(Count { since: now, wrong: 0 });
        if !count.is_current(now) {
            *count = Count { since: now, wrong: 0 };
        }
        count.wrong = count.wrong.saturating_add(1);
    }

    /// When so many fail that not all can be remembered, one that is not known
    /// is as tired as the rest.
    fn tires(&self, now: Instant, who: &K) -> bool {
        match self.entries.get(who) {
            Some(count) => count.is_current(now) && count.wrong > BUDGET,
            None => self.entries.len() >= MAX_ENTRIES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn id(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_tires_by_wrong_keys_and_rests_within_a_minute() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for _ in 0..BUDGET {
            failures.note(now, address(1), None);
        }
        assert!(!failures.tires(now, address(1)));
        failures.note(now, address(1), None);
        assert!(failures.tires(now, address(1)) && !failures.tires(now, address(2)));
        assert!(!failures.tires(now + WINDOW, address(1)));
    }

    #[test]
    fn a_key_id_tires_whatever_the_addresses() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for last in 0..=10 {
            failures.note(now, address(last), Some(&id("known")));
        }
        assert!(failures.tire(now, address(99), &id("known")));
        assert!(!failures.tire(now, address(99), &id("other")));
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for host in 0..=10 {
            failures.note(now, Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, host).into(), None);
        }
        assert!(failures.tires(now, "2001:db8:0:7::ffff".parse().unwrap()));
        assert!(!failures.tires(now, "2001:db8:0:8::1".parse().unwrap()));
    }

    #[test]
    fn memory_is_bounded_and_what_does_not_fit_counts_as_tired() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..100_000_u32 {
            failures.note(now, n.to_be_bytes().into(), Some(&id(&format!("k{n:06}"))));
        }
        assert_eq!(failures.addresses.entries.len(), MAX_ENTRIES);
        assert_eq!(failures.ids.entries.len(), MAX_ENTRIES);
        assert!(failures.tires(now, address(1)));
        // What is over makes room.
        failures.note(now + WINDOW, address(1), None);
        assert!(failures.addresses.entries.len() < MAX_ENTRIES);
        assert!(!failures.tires(now + WINDOW, address(2)));
    }
}
