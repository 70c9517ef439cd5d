//! Every field of the spec does something: a table of all of them, each
//! changed once, with all that becomes different by it.
//!
//! The list of fields is the CRD's own, so a new field without a row fails,
//! and so does a row whose field has no effect, or another one than it says.

#![expect(clippy::unwrap_used, reason = "tests and what helps them")]

use std::collections::{BTreeMap, BTreeSet};

use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::StreamKeys;
use millrace_operator::reconcile::build::{
    Certificate, Circumstances, Installation, Transcoders, children,
};
use millrace_operator::reconcile::endpoints::{ObservedService, endpoints};
use millrace_operator::reconcile::publish_keys::desired;
use millrace_operator::reconcile::validate::{InvalidSpec, validate};
use millrace_operator::reconcile::validated::ValidatedStream;
use millrace_platform::config;
use millrace_platform::kafka::TopicSpec;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// One field: what the spec is before, what is changed, what differs after.
struct Row {
    field: &'static str,
    before: Value,
    /// JSON pointers and values.
    changes: Vec<(&'static str, Value)>,
    /// Names of [`results`], or the field by which the change is refused.
    differs: &'static [&'static str],
}

fn row(field: &'static str, before: Value, value: Value, differs: &'static [&'static str]) -> Row {
    // `ladder[].name` is /ladder/0/name.
    let pointer = format!("/{}", field.replace("[]", "/0").replace('.', "/"));
    Row { field, before, changes: vec![(Box::leak(pointer.into_boxed_str()), value)], differs }
}

fn ingest() -> Vec<Row> {
    let tls = json!({ "secretName": "one" });
    vec![
        Row {
            field: "ingest.protocol",
            before: json!({ "ingest": {} }),
            changes: vec![("/ingest/protocol", json!("RTMPS")), ("/ingest/tls", tls.clone())],
            differs: &["endpoints", "ingest", "ingest service", "rtmps certificate", "secrets"],
        },
        row(
            "ingest.tls.secretName",
            json!({ "ingest": { "protocol": "RTMPS", "tls": tls } }),
            json!("two"),
            &["secrets"],
        ),
        row(
            "ingest.service.type",
            json!({ "ingest": { "service": {} } }),
            json!("NodePort"),
            &["endpoints", "ingest service"],
        ),
        row("ingest.reconnectWindow", json!({ "ingest": {} }), json!("30s"), &["ingest"]),
        row("ingest.replayWindow", json!({ "ingest": {} }), json!("1h"), &["topic", "transcode"]),
        row("ingest.maxBitrateKbps", json!({ "ingest": {} }), json!(8_000), &["ingest"]),
        row("ingest.takeover", json!({ "ingest": {} }), json!("Never"), &["ingest"]),
    ]
}

fn keys_and_ladder() -> Vec<Row> {
    let rotated = || json!({ "keys": [{ "name": "main", "rotation": 1 }] });
    let ladder = || json!({ "ladder": [{ "name": "low", "height": 360, "bitrateKbps": 800 }] });
    vec![
        row("keys[].name", rotated(), json!("other"), &["keys"]),
        row("keys[].rotation", rotated(), json!(0), &["keys"]),
        row("keys[].overlap", rotated(), json!("1h"), &["keys"]),
        row("ladder[].name", ladder(), json!("high"), &["transcode"]),
        row("ladder[].height", ladder(), json!(480), &["transcode"]),
        row("ladder[].bitrateKbps", ladder(), json!(900), &["transcode"]),
    ]
}

fn transcode() -> Vec<Row> {
    let with = |field: &'static str, before: Value, value: Value| {
        row(field, json!({ "transcode": before }), value, &["transcode"])
    };
    let amounts = json!({ "resources": { "requests": {}, "limits": {} } });
    let taint = json!({ "scheduling": { "tolerations": [{ "key": "media" }] } });
    let valued = json!({ "scheduling": { "tolerations": [{ "key": "media", "value": "yes" }] } });
    vec![
        with("transcode.preset", json!({}), json!("slow")),
        with("transcode.tune", json!({}), json!("film")),
        with("transcode.threads", json!({}), json!(4)),
        with("transcode.resources.requests.cpu", amounts.clone(), json!("7")),
        with("transcode.resources.requests.memory", amounts.clone(), json!("7Gi")),
        with("transcode.resources.limits.cpu", amounts.clone(), json!("7")),
        with("transcode.resources.limits.memory", amounts, json!("7Gi")),
        with("transcode.scheduling.nodeSelector", json!({ "scheduling": {} }), json!({ "a": "b" })),
        with("transcode.scheduling.tolerations[].key", taint.clone(), json!("other")),
        with("transcode.scheduling.tolerations[].operator", taint.clone(), json!("Exists")),
        with("transcode.scheduling.tolerations[].value", valued, json!("no")),
        with("transcode.scheduling.tolerations[].effect", taint, json!("NoSchedule")),
        with(
            "transcode.scheduling.priorityClassName",
            json!({ "scheduling": {} }),
            json!("important"),
        ),
        // Nobody publishes in these tests.
        with("transcode.idle", json!({}), json!("ScaleToZero")),
        with("transcode.redundancy", json!({}), json!(2)),
    ]
}

