//! Who is to reach whom, as a table, and who does by the policies.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use millrace_chart::network::{End, Network, Pod, Protocol};

/// A connection: from, to, port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection {
    from: String,
    to: String,
    port: u16,
    protocol: Protocol,
}

impl Connection {
    pub(crate) fn tcp(from: &str, to: &str, port: u16) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), port, protocol: Protocol::Tcp }
    }

    pub(crate) fn udp(from: &str, to: &str, port: u16) -> Self {
        Self { protocol: Protocol::Udp, ..Self::tcp(from, to, port) }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}:{} {:?}", self.from, self.to, self.port, self.protocol)
    }
}

/// Everybody who might connect: pods, and addresses outside by name.
pub(crate) struct People {
    pub(crate) pods: Vec<Pod>,
    pub(crate) outside: Vec<(&'static str, IpAddr)>,
    /// Ports that are tried at every end, besides those its containers name.
    pub(crate) ports: Vec<u16>,
    /// Whose connections with each other are nobody's business here.
    pub(crate) strangers: Vec<&'static str>,
}

impl People {
    fn ends(&self) -> Vec<(&str, End<'_>, Vec<u16>)> {
        let pods = self.pods.iter().map(|pod| {
            let ports = pod.ports.values().copied().chain(self.ports.iter().copied()).collect();
            (pod.name.as_str(), End::Pod(pod), ports)
        });
        let outside = self.outside.iter();
        let outside =
            outside.map(|(name, address)| (*name, End::Address(*address), self.ports.clone()));
        pods.chain(outside).collect()
    }

    /// Every connection that the policies allow.
    pub(crate) fn able(&self, network: &Network) -> BTreeSet<Connection> {
        let mut able = BTreeSet::new();
        let ends = self.ends();
        for (from, source, _) in &ends {
            for (to, target, ports) in &ends {
                let strangers = |name| self.strangers.contains(name);
                if from == to || (strangers(from) && strangers(to)) {
                    continue;
                }
                for (port, protocol) in
                    ports.iter().flat_map(|port| [(*port, Protocol::Tcp), (*port, Protocol::Udp)])
                {
                    if network.allows(*source, *target, port, protocol) {
                        let (from, to) = ((*from).to_owned(), (*to).to_owned());
                        able.insert(Connection { from, to, port, protocol });
                    }
                }
            }
        }
        able
    }
}

/// What differs from the table: `+` can be made and should not, `-` the other
/// way round.
pub(crate) fn differences(
    wanted: &BTreeSet<Connection>,
    able: &BTreeSet<Connection>,
) -> Vec<String> {
    let more = able.difference(wanted).map(|one| format!("+ {one}"));
    let less = wanted.difference(able).map(|one| format!("- {one}"));
    more.chain(less).collect()
}
