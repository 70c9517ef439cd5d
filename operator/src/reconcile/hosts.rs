//! Whether a stream may have the host name it asks for. Pure.
//!
//! Two things are asked: does the installation allow its namespace this name
//! and this route ([`PlaybackRules`]), and does no older stream have the name?
//! Of those that may have it the first made wins, whatever the order in which
//! they are looked at; two made in the same second are told apart by their
//! UIDs.

use crate::api::LiveStream;
use crate::api::playback::GatewayParent;

use super::build::Installation;
use super::build::playback_rules::{AllowedGateway, PlaybackRule};
use super::validated::Route;

/// A stream's claim to a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostClaim {
    /// Whose it is.
    pub uid: String,
    /// The stream's namespace.
    pub namespace: String,
    /// The stream's name.
    pub name: String,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// The name.
    pub host: String,
    /// What is to route it; none is the installation's default class.
    pub route: Option<Route>,
}

impl HostClaim {
    /// The claim of a stream, valid or not: one whose spec was spoilt keeps
    /// what it has. None claims no name, or is being deleted.
    pub fn of(stream: &LiveStream) -> Option<Self> {
        let meta = &stream.metadata;
        if meta.deletion_timestamp.is_some() {
            return None;
        }
        let playback = &stream.spec.playback;
        let class = playback.ingress_class_name.clone().map(Route::Ingress);
        Some(Self {
            uid: meta.uid.clone()?,
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            host: playback.hostname.clone()?,
            route: playback.gateway.clone().map(Route::Gateway).or(class),
        })
    }

    fn is_before(&self, other: &Self) -> bool {
        (self.created, &self.uid) < (other.created, &other.uid)
    }
}

/// Why a stream may not have the host name it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostProblem {
    /// An older stream has it.
    #[error("spec.playback.hostname: {host} is taken by {by}")]
    HostTaken {
        /// The name.
        host: String,
        /// Who has it, as far as the asker may know.
        by: String,
    },
    /// The installation does not let the namespace use it.
    #[error("{field}: {what} is not allowed for namespace {namespace} by this installation")]
    HostNotAllowed {
        /// The field that asks for it.
        field: &'static str,
        /// What was asked for.
        what: String,
        /// The stream's namespace.
        namespace: String,
    },
}

/// Check a claim against the installation's rules and all others' claims; its
/// own may be among them.
pub fn check<'a>(
    claim: &HostClaim,
    installation: &Installation,
    others: impl IntoIterator<Item = &'a HostClaim>,
) -> Result<(), HostProblem> {
    allowed(claim, installation)?;
    // Who may not have the name does not keep it from who may.
    let owner = others
        .into_iter()
        .filter(|other| other.host == claim.host && other.uid != claim.uid)
        .find(|other| other.is_before(claim) && allowed(other, installation).is_ok());
    match owner {
        None => Ok(()),
        Some(owner) => Err(HostProblem::HostTaken {
            host: claim.host.clone(),
            by: if owner.namespace == claim.namespace {
                format!("LiveStream {}", owner.name)
            } else {
                "a LiveStream of another namespace".to_owned()
            },
        }),
    }
}

fn allowed(claim: &HostClaim, installation: &Installation) -> Result<(), HostProblem> {
    let refused = |field, what: &str| HostProblem::HostNotAllowed {
        field,
        what: what.to_owned(),
        namespace: claim.namespace.clone(),
    };
    let hostname = "spec.playback.hostname";
    // The shared host has every stream.
    if installation.public_host().is_some_and(|shared| shared.eq_ignore_ascii_case(&claim.host)) {
        return Err(refused(hostname, &claim.host));
    }
    // What one rule gives is not mixed with what another gives.
    let rules: Vec<_> = installation
        .playback_rules
        .0
        .iter()
        .filter(|rule| rule.is_for(&claim.namespace) && rule.covers(&claim.host))
        .collect();
    if rules.is_empty() {
        return Err(refused(hostname, &claim.host));
    }
    match &claim.route {
        None => Ok(()),
        Some(Route::Ingress(class)) => {
            let default = installation.default_ingress_class.as_ref() == Some(class);
            let named = rules.iter().any(|rule| rule.ingress_classes.contains(class));
            (default || named)
                .then_some(())
                .ok_or_else(|| refused("spec.playback.ingressClassName", class))
        }
        Some(Route::Gateway(parent)) => {
            let named = rules.iter().any(|rule| rule.gateways.iter().any(|g| is(g, parent)));
            let what = format!("{}/{}", parent.namespace, parent.name);
            named.then_some(()).ok_or_else(|| refused("spec.playback.gateway", &what))
        }
    }
}

impl PlaybackRule {
    fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|allowed| allowed == "*" || allowed == namespace)
    }

    fn covers(&self, host: &str) -> bool {
        self.host_suffixes.iter().any(|suffix| {
            let domain = suffix.trim_start_matches("*.").trim_start_matches('.');
            let rest = host.strip_suffix(domain);
            suffix == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

/// Whether the rule's Gateway is the one named.
pub(super) fn is(allowed: &AllowedGateway, parent: &GatewayParent) -> bool {
    allowed.namespace == parent.namespace && allowed.name == parent.name
}

#[cfg(test)]
mod tests;
