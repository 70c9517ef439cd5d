//! Every bad spec is refused by a message that names the field, every good one is taken, and the
//! API server fills in what the code thinks.

use std::collections::BTreeSet;

use millrace_operator::api::LiveStreamSpec;
use serde_json::{Value, json};

use super::specs::bad_specs;
use super::support::{ask, cluster, stream, streams};

/// The last name in a path: `height` of `spec.ladder[1].height`.
fn last_name(field: &str) -> &str {
    let outside = field.split('[').collect::<Vec<_>>();
    let path = if field.ends_with(']') { outside[0] } else { field };
    path.rsplit('.').next().unwrap()
}

/// Whether a refusal is of this field, or of what it is in and names it.
fn names(message: &str, field: &str) -> bool {
    let ends = field.match_indices(['.', '[']).map(|(at, _)| at).chain([field.len()]);
    let paths = ends.filter_map(|end| field.get(..end)).filter(|path| *path != "spec");
    // A map's entry is `map[key]` to us and `map.key` to the API server.
    let mut both =
        paths.flat_map(|path| [path.to_owned(), path.replace('[', ".").replace(']', "")]);
    let is_of = both.any(|path| message.contains(&format!("{path}: ")));
    is_of && message.contains(last_name(field))
}

/// The messages of all rules in the CRD.
fn rules(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("x-kubernetes-validations").and_then(Value::as_array);
            let messages = own.into_iter().flatten().filter_map(|rule| rule["message"].as_str());
            found.extend(messages.map(str::to_owned));
            fields.values().for_each(|child| rules(child, found));
        }
        Value::Array(items) => items.iter().for_each(|child| rules(child, found)),
        _ => {}
    }
}