fn packaging_and_playback() -> Vec<Row> {
    let own = || json!({ "playback": { "hostname": "a.example" } });
    let gateway = || {
        let parent = json!({ "name": "one", "namespace": "edge" });
        json!({ "playback": { "hostname": "a.example", "gateway": parent } })
    };
    vec![
        row("packaging.segmentDuration", json!({ "packaging": {} }), json!("4s"), &["transcode"]),
        row("packaging.partDuration", json!({ "packaging": {} }), json!("100ms"), &["transcode"]),
        row("packaging.dvrWindow", json!({ "packaging": {} }), json!("1h"), &["transcode"]),
        row(
            "playback.hostname",
            json!({ "playback": {} }),
            json!("a.example"),
            &["endpoints", "ingress"],
        ),
        row("playback.ingressClassName", own(), json!("public"), &["ingress"]),
        row("playback.gateway.name", gateway(), json!("two"), &["http route"]),
        row("playback.gateway.namespace", gateway(), json!("other"), &["http route"]),
        row("playback.gateway.sectionName", gateway(), json!("https"), &["http route"]),
        row(
            "playback.tls.secretName",
            json!({ "playback": { "hostname": "a.example", "tls": { "secretName": "one" } } }),
            json!("two"),
            &["secrets"],
        ),
        // Refused: showing everybody what was to be shown to some would be
        // worse than nothing.
        row(
            "playback.access",
            json!({ "playback": {} }),
            json!("Token"),
            &["refused: spec.playback.access"],
        ),
    ]
}

fn table() -> Vec<Row> {
    let mut rows = vec![
        row("broadcaster", json!({}), json!("other"), &["outside"]),
        row("suspend", json!({}), json!(true), &["ingest", "ingest budget", "transcode"]),
        row("deletionPolicy", json!({}), json!("Delete"), &["outside"]),
    ];
    rows.extend(ingest());
    rows.extend(keys_and_ladder());
    rows.extend(transcode());
    rows.extend(packaging_and_playback());
    rows
}

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
fn results(spec: &Value) -> Result<BTreeMap<&'static str, Value>, InvalidSpec> {
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
    let observed = ObservedService { node_port: Some(30_123), balancer: None };
    let built = children(&stream, &installation, &seen);
    let topic = TopicSpec::frames(
        &config::Installation::default(),
        &stream.id,
        stream.ingest.replay_window,
        -1,
    );
    let host = stream.playback.host.as_ref();
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
        ("secrets", json!([stream.ingest.tls_secret, host.map(|host| &host.tls_secret)])),
        ("keys", json!(format!("{:?}", keys(&stream)))),
        ("topic", json!(format!("{topic:?}"))),
        // What goes into the rows of keys and of the registry as it is.
        ("outside", json!([stream.broadcaster.as_str(), stream.deletion_policy])),
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

#[test]
fn the_table_has_every_field_of_the_schema() {
    let rows: BTreeSet<_> = table().iter().map(|row| row.field.to_owned()).collect();
    assert_eq!(rows, fields());
}

/// The stream that `local` is tested with has all that one stream can have.
#[test]
fn the_manifest_of_every_field_has_every_field() {
    let text = include_str!("local/every-field.yaml");
    let manifest: Value = serde_yaml::from_str(text).unwrap();
    let absent: Vec<_> = fields()
        .into_iter()
        .filter(|field| {
            let pointer = format!("/spec/{}", field.replace("[]", "/0").replace('.', "/"));
            manifest.pointer(&pointer).is_none()
        })
        .collect();
    let excluded = [
        "ingest.tls.secretName",
        "playback.gateway.name",
        "playback.gateway.namespace",
        "playback.gateway.sectionName",
    ];
    assert_eq!(absent, excluded);
}

fn fields() -> BTreeSet<String> {
    let crd: Value = serde_yaml::from_str(&millrace_operator::crd::yaml().unwrap()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut fields = BTreeSet::new();
    leaves("", schema, &mut fields);
    fields
}

fn leaves(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, child) in properties {
            let dot = if path.is_empty() { "" } else { "." };
            leaves(&format!("{path}{dot}{name}"), child, found);
        }
    } else if schema.get("items").is_some() {
        leaves(&format!("{path}[]"), &schema["items"], found);
    } else {
        found.insert(path.to_owned());
    }
}

#[test]
fn every_field_changes_what_its_row_says_and_nothing_else() {
    for Row { field, mut before, changes, differs } in table() {
        before["broadcaster"] = json!("acme");
        let mut after = before.clone();
        for (pointer, value) in changes {
            set(&mut after, pointer, value);
        }
        let old = results(&before).unwrap_or_else(|error| panic!("{field}: {error}"));
        let found: BTreeSet<String> = match results(&after) {
            Ok(new) => old
                .iter()
                .filter(|(n, was)| new[*n] != **was)
                .map(|(n, _)| (*n).to_owned())
                .collect(),
            Err(error) => BTreeSet::from([format!("refused: {}", error.field)]),
        };
        let told: BTreeSet<String> = differs.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, told, "{field}");
    }
}

fn set(spec: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in the spec"));
    parent[name] = value;
}
