//! LiveStreams as the watch brings them, read as far as this release can.
//!
//! What is stored may be a newer release's, as after a rollback, and the API
//! server does not check what it hands out. An error would spoil the whole page
//! of a list it is in, and no stream would be looked after. So a spec that can't
//! be read is marked ([`LiveStreamSpec::unread`]) and refused as any wrong one
//! is; what can't be read of a status counts as none.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::livestream::Unread;
use crate::api::playback::Playback;
use crate::api::status::{Condition, LiveStreamStatus};
use crate::api::{LiveStream, LiveStreamSpec};

/// A LiveStream that was read so.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Raw")]
pub(super) struct Lenient(LiveStream);

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl From<Raw> for Lenient {
    fn from(raw: Raw) -> Self {
        let (spec, status) = (spec(&raw.spec), status(raw.status));
        Self(LiveStream { metadata: raw.metadata, spec, status })
    }
}

impl Resource for Lenient {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        LiveStream::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        LiveStream::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        LiveStream::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        LiveStream::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Everybody behind the watch has the LiveStream itself.
pub(super) fn unwrapped(event: Event<Lenient>) -> Event<LiveStream> {
    match event {
        Event::Apply(Lenient(stream)) => Event::Apply(stream),
        Event::Delete(Lenient(stream)) => Event::Delete(stream),
        Event::Init => Event::Init,
        Event::InitApply(Lenient(stream)) => Event::InitApply(stream),
        Event::InitDone => Event::InitDone,
    }
}

fn spec(raw: &Value) -> LiveStreamSpec {
    let error = match serde_path_to_error::deserialize(raw) {
        Ok(spec) => return spec,
        Err(error) => error,
    };
    let field = match error.path().to_string().as_str() {
        "." => "spec".to_owned(),
        path => format!("spec.{path}"),
    };
    let unread = Unread { field, why: error.into_inner().to_string() };
    LiveStreamSpec {
        playback: claim(raw.get("playback").unwrap_or_default()),
        deletion_policy: part(raw, "deletionPolicy").unwrap_or_default(),
        ..LiveStreamSpec::of_unread(unread)
    }
}

/// What says which host name it has, and by which route: nobody else may get it.
fn claim(playback: &Value) -> Playback {
    Playback {
        hostname: part(playback, "hostname"),
        ingress_class_name: part(playback, "ingressClassName"),
        gateway: part(playback, "gateway"),
        ..Playback::default()
    }
}

fn part<T: DeserializeOwned>(whole: &Value, name: &str) -> Option<T> {
    T::deserialize(whole.get(name)?).ok()
}

fn status(raw: Value) -> Option<LiveStreamStatus> {
    if let Ok(status) = Option::deserialize(&raw) {
        return status;
    }
    let Value::Object(mut fields) = raw else { return None };
    if let Some(Value::Array(conditions)) = fields.get_mut("conditions") {
        conditions.retain(|condition| Condition::deserialize(condition).is_ok());
    }
    fields.retain(|name, value| {
        let alone = Value::from_iter([(name.as_str(), value.clone())]);
        LiveStreamStatus::deserialize(alone).is_ok()
    });
    LiveStreamStatus::deserialize(Value::Object(fields)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::deletion::DeletionPolicy;
    use crate::api::status::Phase;
    use crate::reconcile::hosts::HostClaim;
    use crate::reconcile::validate::validate;

    fn read(spec: &Value, status: &Value) -> LiveStream {
        let Lenient(stream) = serde_json::from_value(json!({
            "apiVersion": "millrace.dev/v1alpha1",
            "kind": "LiveStream",
            "metadata": { "name": "keynote", "namespace": "events", "uid": "u", "generation": 3 },
            "spec": spec,
            "status": status,
        }))
        .unwrap();
        stream
    }

    fn refused(spec: &Value) -> String {
        validate(&read(spec, &Value::Null)).unwrap_err().to_string()
    }

    #[test]
    fn what_can_be_read_is_what_it_was() {
        let spec = json!({ "broadcaster": "acme", "transcode": { "preset": "medium" } });
        let stream = read(&spec, &json!({ "phase": "Live", "viewers": 3 }));
        assert_eq!(stream.spec, serde_json::from_value(spec.clone()).unwrap());
        assert_eq!(stream.status.unwrap().phase, Some(Phase::Live));
        assert_eq!(read(&spec, &Value::Null).status, None);
        assert_eq!(read(&spec, &json!({})).status, Some(LiveStreamStatus::default()));
    }

    #[test]
    fn a_spec_that_cannot_be_read_is_refused_and_the_field_is_named() {
        let newer = |field: &str, value: &str| {
            let (section, field) = field.split_once('.').unwrap();
            refused(&json!({ "broadcaster": "acme", section: { field: value } }))
        };
        let why = newer("transcode.preset", "placebo");
        assert!(why.starts_with("spec.transcode.preset: "), "{why}");
        assert!(why.contains("upgrade the operator") && why.contains("`placebo`"), "{why}");
        let why = newer("transcode.idle", "Never");
        assert!(why.starts_with("spec.transcode.idle: "), "{why}");
        for (spec, field) in [
            (json!({ "broadcaster": "acme", "ladder": [{ "name": 5 }] }), "spec.ladder[0].name: "),
            (json!({ "broadcaster": { "name": "acme" } }), "spec.broadcaster: "),
            (json!({}), "spec: "),
            (Value::Null, "spec: "),
            (json!("acme"), "spec: "),
        ] {
            let why = refused(&spec);
            assert!(why.starts_with(field), "{why}");
        }
    }

    #[test]
    fn a_spec_that_cannot_be_read_keeps_its_host_name() {
        let gateway = json!({ "namespace": "edge", "name": "public" });
        let playback =
            json!({ "hostname": "a.example.org", "access": "Friends", "gateway": gateway });
        let stream = read(&json!({ "broadcaster": "acme", "playback": playback }), &Value::Null);
        let claim = HostClaim::of(&stream).unwrap();
        assert_eq!(claim.host, "a.example.org");
        assert!(claim.route.is_some());
        let unknown = json!({ "broadcaster": "acme", "playback": { "hostname": ["a", "b"] } });
        assert_eq!(HostClaim::of(&read(&unknown, &Value::Null)), None);
    }

    #[test]
    fn a_spec_that_cannot_be_read_says_what_is_kept_of_it() {
        let policy = |policy: &str| {
            let spec = json!({ "deletionPolicy": policy, "transcode": { "preset": "placebo" } });
            read(&spec, &Value::Null).spec.deletion_policy
        };
        assert_eq!(policy("Delete"), DeletionPolicy::Delete);
        assert_eq!(policy("Shred"), DeletionPolicy::Retain);
    }

    #[test]
    fn what_cannot_be_read_of_a_status_counts_as_none() {
        let condition = |type_: &str, status: &str| {
            json!({
                "type": type_, "status": status, "reason": "Ready", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3,
            })
        };
        let status = json!({
            "phase": "Draining",
            "viewers": 3,
            "rungs": "none",
            "conditions": [condition("KeysReady", "True"), condition("Ready", "Soon")],
        });
        let status = read(&json!({ "broadcaster": "acme" }), &status).status.unwrap();
        assert_eq!((status.phase, status.viewers), (None, Some(3)));
        assert!(status.rungs.is_empty());
        let types: Vec<_> = status.conditions.iter().map(|one| one.type_.as_ref()).collect();
        assert_eq!(types, ["KeysReady"]);
        assert_eq!(read(&json!({ "broadcaster": "acme" }), &json!("good")).status, None);
    }
}
