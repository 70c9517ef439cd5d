//! `spec.playback`: how viewers reach the stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingest::TlsSecret;
use super::schema::{LABEL_LENGTH, LABEL_PATTERN, SUBDOMAIN_LENGTH, SUBDOMAIN_PATTERN, rules};

/// How viewers reach the stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    ("!(has(self.ingressClassName) && has(self.gateway))", "ingressClassName and gateway exclude each other"),
    ("!(has(self.gateway) && has(self.tls))", "gateway and tls exclude each other: the certificate is that of the Gateway's listener"),
    ("has(self.hostname) || !(has(self.ingressClassName) || has(self.gateway) || has(self.tls))", "ingressClassName, gateway and tls need a hostname"),
])))]
pub struct Playback {
    /// A host name of its own, which the installation must allow; without one
    /// the stream is on the shared host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = SUBDOMAIN_LENGTH),
        regex(pattern = SUBDOMAIN_PATTERN),
        extend("x-kubernetes-validations" = rules(&[(
            "!self.matches('^[0-9.]*$')",
            "hostname must be a name, not an address",
        )]))
    )]
    pub hostname: Option<String>,
    /// The class of the Ingress for `hostname`; none is the installation's
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = SUBDOMAIN_LENGTH), regex(pattern = SUBDOMAIN_PATTERN))]
    pub ingress_class_name: Option<String>,
    /// The Gateway the HTTPRoute for `hostname` attaches to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayParent>,
    /// The certificate for `hostname`. With a Gateway it is the listener's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSecret>,
    /// Who may watch: everybody, or who has a signed token. A change is for
    /// the broadcasts that begin once the transcoder has a new pod: at once when
    /// idle; while live UpdatePending says that it waits.
    pub access: Access,
}

/// The Gateway an HTTPRoute attaches to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayParent {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = SUBDOMAIN_LENGTH), regex(pattern = SUBDOMAIN_PATTERN))]
    pub name: String,
    /// The Gateway's namespace.
    #[schemars(length(min = 1, max = LABEL_LENGTH), regex(pattern = LABEL_PATTERN))]
    pub namespace: String,
    /// The Gateway's listener; none is any that fits the hostname.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = SUBDOMAIN_LENGTH), regex(pattern = SUBDOMAIN_PATTERN))]
    pub section_name: Option<String>,
}

/// Who may watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Everybody.
    #[default]
    Public,
    /// Who has a signed, expiring token.
    Token,
}
