//! Proxies in front of delivery whose word for a client's address is believed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use millrace_platform::config::Setting;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks they are in; by default none. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Setting for Proxies {
    const EXPECTED: &'static str = "networks with commas between them, like 10.0.0.0/8,fd00::/8";
    fn parse(text: &str) -> Option<Self> {
        text.split(',').map(|network| network.trim().parse().ok()).collect::<Option<_>>().map(Self)
    }
}

impl Proxies {
    fn include(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of whoever asks. Each proxy adds the one it was asked by to
    /// the right of X-Forwarded-For; what is to the left of a stranger's is
    /// that stranger's word. The CDN's word is believed too: where the request
    /// is known to come from it, it is the first who is none of ours.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap, by_cdn: bool) -> IpAddr {
        let mut cdn = by_cdn;
        let mut client = peer.to_canonical();
        let values = headers.get_all(FORWARDED_FOR).into_iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let hops = values.iter().rev().flat_map(|value| value.rsplit(','));
        for hop in hops {
            let is_ours = self.include(client);
            if !is_ours && !std::mem::take(&mut cdn) {
                break;
            }
            let Ok(asked_by) = hop.trim().parse::<IpAddr>() else { break };
            client = asked_by.to_canonical();
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_proxy_is_believed_and_that_of_a_stranger_is_not() {
        let proxies = Proxies::parse("10.0.0.0/8, fd00::/8").unwrap();
        for (peer, forwarded, client) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["203.0.113.9, 198.51.100.7,fd00::2"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let found = proxies.client(peer.parse().unwrap(), &headers, false);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
        assert!(Proxies::parse("10.0.0.0/8,everything").is_none());
    }

    #[test]
    fn the_word_of_the_cdn_is_believed_wherever_it_is() {
        let proxies = Proxies::parse("10.0.0.0/8").unwrap();
        for (peer, forwarded, client) in [
            ("192.0.2.1", "198.51.100.7", "198.51.100.7"),
            ("192.0.2.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9, 198.51.100.7, 192.0.2.1", "198.51.100.7"),
        ] {
            let headers = HeaderMap::from_iter([(FORWARDED_FOR, forwarded.parse().unwrap())]);
            let found = proxies.client(peer.parse().unwrap(), &headers, true);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded}");
        }
    }
}
