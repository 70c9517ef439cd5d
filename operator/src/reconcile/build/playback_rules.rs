//! Which host names, Ingress classes and Gateways a namespace may use. The
//! chart says so; without a rule no stream has a host name of its own.

use millrace_platform::config::Setting;
use serde::{Deserialize, Serialize};

/// The rules of an installation. What any one of them allows is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlaybackRules(pub Vec<PlaybackRule>);

impl Setting for PlaybackRules {
    const EXPECTED: &'static str =
        "a JSON list of {\"namespaces\",\"hostSuffixes\",\"ingressClasses\",\"gateways\"}";
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What the streams of some namespaces may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PlaybackRule {
    /// The namespaces; `*` is every one.
    pub namespaces: Vec<String>,
    /// Domains: `example.org` (or `.example.org`, or `*.example.org`) allows
    /// itself and everything below it, `*` every name.
    pub host_suffixes: Vec<String>,
    /// Ingress classes that may be named. The installation's default needs no
    /// naming here.
    pub ingress_classes: Vec<String>,
    /// Gateways that may be named.
    pub gateways: Vec<AllowedGateway>,
}

/// A Gateway that may be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedGateway {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its listeners speak TLS, so that addresses are `https`.
    #[serde(default = "yes")]
    pub https: bool,
}

fn yes() -> bool {
    true
}