#[tokio::test]
async fn what_the_code_refuses_the_api_server_refuses_by_the_name_of_the_field() {
    let Some(cluster) = cluster().await else { return };
    let api = streams(cluster.client(), "default");
    let (mut wrong, mut untried) = (Vec::new(), BTreeSet::new());
    let crd = serde_yaml::from_str(&millrace_operator::crd::yaml().unwrap()).unwrap();
    rules(&crd, &mut untried);
    for (spec, field, _) in bad_specs() {
        match ask(&api, "bad", &spec).await {
            Ok(_) => wrong.push(format!("accepted: {spec}")),
            Err(message) => {
                untried.retain(|rule| !message.contains(rule.as_str()));
                if !names(&message, field) {
                    wrong.push(format!("does not name {field}: {message}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // That of the name has a test of its own.
    untried.retain(|rule| !rule.starts_with("metadata.name"));
    assert!(untried.is_empty(), "no bad spec breaks {untried:#?}");
}

/// What cannot even be read into the types.
#[tokio::test]
async fn what_is_no_spec_at_all_is_refused_by_the_name_of_the_field() {
    let Some(cluster) = cluster().await else { return };
    let api = streams(cluster.client(), "default");
    let with = |section: &str, value: Value| json!({ "broadcaster": "acme", section: value });
    let long = "a".repeat(400);
    let table = [
        (json!({}), "spec.broadcaster"),
        (json!({ "broadcaster": 7 }), "spec.broadcaster"),
        (json!({ "broadcaster": "a".repeat(64) }), "spec.broadcaster"),
        (with("ingest", json!({ "protocol": "SRT" })), "spec.ingest.protocol"),
        (
            with("ingest", json!({ "service": { "type": "ExternalName" } })),
            "spec.ingest.service.type",
        ),
        (with("ingest", json!({ "takeover": "Sometimes" })), "spec.ingest.takeover"),
        (with("ingest", json!({ "reconnectWindow": "1h30m" })), "spec.ingest.reconnectWindow"),
        (with("ingest", json!({ "replayWindow": 900 })), "spec.ingest.replayWindow"),
        (with("ingest", json!({ "maxBitrateKbps": -1 })), "spec.ingest.maxBitrateKbps"),
        (with("ingest", json!({ "maxBitrateKbps": "6000" })), "spec.ingest.maxBitrateKbps"),
        (with("ingest", json!({ "tls": {} })), "spec.ingest.tls.secretName"),
        (with("keys", json!([{ "rotation": 1 }])), "spec.keys[0].name"),
        (with("keys", json!([{ "name": "a", "rotation": -1 }])), "spec.keys[0].rotation"),
        (with("keys", json!([{ "name": "a".repeat(33) }])), "spec.keys[0].name"),
        (with("ladder", json!([{ "name": "a", "height": 480 }])), "spec.ladder[0].bitrateKbps"),
        (with("transcode", json!({ "preset": "placebo" })), "spec.transcode.preset"),
        (with("transcode", json!({ "tune": "psnr" })), "spec.transcode.tune"),
        (with("transcode", json!({ "idle": "Never" })), "spec.transcode.idle"),
        (
            with("transcode", json!({ "scheduling": { "tolerations": [{ "effect": "Sit" }] } })),
            "spec.transcode.scheduling.tolerations[0].effect",
        ),
        (
            with("transcode", json!({ "scheduling": { "tolerations": [{ "key": long }] } })),
            "spec.transcode.scheduling.tolerations[0].key",
        ),
        (
            with("transcode", json!({ "scheduling": { "nodeSelector": { "a": long } } })),
            "spec.transcode.scheduling.nodeSelector.a",
        ),
        (with("packaging", json!({ "dvrWindow": "forever" })), "spec.packaging.dvrWindow"),
        (with("playback", json!({ "access": "Private" })), "spec.playback.access"),
        (
            with("playback", json!({ "hostname": "a", "gateway": { "name": "g" } })),
            "spec.playback.gateway.namespace",
        ),
        (with("suspend", json!("yes")), "spec.suspend"),
        (with("deletionPolicy", json!("Orphan")), "spec.deletionPolicy"),
    ];
    for (spec, field) in table {
        let message = ask(&api, "bad", &spec).await.expect_err(field);
        assert!(message.contains(field), "{field}: {message}");
    }
}

#[tokio::test]
async fn a_name_that_children_could_not_carry_is_refused() {
    let Some(cluster) = cluster().await else { return };
    let api = streams(cluster.client(), "default");
    let spec = json!({ "broadcaster": "acme" });
    let long = "a".repeat(41);
    for name in [long.as_str(), "a.b", "-a", "A", "2026-keynote"] {
        let message = ask(&api, name, &spec).await.expect_err(name);
        assert!(message.contains("metadata.name"), "{message}");
    }
    ask(&api, &"a".repeat(40), &spec).await.unwrap();
}

/// Each value that a field can have, each bound, and everything at once.
fn good_specs() -> Vec<Value> {
    let mut specs = vec![
        json!({}),
        json!({ "ingest": {}, "transcode": {}, "packaging": {}, "playback": {} }),
        json!({ "ingest": { "service": {} }, "transcode": { "resources": {}, "scheduling": {} } }),
        json!({ "keys": [] }),
        json!({ "keys": [{ "name": "a" }, { "name": "b", "rotation": 1_000_000, "overlap": "0s" }] }),
        json!({ "ladder": [{ "name": "a", "height": 144, "bitrateKbps": 100 }] }),
        json!({ "ladder": (0..8).map(|i| json!({
            "name": format!("r{i}"), "height": 2_146 + 2 * i, "bitrateKbps": 50_000,
        })).collect::<Vec<_>>() }),
        json!({ "ingest": { "reconnectWindow": "1s", "replayWindow": "1m", "maxBitrateKbps": 1_000_000 } }),
        json!({ "ingest": { "reconnectWindow": "1h", "replayWindow": "24h" } }),
        json!({ "ingest": { "reconnectWindow": "2000ms", "replayWindow": "60000ms" } }),
        json!({ "packaging": { "segmentDuration": "1s", "partDuration": "100ms", "dvrWindow": "10s" } }),
        json!({ "packaging": { "segmentDuration": "10s", "partDuration": "1s", "dvrWindow": "12h" } }),
        json!({ "packaging": { "segmentDuration": "4s", "dvrWindow": "12s" } }),
        json!({ "transcode": { "threads": 64, "redundancy": 2 } }),
        json!({ "transcode": { "resources": {
            "requests": { "cpu": "500m", "memory": "512Mi" }, "limits": { "cpu": "1.5", "memory": "2G" },
        } } }),
        json!({ "transcode": { "scheduling": {
            "nodeSelector": { "example.com/pool": "video" },
            "priorityClassName": "live",
            "tolerations": [
                { "operator": "Exists" },
                { "key": "a", "value": "b", "effect": "NoSchedule" },
                { "key": "a", "operator": "Exists", "effect": "PreferNoSchedule" },
                { "key": "a", "operator": "Equal", "value": "c", "effect": "NoExecute" },
            ],
        } } }),
        json!({ "ingest": { "protocol": "RTMPS", "tls": { "secretName": "a.b" } } }),
        json!({ "playback": { "hostname": "live.example", "ingressClassName": "nginx", "tls": { "secretName": "a" } } }),
        json!({ "playback": { "hostname": "live.example", "gateway": {
            "name": "g", "namespace": "n", "sectionName": "https",
        } } }),
        json!({ "suspend": true, "deletionPolicy": "Delete" }),
    ];
    for (section, field, values) in [
        ("ingest", "takeover", &["IfSilent", "Always", "Never"][..]),
        (
            "transcode",
            "preset",
            &["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"],
        ),
        ("transcode", "tune", &["zerolatency", "film", "animation"]),
        ("transcode", "idle", &["AlwaysOn", "ScaleToZero"]),
        ("playback", "access", &["Public", "Token"]),
    ] {
        specs.extend(values.iter().map(|value| json!({ section: { field: value } })));
    }
    for service in ["ClusterIP", "NodePort", "LoadBalancer"] {
        specs.push(json!({ "ingest": { "service": { "type": service } } }));
    }
    for spec in &mut specs {
        spec["broadcaster"] = json!("acme");
    }
    specs
}

/// Equal as JSON: what either of them adds, leaves out or writes otherwise is seen.
#[tokio::test]
async fn a_good_spec_is_stored_as_the_code_would_write_it() {
    let Some(cluster) = cluster().await else { return };
    let api = streams(cluster.client(), "default");
    for spec in good_specs() {
        let stored = ask(&api, "good", &spec).await.unwrap_or_else(|why| panic!("{spec}: {why}"));
        let read: LiveStreamSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(stored, serde_json::to_value(&read).unwrap(), "{spec}");
    }
}

#[test]
fn every_value_of_every_enum_is_among_the_good_specs() {
    let crd: Value = serde_yaml::from_str(&millrace_operator::crd::yaml().unwrap()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut values = Vec::new();
    enum_values(schema, &mut values);
    assert!(values.len() > 20, "{values:?}");
    let mut texts = good_specs().iter().map(Value::to_string).collect::<Vec<_>>();
    let defaults: LiveStreamSpec =
        serde_json::from_value(json!({ "broadcaster": "acme" })).unwrap();
    texts.push(serde_json::to_string(&defaults).unwrap());
    for value in values.iter().filter(|value| *value != "Token") {
        let quoted = format!("\"{value}\"");
        assert!(texts.iter().any(|text| text.contains(&quoted)), "{value} is in no good spec");
    }
}

fn enum_values(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
            found.extend(own.filter_map(|value| value.as_str().map(str::to_owned)));
            fields.values().for_each(|child| enum_values(child, found));
        }
        Value::Array(items) => items.iter().for_each(|child| enum_values(child, found)),
        _ => {}
    }
}

#[tokio::test]
async fn an_unknown_field_is_pruned_and_refused_by_who_asks_for_that() {
    let Some(cluster) = cluster().await else { return };
    let namespace = cluster.namespace("unknown").await.unwrap();
    let api = streams(cluster.client(), namespace.name());
    let spec = json!({ "broadcaster": "acme", "ingets": {}, "ingest": { "windows": 1 } });
    let stored = ask(&api, "typo", &spec).await.unwrap();
    assert!(
        stored.get("ingets").is_none() && stored["ingest"].get("windows").is_none(),
        "{stored}"
    );

    // kubectl asks for it.
    let file = tempfile::NamedTempFile::new().unwrap();
    let manifest = stream("typo", &spec);
    std::fs::write(file.path(), serde_json::to_string(&manifest).unwrap()).unwrap();
    let path = file.path().to_str().unwrap();
    let error = cluster.kubectl(&["-n", namespace.name(), "create", "-f", path]).await.unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("spec.ingets") && message.contains("spec.ingest.windows"),
        "{message}"
    );
}
