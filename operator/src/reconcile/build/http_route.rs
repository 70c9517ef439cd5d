//! The HTTPRoute (Gateway API v1) of a stream's own host name, for streams
//! that name a Gateway instead of an Ingress class.
//!
//! Only what is set here is known of the resource; the rest of the Gateway API
//! is none of ours. The certificate is that of the Gateway's listener.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::{Installation, metadata, names, viewer_paths};
use crate::reconcile::validated::{OwnHost, Route, ValidatedStream};

const COMPONENT: &str = "playback";

/// What an HTTPRoute says.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct HTTPRouteSpec {
    /// The Gateways it attaches to.
    pub parent_refs: Vec<ParentRef>,
    /// The hosts it is for.
    pub hostnames: Vec<String>,
    /// What goes where.
    pub rules: Vec<RouteRule>,
}

/// A Gateway, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// One listener of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// Requests that match go to the backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    /// Any of them.
    pub matches: Vec<RouteMatch>,
    /// Where to.
    pub backend_refs: Vec<BackendRef>,
}

/// What a request looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteMatch {
    /// Its path.
    pub path: PathMatch,
}

/// A path and all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMatch {
    /// How it is compared.
    #[serde(rename = "type")]
    pub type_: String,
    /// The path.
    pub value: String,
}

/// A Service of the route's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendRef {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Its share.
    pub weight: u16,
}

/// Build it, if a Gateway routes the host. Defaults of the Gateway API are
/// spelled out: the API server would fill them in.
pub fn build(
    stream: &ValidatedStream,
    installation: &Installation,
    host: &OwnHost,
) -> Option<HTTPRoute> {
    let Some(Route::Gateway(gateway)) = &host.route else { return None };
    let matches = viewer_paths::of(&stream.id)
        .into_iter()
        .map(|value| RouteMatch { path: PathMatch { type_: "PathPrefix".to_owned(), value } });
    Some(HTTPRoute {
        metadata: metadata::of_worker(
            stream,
            installation,
            COMPONENT,
            names::child(&stream.id, COMPONENT),
        ),
        spec: HTTPRouteSpec {
            parent_refs: vec![ParentRef {
                group: "gateway.networking.k8s.io".to_owned(),
                kind: "Gateway".to_owned(),
                namespace: gateway.namespace.clone(),
                name: gateway.name.clone(),
                section_name: gateway.section_name.clone(),
            }],
            hostnames: vec![host.hostname.clone()],
            rules: vec![RouteRule {
                matches: matches.collect(),
                backend_refs: vec![BackendRef {
                    group: String::new(),
                    kind: "Service".to_owned(),
                    name: installation.delivery_service.clone(),
                    port: installation.delivery_port,
                    weight: 1,
                }],
            }],
        },
    })
}
