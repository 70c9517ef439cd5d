//! The table: a row for each field.

use serde_json::{Value, json};

/// One field: what the spec is before, what is changed, what differs after.
pub(crate) struct Row {
    pub(crate) field: &'static str,
    pub(crate) before: Value,
    /// JSON pointers and values.
    pub(crate) changes: Vec<(&'static str, Value)>,
    /// Names of the results, or the field by which the change is refused.
    pub(crate) differs: &'static [&'static str],
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
        row("playback.access", json!({ "playback": {} }), json!("Token"), &["transcode"]),
    ]
}

pub(crate) fn table() -> Vec<Row> {
    let mut rows = vec![
        row("broadcaster", json!({}), json!("other"), &["registration"]),
        row("suspend", json!({}), json!(true), &["ingest", "ingest budget", "transcode"]),
        row("deletionPolicy", json!({}), json!("Delete"), &["registration"]),
    ];
    rows.extend(ingest());
    rows.extend(keys_and_ladder());
    rows.extend(transcode());
    rows.extend(packaging_and_playback());
    rows
}
