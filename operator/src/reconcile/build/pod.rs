//! What the pods of every worker share: restricted security, probes, an early
//! farewell to lost nodes.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, HTTPGetAction, LocalObjectReference,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext,
    Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Installation, labels};
use crate::reconcile::validated::ValidatedStream;

/// The port with `/health/live`, `/health/ready` and `/metrics`.
pub(super) const HEALTH_PORT: i32 = 8090;

/// A worker has this long to hand over when it is asked to go.
const GRACE_SECONDS: i64 = 30;

/// A node that doesn't answer is given up after this (Kubernetes: 300).
const LOST_NODE_SECONDS: i64 = 10;

/// A named TCP port; the variable `<NAME>_PORT` tells the process.
pub(super) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Fill in what every worker's container has.
pub(super) fn worker(component: &str, installation: &Installation, own: Container) -> Container {
    Container {
        name: component.to_owned(),
        image: Some(installation.image.clone()),
        image_pull_policy: Some(installation.image_pull_policy.clone()),
        command: Some(vec![format!("/usr/local/bin/millrace-{component}")]),
        readiness_probe: Some(probe("/health/ready", 2, 1)),
        liveness_probe: Some(probe("/health/live", 10, 6)),
        // A worker waits for Kafka and Postgres before it is live.
        startup_probe: Some(probe("/health/live", 1, 60)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..own
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("health".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// The template around one container.
pub(super) fn template(
    stream: &ValidatedStream,
    installation: &Installation,
    component: &str,
    container: Container,
) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::of(stream, component)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container],
            image_pull_secrets: pull_secrets(installation),
            service_account_name: Some(installation.service_account.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    ..SeccompProfile::default()
                }),
                ..PodSecurityContext::default()
            }),
            tolerations: Some(["not-ready", "unreachable"].into_iter().map(lost_node).collect()),
            ..PodSpec::default()
        }),
    }
}

/// Mount these into the template's one container.
pub(super) fn add_volumes(
    template: &mut PodTemplateSpec,
    volumes: impl IntoIterator<Item = (Volume, VolumeMount)>,
) {
    let (volumes, mounts): (Vec<_>, Vec<_>) = volumes.into_iter().unzip();
    let Some(spec) = template.spec.as_mut().filter(|_| !volumes.is_empty()) else { return };
    spec.volumes.get_or_insert_default().extend(volumes);
    for container in &mut spec.containers {
        container.volume_mounts.get_or_insert_default().extend(mounts.iter().cloned());
    }
}

fn pull_secrets(installation: &Installation) -> Option<Vec<LocalObjectReference>> {
    let secrets: Vec<_> = installation
        .image_pull_secrets
        .iter()
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    (!secrets.is_empty()).then_some(secrets)
}

fn lost_node(taint: &str) -> Toleration {
    Toleration {
        key: Some(format!("node.kubernetes.io/{taint}")),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(LOST_NODE_SECONDS),
        ..Toleration::default()
    }
}
