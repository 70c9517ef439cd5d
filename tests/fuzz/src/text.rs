//! What stands in URLs: names, queries, tokens.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use millrace_media::cmcd::Cmcd;
use millrace_media::dash::TimedName;
use millrace_media::hls::Query;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_media::published::{InitHash, MediaName};

use crate::playback::sign::Signer;
use crate::playback::{Claims, Keys, Visit};

/// One object has one name: what is read is written as it was.
fn round<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let written = read.to_string();
        assert_eq!(written.parse::<T>().ok().as_ref(), Some(&read));
        assert_eq!(written, text);
    }
}

/// Each element of a path as everything it could be.
pub(crate) fn paths(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    for name in path.split('/') {
        round::<MediaName>(name);
        round::<TimedName>(name);
        round::<StreamId>(name);
        round::<RenditionName>(name);
        let _ = name.parse::<BroadcastId>();
        let _ = name.parse::<InitHash>();
    }
}

/// HLS's delivery directives and what players tell of themselves.
pub(crate) fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(query) = Query::parse(text) {
        assert!(query.part.is_none() || query.msn.is_some());
    }
    let _ = Cmcd::of_query(text);
    let _ = Cmcd::parse(text);
}

static SIGNER: LazyLock<(Signer, Keys)> = LazyLock::new(|| {
    let key = br#"{"kty":"oct","kid":"a","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;
    let signer = Signer::parse(key, None).expect("a key");
    let set = format!("{{\"keys\":[{}]}}", signer.entry(None).expect("its own key"));
    let keys = Keys::parse(set.as_bytes()).expect("its own set");
    (signer, keys)
});

/// A token that nobody signed admits nobody; one whose claims are a stranger's
/// is read; a set of keys is.
pub(crate) fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (signer, keys) = &*SIGNER;
    let known = text == include_str!("../corpus/token/signed");
    assert!(known || keys.verify(text).is_err(), "a forged token is taken");
    let _ = Keys::parse(data);
    let Ok(claims) = serde_json::from_slice::<Claims>(data) else { return };
    let Ok(signed) = signer.sign(&claims) else { return };
    if let Ok(grant) = keys.verify(&signed) {
        assert_eq!(grant.until, claims.exp);
        let stream: StreamId = "events.keynote".parse().expect("an id");
        let address = Some(std::net::Ipv4Addr::LOCALHOST.into());
        let now = claims.exp.saturating_sub(10);
        let visit = Visit { stream: &stream, address, path: "/hls/events.keynote/", now };
        let _ = grant.admits(&visit, 86_400);
    }
}
