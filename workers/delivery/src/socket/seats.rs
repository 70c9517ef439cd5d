//! How many clients may listen: at this replica, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Clients (`DELIVERY_MAX_SOCKETS`).
    pub all: usize,
    /// Clients of one address, or IPv6 /64 (`DELIVERY_SOCKETS_PER_ADDRESS`).
    pub per_address: usize,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many as may listen do.
    Replica,
    /// As many as may listen from that address do.
    Address,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Clones share the seats.
#[derive(Debug, Clone)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
    bounds: Bounds,
}

/// One seat, free again when it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    address: Option<IpAddr>,
}

impl Seats {
    /// All are free.
    pub fn new(bounds: Bounds) -> Self {
        Self { taken: Arc::default(), bounds }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one for a client from `address`, as one is counted.
    pub fn take(&self, address: Option<IpAddr>) -> Result<Seat, Full> {
        let mut taken = self.lock();
        if taken.all >= self.bounds.all {
            return Err(Full::Replica);
        }
        if let Some(address) = address {
            let theirs = taken.by_address.get(&address).copied().unwrap_or_default();
            if theirs >= self.bounds.per_address {
                return Err(Full::Address);
            }
            taken.by_address.insert(address, theirs + 1);
        }
        taken.all += 1;
        Ok(Seat { seats: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all = taken.all.saturating_sub(1);
        let Some(address) = self.address else { return };
        let theirs = taken.by_address.get(&address).copied().unwrap_or_default();
        if theirs > 1 {
            taken.by_address.insert(address, theirs - 1);
        } else {
            taken.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_in_all_and_by_address_and_free_again() {
        let address = |text: &str| Some(text.parse().unwrap());
        let (one, two) = (address("192.0.2.1"), address("192.0.2.2"));
        let seats = Seats::new(Bounds { all: 3, per_address: 2 });
        let held = [seats.take(one).unwrap(), seats.take(one).unwrap()];
        assert_eq!(seats.take(one).unwrap_err(), Full::Address);
        let other = seats.take(two).unwrap();
        assert_eq!(seats.take(two).unwrap_err(), Full::Replica);
        drop(held);
        let again = [seats.take(one).unwrap(), seats.take(one).unwrap()];
        assert_eq!(seats.take(one).unwrap_err(), Full::Replica);
        drop((again, other));
        assert!(seats.lock().by_address.is_empty(), "addresses are not remembered");
    }
}
