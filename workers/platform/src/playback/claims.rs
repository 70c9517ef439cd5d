//! What a token says, and what that admits.

use std::net::IpAddr;

use ipnet::IpNet;
use millrace_media::id::StreamId;
use serde::{Deserialize, Serialize};

use crate::tokens::{StreamPattern, StreamPatterns};

/// Clocks of signers may be ahead of ours by this many seconds.
const LEEWAY: i64 = 5;
/// Networks in one token.
const MOST_NETWORKS: usize = 16;

/// The claims of a token (RFC 7519 §4), as they stand in it. Those that are not
/// here are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// When it is over, seconds since 1970.
    pub exp: i64,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The stream, or streams as a pattern, where `streams` is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The streams, as patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<String>>,
    /// Addresses or networks; the viewer is in one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<OneOrMany>,
    /// What the path of a request begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Many.
    Many(Vec<String>),
}

/// What a token that is rightly signed admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// When it is over, seconds since 1970.
    pub until: i64,
    from: Option<i64>,
    streams: StreamPatterns,
    /// What its key may sign for.
    signer: StreamPatterns,
    networks: Option<Vec<IpNet>>,
    path: Option<String>,
}

/// Somebody who shows a token.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'v> {
    /// Which stream they want to watch.
    pub stream: &'v StreamId,
    /// From where; none where that is not known.
    pub address: Option<IpAddr>,
    /// What they ask for.
    pub path: &'v str,
    /// When, seconds since 1970.
    pub now: i64,
}

/// Why a token that is rightly signed does not admit somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Its `exp` is past.
    #[error("the token is over")]
    Over,
    /// Its `nbf` is to come.
    #[error("the token is not yet good")]
    Early,
    /// Its `exp` is further away than a token may live.
    #[error("the token lives longer than this installation allows")]
    Long,
    /// It, or its key, is for others.
    #[error("the token is not for this stream")]
    Stream,
    /// It is for others' addresses.
    #[error("the token is not for your address")]
    Address,
    /// It is for other paths.
    #[error("the token is not for this path")]
    Path,
}

impl Claims {
    /// What they grant, signed by a key that may sign for `signer`'s streams;
    /// none if a claim can't be understood.
    pub(super) fn grant(self, signer: &StreamPatterns) -> Option<Grant> {
        let texts = self.streams.or_else(|| self.sub.map(|one| vec![one]))?;
        let streams: Result<Vec<StreamPattern>, _> = texts.iter().map(|t| t.parse()).collect();
        let streams: StreamPatterns = streams.ok()?.into_iter().collect();
        let networks = match self.ip {
            None => None,
            Some(OneOrMany::One(text)) => Some(vec![network(&text)?]),
            Some(OneOrMany::Many(texts)) if texts.len() > MOST_NETWORKS => return None,
            Some(OneOrMany::Many(texts)) => {
                Some(texts.iter().map(|text| network(text)).collect::<Option<_>>()?)
            }
        };
        let grant = Grant {
            until: self.exp,
            from: self.nbf,
            signer: signer.clone(),
            networks,
            path: self.path,
            streams,
        };
        grant.streams.fit().then_some(grant)
    }
}

/// A network, or the one of an address alone.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

