//! The certificates that vouch for Postgres, Redis, Kafka and the object store,
//! from a ConfigMap: nothing about them is secret.

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Volume, VolumeMount};

use super::Installation;

/// Where they are. The volume is mounted whole: a single file of one is not
/// renewed in a running pod.
pub(super) const FILE: &str = "/etc/millrace/ca/ca.crt";
const DIRECTORY: &str = "/etc/millrace/ca";
const VOLUME: &str = "ca";

/// The volume and its mount, where there are such certificates.
pub(super) fn volume(installation: &Installation) -> Option<(Volume, VolumeMount)> {
    let name = installation.ca_config_map.clone()?;
    let volume = Volume {
        name: VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: DIRECTORY.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Some((volume, mount))
}
