//! The children of streams as a person would review them: `tests/golden`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p millrace-operator --test golden` writes them
//! again; then read the difference.

#![expect(clippy::unwrap_used, reason = "tests and what helps them")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::{
    self, NamedKey, PreviousKey, StreamKeys,
};
use millrace_operator::reconcile::build::{Installation, children};
use millrace_operator::reconcile::validate::validate;
use millrace_operator::reconcile::validated::ValidatedStream;
use serde::Serialize;

fn stream(spec: &str) -> ValidatedStream {
    let text = format!(
        "apiVersion: millrace.dev/v1alpha1
kind: LiveStream
metadata: {{ name: keynote, namespace: events, uid: 6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11 }}
spec: {spec}
"
    );
    let stream: LiveStream = serde_yaml::from_str(&text).unwrap();
    validate(&stream).unwrap()
}

fn installation() -> Installation {
    Installation { image: "millrace:test".to_owned(), ..Installation::default() }
}

fn check(name: &str, objects: &[&dyn erased::Yaml]) {
    let written: Vec<_> = objects.iter().map(|object| object.yaml()).collect();
    let written = written.join("---\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == golden, "{name} is not what is built now:\n{written}");
}

mod erased {
    //! Several kinds of object in one list.

    pub(crate) trait Yaml {
        fn yaml(&self) -> String;
    }

    impl<T: super::Serialize> Yaml for T {
        fn yaml(&self) -> String {
            serde_yaml::to_string(self).unwrap()
        }
    }
}

#[test]
fn a_stream_of_defaults() {
    let children = children(&stream("{ broadcaster: acme }"), &installation());
    check("defaults-ingest-deployment.yaml", &[&children.ingest]);
    check("defaults-ingest-service.yaml", &[&children.ingest_service]);
    check("defaults-transcode-deployment.yaml", &[&children.transcode]);
}

#[test]
fn a_stream_with_everything_set() {
    let spec = "
  broadcaster: acme
  ingest:
    service: { type: LoadBalancer }
    reconnectWindow: 2m
    replayWindow: 1h
    maxBitrateKbps: 8000
    takeover: Always
  ladder: [{ name: low, height: 360, bitrateKbps: 800 }]
  transcode:
    preset: veryfast
    threads: 4
    redundancy: 2
    resources: { requests: { cpu: '2', memory: 512Mi }, limits: { memory: 1Gi } }
    scheduling:
      nodeSelector: { media: ssd }
      priorityClassName: live
      tolerations: [{ key: media, operator: Exists, effect: NoSchedule }]
  packaging: { segmentDuration: 4s, partDuration: 333ms, dvrWindow: 10m }
";
    let installation = Installation {
        id: "blue".to_owned(),
        workers_namespace: "media".to_owned(),
        ..installation()
    };
    let children = children(&stream(spec), &installation);
    check("full-ingest-deployment.yaml", &[&children.ingest]);
    check("full-ingest-service.yaml", &[&children.ingest_service]);
    check("full-transcode-deployment.yaml", &[&children.transcode]);
}

#[test]
fn a_suspended_stream_has_no_pods() {
    let children = children(&stream("{ broadcaster: acme, suspend: true }"), &installation());
    assert_eq!(children.ingest.spec.unwrap().replicas, Some(0));
    assert_eq!(children.transcode.spec.unwrap().replicas, Some(0));
}

#[test]
fn the_publish_keys_secret_holds_the_key_and_the_one_before_and_reads_back() {
    let key = |text: &str| text.parse().unwrap();
    let keys = StreamKeys(BTreeMap::from([(
        "main".to_owned(),
        NamedKey {
            current: key("aaaaaaaaaaaaaaaa_0000000000000000000000000000000000000000"),
            rotation: 3,
            previous: Some(PreviousKey {
                key: key("bbbbbbbbbbbbbbbb_1111111111111111111111111111111111111111"),
                until: 1_800_000_000,
            }),
        },
    )]));
    let secret = publish_keys_secret::build(&stream("{ broadcaster: acme }"), &keys);
    check("publish-keys-secret.yaml", &[&secret]);
    assert_eq!(publish_keys_secret::read(&secret), keys);
}