impl Grant {
    /// Whether it admits this visit, where no token may live longer than
    /// `longest` seconds from now.
    pub fn admits(&self, visit: &Visit<'_>, longest: i64) -> Result<(), NotAdmitted> {
        let Visit { stream, address, path, now } = *visit;
        if self.until <= now {
            return Err(NotAdmitted::Over);
        }
        if self.from.is_some_and(|from| from > now.saturating_add(LEEWAY)) {
            return Err(NotAdmitted::Early);
        }
        if self.until > now.saturating_add(longest).saturating_add(LEEWAY) {
            return Err(NotAdmitted::Long);
        }
        if !self.streams.include(stream) || !self.signer.include(stream) {
            return Err(NotAdmitted::Stream);
        }
        if let Some(networks) = &self.networks {
            let inside = |address: IpAddr| networks.iter().any(|net| net.contains(&address));
            if !address.is_some_and(inside) {
                return Err(NotAdmitted::Address);
            }
        }
        if self.path.as_deref().is_some_and(|prefix| !path.starts_with(prefix)) {
            return Err(NotAdmitted::Path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;
    const DAY: i64 = 86_400;

    fn claims() -> Claims {
        Claims { exp: NOW + 60, sub: Some("events.keynote".to_owned()), ..Claims::default() }
    }

    fn patterns(texts: &[&str]) -> StreamPatterns {
        texts.iter().map(|text| text.parse::<StreamPattern>().unwrap()).collect()
    }

    fn admits(claims: Claims, signer: &[&str]) -> Result<(), NotAdmitted> {
        let stream = "events.keynote".parse().unwrap();
        let address = Some("198.51.100.7".parse().unwrap());
        let visit =
            Visit { stream: &stream, address, path: "/hls/events.keynote/index.m3u8", now: NOW };
        claims.grant(&patterns(signer)).unwrap().admits(&visit, DAY)
    }

    #[test]
    fn a_token_admits_within_its_time_streams_networks_and_path() {
        let many = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let list = |texts: &[&str]| Some(OneOrMany::Many(many(texts)));
        let one = |text: &str| Some(OneOrMany::One(text.to_owned()));
        for (claims, expected) in [
            (claims(), Ok(())),
            (Claims { exp: NOW, ..claims() }, Err(NotAdmitted::Over)),
            (Claims { exp: NOW + DAY, ..claims() }, Ok(())),
            (Claims { exp: NOW + DAY + 6, ..claims() }, Err(NotAdmitted::Long)),
            (Claims { nbf: Some(NOW + 5), ..claims() }, Ok(())),
            (Claims { nbf: Some(NOW + 6), ..claims() }, Err(NotAdmitted::Early)),
            (Claims { sub: Some("events.*".to_owned()), ..claims() }, Ok(())),
            (Claims { sub: Some("events.other".to_owned()), ..claims() }, Err(NotAdmitted::Stream)),
            (Claims { streams: Some(many(&["a.b", "events.keynote"])), ..claims() }, Ok(())),
            (Claims { streams: Some(many(&["a.b"])), ..claims() }, Err(NotAdmitted::Stream)),
            (Claims { ip: one("198.51.100.7"), ..claims() }, Ok(())),
            (Claims { ip: one("198.51.100.8"), ..claims() }, Err(NotAdmitted::Address)),
            (Claims { ip: list(&["2001:db8::/32", "198.51.100.0/24"]), ..claims() }, Ok(())),
            (Claims { path: Some("/hls/".to_owned()), ..claims() }, Ok(())),
            (Claims { path: Some("/dash/".to_owned()), ..claims() }, Err(NotAdmitted::Path)),
        ] {
            assert_eq!(admits(claims.clone(), &["*"]), expected, "{claims:?}");
        }
    }

    #[test]
    fn a_key_signs_for_its_own_streams_alone() {
        assert_eq!(admits(claims(), &["events.*"]), Ok(()));
        assert_eq!(admits(claims(), &["other.*"]), Err(NotAdmitted::Stream));
        let all = Claims { sub: Some("*".to_owned()), ..claims() };
        assert_eq!(admits(all, &["other.*"]), Err(NotAdmitted::Stream));
    }

    #[test]
    fn an_address_that_is_not_known_is_in_no_network() {
        let claims = Claims { ip: Some(OneOrMany::One("::/0".to_owned())), ..claims() };
        let stream = "events.keynote".parse().unwrap();
        let visit = Visit { stream: &stream, address: None, path: "/", now: NOW };
        let grant = claims.grant(&patterns(&["*"])).unwrap();
        assert_eq!(grant.admits(&visit, DAY), Err(NotAdmitted::Address));
    }

    #[test]
    fn claims_that_can_not_be_understood_grant_nothing() {
        let all = patterns(&["*"]);
        let none = |text: &str| Some(OneOrMany::One(text.to_owned()));
        let many = |count| Some(OneOrMany::Many(vec!["::1".to_owned(); count]));
        for wrong in [
            Claims { sub: None, ..claims() },
            Claims { sub: Some("alice".to_owned()), ..claims() },
            Claims { streams: Some(Vec::new()), ..claims() },
            Claims { streams: Some(vec!["a.b".to_owned(); 65]), ..claims() },
            Claims { ip: none("here"), ..claims() },
            Claims { ip: many(17), ..claims() },
        ] {
            assert_eq!(wrong.clone().grant(&all), None, "{wrong:?}");
        }
    }
}
