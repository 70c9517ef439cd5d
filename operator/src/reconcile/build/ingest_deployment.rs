//! The Deployment that accepts the publisher.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{Container, EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::environment::{DatabaseRole, common, connection, database, literal, redis};
use super::{Installation, labels, names, pod};
use crate::reconcile::validated::ValidatedStream;

/// `app.kubernetes.io/component` of it all.
pub(super) const COMPONENT: &str = "ingest";
/// The port publishers connect to.
pub(super) const RTMP_PORT: i32 = 1935;

/// Build it. One pod: two would fight for the stream's log.
pub fn build(stream: &ValidatedStream, installation: &Installation) -> Deployment {
    let container = Container {
        env: Some(environment(stream, installation)),
        ports: Some(vec![pod::port("rtmp", RTMP_PORT), pod::port("health", pod::HEALTH_PORT)]),
        resources: Some(resources()),
        ..Container::default()
    };
    let container = pod::worker(COMPONENT, installation, container);
    Deployment {
        metadata: ObjectMeta {
            name: Some(names::child(&stream.id, COMPONENT)),
            namespace: Some(installation.workers_namespace.clone()),
            labels: Some(labels::of(stream, COMPONENT)),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(i32::from(!stream.suspended)),
            selector: LabelSelector {
                match_labels: Some(labels::selector(stream, COMPONENT)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                ..DeploymentStrategy::default()
            }),
            template: pod::template(stream, installation, COMPONENT, container),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn environment(stream: &ValidatedStream, installation: &Installation) -> Vec<EnvVar> {
    let ingest = &stream.ingest;
    let mut env = vec![
        literal("STREAM_ID", &stream.id),
        literal("RTMP_PORT", RTMP_PORT),
        literal("HEALTH_PORT", pod::HEALTH_PORT),
        literal("RECONNECT_WINDOW_SECONDS", ingest.reconnect_window.as_secs()),
        literal("MAX_BITRATE_KBPS", ingest.max_bitrate_kbps),
        literal("TAKEOVER", ingest.takeover.as_str()),
        database(DatabaseRole::Worker),
        // There is one of these per stream.
        literal("DATABASE_MAX_CONNECTIONS", 3),
        connection("KAFKA_BROKERS"),
    ];
    env.extend(redis(&["KEYS", "METRICS"]));
    env.extend(common(installation));
    env
}

/// A publisher costs about a hundredth of a core; the memory is the ring.
fn resources() -> ResourceRequirements {
    let amounts = |cpu: Option<&str>, memory: &str| {
        let cpu = cpu.map(|cpu| ("cpu".to_owned(), Quantity(cpu.to_owned())));
        cpu.into_iter()
            .chain([("memory".to_owned(), Quantity(memory.to_owned()))])
            .collect::<BTreeMap<_, _>>()
    };
    ResourceRequirements {
        requests: Some(amounts(Some("100m"), "128Mi")),
        limits: Some(amounts(None, "256Mi")),
        ..ResourceRequirements::default()
    }
}
