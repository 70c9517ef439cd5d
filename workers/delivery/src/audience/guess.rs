//! Viewers whose players say nothing of themselves: a salted hash of address
//! and agent stands for one. The salt is the stream's and lives a day, so that
//! the names tell nobody who watched, nor that it was the same elsewhere.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use millrace_platform::network::network;
use millrace_platform::redis::viewers::Viewer;
use sha2::{Digest, Sha256};

use super::proxies::Proxies;

/// The other end of a connection; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What is known of who asks.
#[derive(Debug, Clone)]
pub struct Client {
    address: IpAddr,
    agent: Vec<u8>,
}

impl Client {
    /// Of a request; `by_cdn` if it is known to come from the CDN. Behind a proxy that is none of `proxies` it is the
    /// proxy's address, and viewers with one agent are one.
    pub fn of(peer: Peer, headers: &HeaderMap, proxies: &Proxies, by_cdn: bool) -> Self {
        let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes().to_vec());
        let address = proxies.client(peer.0.ip(), headers, by_cdn);
        Self { address, agent: agent.unwrap_or_default() }
    }

    /// Where it is.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Where it is, as one is counted.
    pub fn network(&self) -> IpAddr {
        network(self.address)
    }

    /// Its name.
    pub fn name(&self, salt: &str) -> Option<Viewer> {
        let mut hash = Sha256::new();
        hash.update(salt);
        hash.update([0]);
        hash.update(self.address.to_string());
        hash.update([0]);
        hash.update(&self.agent);
        format!("g-{}", hex::encode(hash.finalize().get(..16)?)).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_address_agent_and_salt_and_not_on_the_port() {
        let name = |peer: &str, agent: &str, salt: &str| {
            let headers = HeaderMap::from_iter([(USER_AGENT, agent.parse().unwrap())]);
            Client::of(Peer(peer.parse().unwrap()), &headers, &Proxies::default(), false)
                .name(salt)
                .unwrap()
        };
        let one = name("10.0.0.1:1000", "player", "salt");
        assert_eq!(one, name("[::ffff:10.0.0.1]:2000", "player", "salt"));
        for other in [
            name("10.0.0.2:1000", "player", "salt"),
            name("10.0.0.1:1000", "other", "salt"),
            name("10.0.0.1:1000", "player", "pepper"),
        ] {
            assert_ne!(one, other);
        }
    }
}
