//! All that follows from a spec: what is built of it, and what is made of it
//! outside.

use std::collections::BTreeMap;

use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::StreamKeys;
use millrace_operator::reconcile::build::{
    Certificate, Circumstances, Installation, Transcoders, children,
};
use millrace_operator::reconcile::dereference::secrets;
use millrace_operator::reconcile::endpoints::{ObservedService, endpoints};
use millrace_operator::reconcile::external::registry::registration;
use millrace_operator::reconcile::publish_keys::desired;
use millrace_operator::reconcile::validate::{InvalidSpec, validate};
use millrace_operator::reconcile::validated::ValidatedStream;
use millrace_platform::config;
use millrace_platform::kafka::TopicSpec;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

fn validated(spec: &Value) -> Result<ValidatedStream, InvalidSpec> {
    let stream: LiveStream = serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "metadata": { "name": "keynote", "namespace": "events", "uid": "u" },
        "spec": spec,
    }))
    .unwrap();
    validate(&stream)
}

/// All that follows from a spec, by name.
pub(crate) fn results(spec: &Value) -> Result<BTreeMap<&'static str, Value>, InvalidSpec> {
    let stream = validated(spec)?;
    let certificate = Some(Certificate { chain: b"chain".to_vec(), key: b"key".to_vec() });
    let seen = Circumstances {
        transcoders: Transcoders::Asleep,
        rtmps_certificate: certificate.clone(),
        playback_certificate: certificate,
        ..Circumstances::default()
    };
    let installation = Installation {
        external_host: Some("nodes.example".to_owned()),
        public_url: Some("https://video.example".to_owned()),
        ..Installation::default()
    };
    let observed = ObservedService { node_port: Some(30_123), ..ObservedService::default() };
    let built = children(&stream, &installation, &seen);
    let topic = TopicSpec::frames(
        &config::Installation::default(),
        &stream.id,
        stream.ingest.replay_window,
        -1,
    );
    Ok(BTreeMap::from([
        ("ingest", json!(built.ingest)),
        ("ingest service", json!(built.ingest_service)),
        ("ingest budget", json!(built.ingest_budget)),
        ("transcode", json!(built.transcode)),
        ("local name", json!(built.local_name)),
        ("rtmps certificate", json!(built.rtmps_certificate)),
        ("playback certificate", json!(built.playback_certificate)),
        ("ingress", json!(built.ingress)),
        ("http route", json!(built.http_route)),
        ("endpoints", json!(endpoints(&stream, &installation, &seen, &observed))),
        // What is read of the stream's namespace.
        ("secrets", json!(secrets(&stream))),
        ("keys", json!(format!("{:?}", keys(&stream)))),
        ("topic", json!(format!("{topic:?}"))),
        // The row that leads to what is outside; tests/external look at those of keys.
        ("registration", json!(format!("{:?}", registration(&stream)))),
    ]))
}

/// The keys of a stream that had `main` before its first rotation.
fn keys(stream: &ValidatedStream) -> Vec<(String, u32, String, Option<i64>)> {
    let main = validated(&json!({ "broadcaster": "acme" })).unwrap().keys;
    let mut rng = StdRng::seed_from_u64(1);
    let held = desired(&main, &StreamKeys::default(), 0, &mut rng).unwrap();
    let keys = desired(&stream.keys, &held, 0, &mut rng).unwrap();
    keys.0
        .into_iter()
        .map(|(name, key)| {
            let until = key.previous.map(|previous| previous.until);
            (name, key.rotation, key.current.reveal(), until)
        })
        .collect()
}
