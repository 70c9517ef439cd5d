//! The Ingress of a stream's own host name. It is in the workers namespace,
//! where delivery is: an Ingress can only name Services of its own.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::certificate_secret::{self, Purpose};
use super::{Installation, metadata, names, viewer_paths};
use crate::reconcile::validated::{OwnHost, Route, ValidatedStream};

const COMPONENT: &str = "playback";

/// Build it, unless a Gateway routes the host.
pub fn build(
    stream: &ValidatedStream,
    installation: &Installation,
    host: &OwnHost,
) -> Option<Ingress> {
    let class = match &host.route {
        Some(Route::Gateway(_)) => return None,
        Some(Route::Ingress(class)) => Some(class.clone()),
        None => installation.default_ingress_class.clone(),
    };
    let paths = viewer_paths::of(&stream.id).into_iter().map(|path| HTTPIngressPath {
        path: Some(path),
        path_type: "Prefix".to_owned(),
        backend: backend(installation),
    });
    Some(Ingress {
        metadata: metadata::of_worker(
            stream,
            installation,
            COMPONENT,
            names::child(&stream.id, COMPONENT),
        ),
        spec: Some(IngressSpec {
            ingress_class_name: class,
            rules: Some(vec![IngressRule {
                host: Some(host.hostname.clone()),
                http: Some(HTTPIngressRuleValue { paths: paths.collect() }),
            }]),
            tls: host.tls_secret.as_ref().map(|_| {
                vec![IngressTLS {
                    hosts: Some(vec![host.hostname.clone()]),
                    secret_name: Some(certificate_secret::name(&stream.id, Purpose::Playback)),
                }]
            }),
            ..IngressSpec::default()
        }),
        status: None,
    })
}

fn backend(installation: &Installation) -> IngressBackend {
    IngressBackend {
        service: Some(IngressServiceBackend {
            name: installation.delivery_service.clone(),
            port: Some(ServiceBackendPort {
                number: Some(i32::from(installation.delivery_port)),
                ..ServiceBackendPort::default()
            }),
        }),
        ..IngressBackend::default()
    }
}
