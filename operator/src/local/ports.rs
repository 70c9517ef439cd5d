//! Free ports of the host for the named ports of containers.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};

use super::args::PortRange;

/// No port of the range is free.
#[derive(Debug, thiserror::Error)]
#[error("no free port at {listen} between {first} and {last}")]
pub struct NoFreePort {
    listen: IpAddr,
    first: u16,
    last: u16,
}

/// Hands out ports, each once. A port is tried by binding it, so another
/// program can still take it before its process does; that process then says
/// so.
#[derive(Debug)]
pub(super) struct Ports {
    listen: IpAddr,
    range: PortRange,
    next: u16,
    prefer_declared: bool,
    taken: BTreeSet<u16>,
}

impl Ports {
    /// `start` anywhere in the range, so that two runs side by side rarely
    /// try the same ports.
    pub(super) fn new(listen: IpAddr, range: PortRange, start: u16, prefer_declared: bool) -> Self {
        let span = u32::from(range.last - range.first) + 1;
        let offset = u16::try_from(u32::from(start) % span).unwrap_or_default();
        let next = range.first.saturating_add(offset);
        Self { listen, range, next, prefer_declared, taken: BTreeSet::new() }
    }

    /// A free port for one declared as `declared`.
    pub(super) fn take(&mut self, declared: u16) -> Result<u16, NoFreePort> {
        if self.prefer_declared && self.try_take(declared) {
            return Ok(declared);
        }
        for _ in self.range.first..=self.range.last {
            let port = self.next;
            self.next = if port >= self.range.last { self.range.first } else { port + 1 };
            if self.try_take(port) {
                return Ok(port);
            }
        }
        Err(NoFreePort { listen: self.listen, first: self.range.first, last: self.range.last })
    }

    fn try_take(&mut self, port: u16) -> bool {
        !self.taken.contains(&port)
            && TcpListener::bind((self.listen, port)).is_ok()
            && self.taken.insert(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_passed_over_and_none_is_given_twice() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let used = TcpListener::bind((localhost, 0)).unwrap();
        let first = used.local_addr().unwrap().port();
        let Some(last) = first.checked_add(40) else { return };
        let mut ports = Ports::new(localhost, PortRange { first, last }, 0, true);
        let (one, two) = (ports.take(first).unwrap(), ports.take(first).unwrap());
        assert!(one != first && two != first && one != two);
    }
}
