//! The kinds of children a stream has in Kubernetes.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;

/// A kind of child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Runs the workers.
    Deployment,
    /// In front of ingest, and its local name.
    Service,
    /// Publish keys and copied certificates.
    Secret,
    /// Keeps a live ingest pod on its node.
    PodDisruptionBudget,
    /// Routes an own host name.
    Ingress,
    /// Routes an own host name, by the Gateway API.
    HttpRoute,
}

impl Kind {
    /// All of them, in the order they are applied: what pods refer to comes
    /// before the pods.
    pub const ALL: [Self; 6] = [
        Self::Secret,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::Deployment,
        Self::Ingress,
        Self::HttpRoute,
    ];

    /// As `kind:` of a manifest has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::Secret => "Secret",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
        }
    }

    /// Where the API server has it.
    pub fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::Service => ("", "v1", "services"),
            Self::Secret => ("", "v1", "secrets"),
            Self::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
            Self::Ingress => ("networking.k8s.io", "v1", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "httproutes"),
        };
        let gvk = GroupVersionKind::gvk(group, version, self.as_str());
        ApiResource::from_gvk_with_plural(&gvk, plural)
    }
}
