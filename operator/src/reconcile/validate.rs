//! The spec, checked as a whole: one [`ValidatedStream`] or the first field
//! that is wrong.
//!
//! The API server has checked most of this already, by the schema and its CEL
//! rules; here it is checked again, because `local` has no API server and an
//! older CRD may be installed. Pure: no clock, no server.

mod bounds;
mod keys;
mod ladder;
mod playback;
mod transcode;

use crate::api::LiveStream;
use crate::api::LiveStreamSpec;
use crate::api::ingest::Protocol;
use crate::api::packaging::Packaging;

use super::validated::{BroadcasterId, Uid, ValidatedIngest, ValidatedPackaging, ValidatedStream};
use bounds::{duration, invalid, label, number, subdomain, whole_seconds};

/// A field that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct InvalidSpec {
    /// Its path, for example `spec.ladder[1].height`.
    pub field: String,
    /// What was found and what is expected.
    pub why: String,
}

/// Check a stream. It has to have a namespace and a UID by now.
pub fn validate(stream: &LiveStream) -> Result<ValidatedStream, InvalidSpec> {
    let meta = &stream.metadata;
    let name = meta.name.as_deref().ok_or_else(|| invalid("metadata.name", "is missing"))?;
    label("metadata.name", name, 40)?;
    // Names of Services begin with it (RFC 1035).
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(invalid("metadata.name", format!("{name:?} does not begin with a letter")));
    }
    let namespace =
        meta.namespace.as_deref().ok_or_else(|| invalid("metadata.namespace", "is missing"))?;
    label("metadata.namespace", namespace, 63)?;
    let uid = meta.uid.as_deref().ok_or_else(|| invalid("metadata.uid", "is missing"))?;
    label("metadata.uid", uid, 63)?;

    let spec = &stream.spec;
    if let Some(unread) = &spec.unread {
        // The way out first: of a long message the end is cut off.
        let why = format!(
            "can't be read by this operator; upgrade the operator or change the field: {}",
            unread.why
        );
        return Err(invalid(unread.field.clone(), why));
    }
    label("spec.broadcaster", &spec.broadcaster.0, 63)?;
    Ok(ValidatedStream {
        id: millrace_media::id::StreamId::new(namespace, name)
            .map_err(|error| invalid("metadata.name", error.to_string()))?,
        uid: Uid(uid.to_owned()),
        broadcaster: BroadcasterId(spec.broadcaster.0.clone()),
        ingest: ingest(spec)?,
        keys: keys::validate(&spec.keys)?,
        ladder: ladder::validate(&spec.ladder)?,
        transcode: transcode::validate(&spec.transcode)?,
        packaging: packaging(&spec.packaging)?,
        playback: playback::validate(&spec.playback)?,
        suspended: spec.suspend,
        deletion_policy: spec.deletion_policy,
    })
}

fn ingest(spec: &LiveStreamSpec) -> Result<ValidatedIngest, InvalidSpec> {
    let ingest = &spec.ingest;
    let tls_secret = match (ingest.protocol, &ingest.tls) {
        (Protocol::Rtmp, None) => None,
        (Protocol::Rtmp, Some(_)) => {
            return Err(invalid("spec.ingest.tls", "is for RTMPS, and protocol is RTMP"));
        }
        (Protocol::Rtmps, None) => {
            return Err(invalid("spec.ingest.tls", "is missing; RTMPS needs a certificate"));
        }
        (Protocol::Rtmps, Some(tls)) => {
            subdomain("spec.ingest.tls.secretName", &tls.secret_name)?;
            Some(tls.secret_name.clone())
        }
    };
    let reconnect_window =
        whole_seconds("spec.ingest.reconnectWindow", &ingest.reconnect_window, "1s", "1h")?;
    let replay_window = duration("spec.ingest.replayWindow", &ingest.replay_window, "1m", "24h")?;
    if reconnect_window > replay_window {
        return Err(invalid(
            "spec.ingest.reconnectWindow",
            format!(
                "is {}, longer than replayWindow, {}: the broadcast would outlive its frames",
                ingest.reconnect_window, ingest.replay_window
            ),
        ));
    }
    number("spec.ingest.maxBitrateKbps", ingest.max_bitrate_kbps, 0..=1_000_000)?;
    Ok(ValidatedIngest {
        protocol: ingest.protocol,
        tls_secret,
        service_type: ingest.service.service_type,
        reconnect_window,
        replay_window,
        max_bitrate_kbps: ingest.max_bitrate_kbps,
        takeover: ingest.takeover,
    })
}

fn packaging(packaging: &Packaging) -> Result<ValidatedPackaging, InvalidSpec> {
    let segment_duration =
        duration("spec.packaging.segmentDuration", &packaging.segment_duration, "1s", "10s")?;
    let part_duration =
        duration("spec.packaging.partDuration", &packaging.part_duration, "100ms", "1s")?;
    if part_duration >= segment_duration {
        return Err(invalid(
            "spec.packaging.partDuration",
            format!(
                "is {}, not shorter than segmentDuration, {}",
                packaging.part_duration, packaging.segment_duration
            ),
        ));
    }
    let dvr_window =
        whole_seconds("spec.packaging.dvrWindow", &packaging.dvr_window, "10s", "12h")?;
    if dvr_window < segment_duration * 3 {
        return Err(invalid(
            "spec.packaging.dvrWindow",
            format!(
                "is {}, shorter than three segments of {}",
                packaging.dvr_window, packaging.segment_duration
            ),
        ));
    }
    Ok(ValidatedPackaging { segment_duration, part_duration, dvr_window })
}

#[cfg(test)]
pub(super) mod tests;
