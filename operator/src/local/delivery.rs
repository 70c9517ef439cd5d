//! The one delivery process, rendered as the chart renders its shared
//! Deployment: the same variables, ports and probe.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, PodSpec, PodTemplateSpec, Probe,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::settings::PLAYBACK_KEYS;
use crate::reconcile::build::Installation;
use crate::reconcile::build::environment::{
    DatabaseRole, common, database, kafka, literal, object_store, optional, redis,
};

const HTTP_PORT: i32 = 8080;
const ADMIN_PORT: i32 = 8081;
/// What the API connects with to touch keys and tokens.
pub(super) const API_DATABASE: &str = "DATABASE_API_URL";

/// Build it; `keys` is the file of the keys that tokens are checked with.
pub(super) fn deployment(installation: &Installation, keys: Option<&str>) -> Deployment {
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        ..ContainerPort::default()
    };
    let mut env = vec![literal("HTTP_PORT", HTTP_PORT), literal("ADMIN_PORT", ADMIN_PORT)];
    env.extend(database(installation, DatabaseRole::Viewer));
    env.push(optional(installation, API_DATABASE));
    env.extend(kafka(installation));
    env.extend(redis(installation, &["KEYS", "MEDIA", "METRICS", "VIEWERS"]));
    env.extend(object_store(installation));
    env.extend(common(installation));
    env.extend(keys.map(|file| literal(PLAYBACK_KEYS, file)));
    let container = Container {
        name: "delivery".to_owned(),
        command: Some(vec!["/usr/local/bin/millrace-delivery".to_owned()]),
        env: Some(env),
        ports: Some(vec![port("http", HTTP_PORT), port("admin", ADMIN_PORT)]),
        readiness_probe: Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/health/ready".to_owned()),
                port: IntOrString::String("admin".to_owned()),
                ..HTTPGetAction::default()
            }),
            ..Probe::default()
        }),
        ..Container::default()
    };
    Deployment {
        metadata: ObjectMeta {
            name: Some("millrace-delivery".to_owned()),
            namespace: Some(installation.workers_namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            template: PodTemplateSpec {
                spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
                ..PodTemplateSpec::default()
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
