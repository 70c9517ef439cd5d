//! The Deployment that makes the rungs.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, PersistentVolumeClaimVolumeSource, PodSpec, Toleration,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use millrace_media::published::Access;

use super::deployment::{self, Worker};
use super::environment::{common, kafka, literal, object_store, redis};
use super::installation::MediaVolume;
use super::{
    Circumstances, Installation, Transcoders, certificate_authority, labels, pod, resources,
};
use crate::api::transcode::{Idle, Scheduling};
use crate::reconcile::validated::ValidatedStream;

/// `app.kubernetes.io/component` of it all.
pub(in crate::reconcile) const COMPONENT: &str = "transcode";
const MEDIA_VOLUME: &str = "media";
/// The container's first process starts the worker again at once; the kubelet
/// would wait for up to minutes.
pub const SUPERVISE: &str = "supervise";
/// The autoscaler may take the node away at any time, whatever else it thinks
/// of such a pod: another one replays from the checkpoint. This never changes,
/// so neither does the template.
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Build it.
pub fn build(
    stream: &ValidatedStream,
    installation: &Installation,
    seen: &Circumstances,
) -> Deployment {
    let media = installation.media_volume.as_ref();
    let container = Container {
        args: Some(vec![SUPERVISE.to_owned()]),
        env: Some(environment(stream, installation)),
        ports: Some(vec![pod::port("health", pod::HEALTH_PORT)]),
        resources: Some(resources::transcode(stream, installation.mock_ffmpeg)),
        ..Container::default()
    };
    let container = pod::worker(COMPONENT, installation, container);
    let mut template = pod::template(stream, installation, COMPONENT, container);
    let safe = BTreeMap::from([(SAFE_TO_EVICT.to_owned(), "true".to_owned())]);
    template.metadata.get_or_insert_default().annotations = Some(safe);
    let ca = certificate_authority::volume(installation);
    let volumes = media.map(|media| (claim(media), mount(media))).into_iter().chain(ca);
    pod::add_volumes(&mut template, volumes);
    let spec = template.spec.get_or_insert_default();
    if let (Some(media), Some(security)) = (media, &mut spec.security_context) {
        security.fs_group = Some(media.group);
        // A volume of many files is not gone through at each start.
        security.fs_group_change_policy = Some("OnRootMismatch".to_owned());
    }
    schedule(spec, &stream.transcode.scheduling);
    if stream.transcode.replicas > 1 {
        spec.topology_spread_constraints = Some(apart(stream));
    }
    let worker = Worker { component: COMPONENT, replicas: replicas(stream, seen), template };
    deployment::of(stream, installation, worker)
}

fn replicas(stream: &ValidatedStream, seen: &Circumstances) -> i32 {
    match (stream.transcode.idle, seen.transcoders) {
        (Idle::ScaleToZero, Transcoders::Asleep) => 0,
        _ => stream.transcode.replicas,
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
    ];
    // The usual needs no word.
    if stream.playback.access == Access::Token {
        env.push(literal("PLAYBACK_ACCESS", "Token"));
    }
    if transcode.replicas > 1 {
        env.push(literal("TRANSCODE_REDUNDANCY", transcode.replicas));
    }
    env.extend(kafka(installation));
    env.extend(redis(installation, &["MEDIA", "METRICS"]));
    env.extend(object_store(installation));
    env.extend(common(installation));
    env
}

/// The spec's scheduling.
fn schedule(spec: &mut PodSpec, scheduling: &Scheduling) {
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

/// Two transcoders of a stream on one node are lost together. Rather that than
/// only one, though: a cluster of one node runs both.
fn apart(stream: &ValidatedStream) -> Vec<TopologySpreadConstraint> {
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .into_iter()
        .map(|key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(LabelSelector {
                match_labels: Some(labels::selector(stream, COMPONENT)),
                ..LabelSelector::default()
            }),
            ..TopologySpreadConstraint::default()
        })
        .collect()
}

fn mount(volume: &MediaVolume) -> VolumeMount {
    VolumeMount {
        name: MEDIA_VOLUME.to_owned(),
        mount_path: volume.path.clone(),
        ..VolumeMount::default()
    }
}

fn claim(volume: &MediaVolume) -> Volume {
    Volume {
        name: MEDIA_VOLUME.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: volume.claim.clone(),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }
}
