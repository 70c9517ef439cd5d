//! Who asks for media or a playlist: an extractor that never refuses.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use millrace_media::cmcd::{Cmcd, InvalidCmcd};
use millrace_media::id::{RenditionName, StreamId};
use millrace_media::published::RenditionKind;
use millrace_platform::redis::viewers::Viewer;

use super::cdn::ByCdn;
use super::state::Shared;
use crate::audience::guess::{Client, Peer};
use crate::audience::sighting::Sighting;
use crate::live::view::View;

/// What a request says of whoever asks.
#[derive(Debug)]
pub struct Asker {
    client: Option<Client>,
    cmcd: Result<Option<Cmcd>, InvalidCmcd>,
}

impl FromRequestParts<Shared> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        let by_cdn = parts.extensions.get::<ByCdn>().is_some();
        let client = |peer: &Peer| Client::of(*peer, &parts.headers, &shared.proxies, by_cdn);
        Ok(Self {
            client: peer.map(client),
            cmcd: Cmcd::of_query(parts.uri.query().unwrap_or_default()),
        })
    }
}

impl Asker {
    /// The name by which a guess knows it.
    pub fn guess(&self, shared: &Shared, stream: &StreamId) -> Option<Viewer> {
        shared.audience.guess(stream, self.client.as_ref()?)
    }

    /// Where it is, as one is counted.
    pub fn network(&self) -> Option<IpAddr> {
        self.client.as_ref().map(Client::network)
    }

    /// It watches this rendition, if the broadcast is not over. Of what a CDN
    /// asks for nobody knows who watches it.
    pub fn note(&self, shared: &Shared, stream: &StreamId, view: &View, name: &RenditionName) {
        if view.has_ended() || shared.cdn.is_in_front() {
            return;
        }
        let cmcd = self.cmcd.as_ref().unwrap_or_else(|_| {
            shared.metrics.cmcd_malformed.inc();
            &None
        });
        let guess = self.guess(shared, stream);
        let rung = rung(view, name);
        let seen = Sighting::of_request(cmcd.as_ref(), guess, view.broadcast(), rung);
        if let Some(seen) = seen {
            shared.audience.see(stream, Sighting { network: self.network(), ..seen });
        }
    }
}

/// The name, if it is a rung of the broadcast.
pub fn rung(view: &View, name: &RenditionName) -> Option<RenditionName> {
    let info = view.info.rendition(name)?;
    matches!(info.kind, RenditionKind::Video { .. }).then(|| name.clone())
}
