//! The Deployment that makes the rungs.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, PodTemplateSpec, ResourceRequirements, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::environment::{common, connection, literal, object_store, redis};
use super::{Installation, labels, names, pod};
use crate::api::transcode::{ResourceAmounts, Resources, Scheduling};
use crate::reconcile::validated::ValidatedStream;

/// `app.kubernetes.io/component` of it all.
const COMPONENT: &str = "transcode";

/// Build it.
pub fn build(stream: &ValidatedStream, installation: &Installation) -> Deployment {
    let container = Container {
        env: Some(environment(stream, installation)),
        ports: Some(vec![pod::port("health", pod::HEALTH_PORT)]),
        resources: Some(resources(&stream.transcode.resources)),
        ..Container::default()
    };
    let container = pod::worker(COMPONENT, installation, container);
    let template = pod::template(stream, installation, COMPONENT, container);
    Deployment {
        metadata: ObjectMeta {
            name: Some(names::child(&stream.id, COMPONENT)),
            namespace: Some(installation.workers_namespace.clone()),
            labels: Some(labels::of(stream, COMPONENT)),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(if stream.suspended { 0 } else { stream.transcode.replicas }),
            selector: LabelSelector {
                match_labels: Some(labels::selector(stream, COMPONENT)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                ..DeploymentStrategy::default()
            }),
            template: scheduled(template, &stream.transcode.scheduling),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn environment(stream: &ValidatedStream, installation: &Installation) -> Vec<EnvVar> {
    let transcode = &stream.transcode;
    let packaging = &stream.packaging;
    // A list of plain names and numbers always has a JSON form.
    let ladder = serde_json::to_string(&stream.ladder).unwrap_or_default();
    let mut env = vec![
        literal("STREAM_ID", &stream.id),
        literal("HEALTH_PORT", pod::HEALTH_PORT),
        literal("LADDER", ladder),
        literal("PRESET", transcode.preset.as_str()),
        literal("TUNE", transcode.tune.as_str()),
        literal("THREADS", transcode.threads),
        literal("SEGMENT_DURATION_MS", packaging.segment_duration.as_millis()),
        literal("PART_DURATION_MS", packaging.part_duration.as_millis()),
        literal("DVR_WINDOW_SECONDS", packaging.dvr_window.as_secs()),
        literal("REPLAY_WINDOW_SECONDS", stream.ingest.replay_window.as_secs()),
        literal("FFMPEG_PATH", &installation.ffmpeg_path),
        literal("MOCK_FFMPEG", installation.mock_ffmpeg),
        connection("KAFKA_BROKERS"),
    ];
    env.extend(redis(&["MEDIA", "METRICS"]));
    env.extend(object_store());
    env.extend(common(installation));
    env
}

fn resources(resources: &Resources) -> ResourceRequirements {
    let amounts = |amounts: &ResourceAmounts| {
        let pairs = [("cpu", &amounts.cpu), ("memory", &amounts.memory)];
        let map: BTreeMap<_, _> = pairs
            .into_iter()
            .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount.clone()?))))
            .collect();
        (!map.is_empty()).then_some(map)
    };
    ResourceRequirements {
        requests: amounts(&resources.requests),
        limits: amounts(&resources.limits),
        ..ResourceRequirements::default()
    }
}

/// The template with the spec's scheduling in it.
fn scheduled(mut template: PodTemplateSpec, scheduling: &Scheduling) -> PodTemplateSpec {
    if let Some(spec) = &mut template.spec {
        spec.node_selector =
            (!scheduling.node_selector.is_empty()).then(|| scheduling.node_selector.clone());
        spec.priority_class_name.clone_from(&scheduling.priority_class_name);
        spec.tolerations.get_or_insert_default().extend(scheduling.tolerations.iter().map(|t| {
            Toleration {
                key: (!t.key.is_empty()).then(|| t.key.clone()),
                operator: Some(t.operator.as_str().to_owned()),
                value: (!t.value.is_empty()).then(|| t.value.clone()),
                effect: t.effect.map(|effect| effect.as_str().to_owned()),
                ..Toleration::default()
            }
        }));
    }
    template
}
