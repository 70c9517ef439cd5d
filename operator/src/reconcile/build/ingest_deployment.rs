//! The Deployment that accepts the publisher.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, SecretVolumeSource, Volume, VolumeMount};

use super::certificate_secret::{self, Purpose};
use super::deployment::{self, Worker};
use super::environment::{DatabaseRole, common, database, kafka, literal, redis};
use super::{Installation, certificate_authority, pod, resources};
use crate::api::ingest::Protocol;
use crate::reconcile::validated::ValidatedStream;

/// `app.kubernetes.io/component` of it all.
pub(in crate::reconcile) const COMPONENT: &str = "ingest";
/// The container's port for RTMP.
const RTMP_PORT: i32 = 1935;
/// The container's port for RTMPS: the Service's, 443, only root may take.
const RTMPS_PORT: i32 = 1936;
/// Where the certificate is. A whole directory, since a single file of a
/// volume is not renewed in a running pod.
const CERTIFICATE_DIR: &str = "/etc/millrace/rtmps";
const CERTIFICATE_VOLUME: &str = "rtmps-certificate";

/// Build it. One pod: two would fight for the stream's log.
pub fn build(stream: &ValidatedStream, installation: &Installation) -> Deployment {
    let tls = stream.ingest.protocol == Protocol::Rtmps;
    let listener = if tls { pod::port("rtmps", RTMPS_PORT) } else { pod::port("rtmp", RTMP_PORT) };
    let container = Container {
        env: Some(environment(stream, installation)),
        ports: Some(vec![listener, pod::port("health", pod::HEALTH_PORT)]),
        resources: Some(resources::ingest()),
        ..Container::default()
    };
    let certificate = tls.then(|| (certificate_volume(stream), certificate_mount()));
    let volumes = certificate.into_iter().chain(certificate_authority::volume(installation));
    let container = pod::worker(COMPONENT, installation, container);
    let mut template = pod::template(stream, installation, COMPONENT, container);
    pod::add_volumes(&mut template, volumes);
    let worker = Worker { component: COMPONENT, replicas: 1, template };
    deployment::of(stream, installation, worker)
}

fn environment(stream: &ValidatedStream, installation: &Installation) -> Vec<EnvVar> {
    let ingest = &stream.ingest;
    let mut env = vec![literal("STREAM_ID", &stream.id)];
    env.extend(match ingest.protocol {
        Protocol::Rtmp => vec![literal("RTMP_PORT", RTMP_PORT)],
        Protocol::Rtmps => vec![
            literal("RTMPS_PORT", RTMPS_PORT),
            literal("RTMPS_CERT_FILE", format!("{CERTIFICATE_DIR}/tls.crt")),
            literal("RTMPS_KEY_FILE", format!("{CERTIFICATE_DIR}/tls.key")),
        ],
    });
    env.extend([
        literal("HEALTH_PORT", pod::HEALTH_PORT),
        literal("RECONNECT_WINDOW_SECONDS", ingest.reconnect_window.as_secs()),
        literal("MAX_BITRATE_KBPS", ingest.max_bitrate_kbps),
        literal("TAKEOVER", ingest.takeover.as_str()),
        literal("RING_MEGABYTES", resources::INGEST_RING_MEGABYTES),
        // There is one of these per stream.
        literal("DATABASE_MAX_CONNECTIONS", 3),
    ]);
    env.extend(database(installation, DatabaseRole::Worker));
    env.extend(kafka(installation));
    env.extend(redis(installation, &["KEYS", "METRICS"]));
    env.extend(common(installation));
    env
}

fn certificate_mount() -> VolumeMount {
    VolumeMount {
        name: CERTIFICATE_VOLUME.to_owned(),
        mount_path: CERTIFICATE_DIR.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn certificate_volume(stream: &ValidatedStream) -> Volume {
    Volume {
        name: CERTIFICATE_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(certificate_secret::name(&stream.id, Purpose::Rtmps)),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
