//! A request to the API server in the words of its audit log.

use axum::http::{Method, Uri};
use tokio::time::Instant;

use crate::cluster::audit::Object;

/// What was asked through a door.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: &'static str,
    /// On what; empty for what is no resource.
    pub object: Object,
    /// When it came.
    pub at: Instant,
    /// With which code it was refused, if it was.
    pub refused: Option<u16>,
}

impl Asked {
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let object = object(uri.path());
        let watches = uri.query().is_some_and(|query| query.split('&').any(|p| p == "watch=true"));
        let one = !object.name.is_empty();
        let verb = match (method.as_str(), one) {
            ("GET", true) => "get",
            ("GET", false) if watches => "watch",
            ("GET", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            _ => "deletecollection",
        };
        Self { verb, object, at: Instant::now(), refused: None }
    }

    /// Whether it is this verb on this resource, `livestreams/status` for example.
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let object = &self.object;
        self.verb == verb && object.resource == resource && object.subresource == subresource
    }

    /// Whether it could change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// The request without its time: who asks it again asks the same.
    pub fn what(&self) -> String {
        let Object { resource, subresource, namespace, name, .. } = &self.object;
        format!("{} {resource}/{subresource} {namespace}/{name}", self.verb)
    }
}

fn object(path: &str) -> Object {
    let mut parts = path.trim_matches('/').split('/').map(str::to_owned).peekable();
    let api_group = match parts.next().as_deref() {
        Some("api") => String::new(),
        Some("apis") => parts.next().unwrap_or_default(),
        _ => return Object::default(),
    };
    let _version = parts.next();
    let mut parts: Vec<String> = parts.collect();
    let mut namespace = String::new();
    if parts.len() > 2 && parts.first().is_some_and(|part| part == "namespaces") {
        namespace = parts.drain(..2).nth(1).unwrap_or_default();
    }
    let mut parts = parts.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    let (resource, name, subresource) = (next(), next(), next());
    Object { api_group, resource, subresource, namespace, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_as_in_the_audit_log() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/namespaces/a/secrets/b", "get secrets/ a/b"),
            (
                "PATCH",
                "/apis/millrace.dev/v1alpha1/namespaces/a/livestreams/b/status?force=true",
                "patch livestreams/status a/b",
            ),
            ("GET", "/api/v1/pods?labelSelector=x&limit=500", "list pods/ /"),
            ("GET", "/api/v1/pods?&watch=true&timeoutSeconds=290", "watch pods/ /"),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments/b", "delete deployments/ a/b"),
            ("GET", "/api/v1/namespaces/a", "get namespaces/ /a"),
            ("POST", "/api/v1/namespaces/a/events", "create events/ a/"),
            ("GET", "/version", "list / /"),
        ] {
            let asked = Asked::of(&method.parse().unwrap(), &uri.parse().unwrap());
            assert_eq!(asked.what(), expected, "{method} {uri}");
        }
        let uri = "/apis/apps/v1/namespaces/a/deployments/b".parse().unwrap();
        assert_eq!(Asked::of(&Method::GET, &uri).object.api_group, "apps");
    }
}
