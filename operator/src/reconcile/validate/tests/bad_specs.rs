//! Specs that nobody may have. The unit tests show them to the code, tests/crd shows them to an API
//! server: what one refuses the other has to refuse.

use serde_json::{Value, json};

/// `(spec, the field the error names, a word of the reason)`
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn bad_specs() -> Vec<(Value, &'static str, &'static str)> {
    let with = |section: &str, value: Value| {
        let mut spec = json!({ "broadcaster": "acme" });
        spec[section] = value;
        spec
    };
    let rung = |name: &str, height: u32, kbps: u32| json!({ "name": name, "height": height, "bitrateKbps": kbps });
    vec![
        (json!({ "broadcaster": "" }), "spec.broadcaster", "DNS label"),
        (json!({ "broadcaster": "Acme Inc" }), "spec.broadcaster", "DNS label"),
        (with("ingest", json!({ "protocol": "RTMPS" })), "spec.ingest.tls", "missing"),
        (with("ingest", json!({ "tls": { "secretName": "a" } })), "spec.ingest.tls", "for RTMPS"),
        (
            with("ingest", json!({ "protocol": "RTMPS", "tls": { "secretName": "A b" } })),
            "spec.ingest.tls.secretName",
            "DNS name",
        ),
        (
            with("ingest", json!({ "reconnectWindow": "500ms" })),
            "spec.ingest.reconnectWindow",
            "1s to 1h",
        ),
        (
            with("ingest", json!({ "reconnectWindow": "1500ms" })),
            "spec.ingest.reconnectWindow",
            "whole seconds",
        ),
        (
            with("ingest", json!({ "reconnectWindow": "5m", "replayWindow": "2m" })),
            "spec.ingest.reconnectWindow",
            "longer than replayWindow",
        ),
        (with("ingest", json!({ "replayWindow": "25h" })), "spec.ingest.replayWindow", "1m to 24h"),
        (
            with("ingest", json!({ "maxBitrateKbps": 2_000_000 })),
            "spec.ingest.maxBitrateKbps",
            "1000000",
        ),
        (with("keys", json!([{ "name": "A" }])), "spec.keys[0].name", "DNS label"),
        (with("keys", json!([{ "name": "a" }, { "name": "a" }])), "spec.keys[1].name", "twice"),
        (with("keys", json!([{ "name": "a", "overlap": "48h" }])), "spec.keys[0].overlap", "24h"),
        (
            with("keys", json!([{ "name": "a", "rotation": 2_000_000 }])),
            "spec.keys[0].rotation",
            "1000000",
        ),
        (
            with("keys", (0..17).map(|i| json!({ "name": format!("k{i}") })).collect()),
            "spec.keys",
            "at most 16",
        ),
        (with("ladder", json!([])), "spec.ladder", "1 to 8"),
        (with("ladder", json!([rung("audio", 480, 900)])), "spec.ladder[0].name", "audio group"),
        (with("ladder", json!([rung("4 80", 480, 900)])), "spec.ladder[0].name", "rendition name"),
        (with("ladder", json!([rung("a", 481, 900)])), "spec.ladder[0].height", "even"),
        (with("ladder", json!([rung("a", 100, 900)])), "spec.ladder[0].height", "144"),
        (with("ladder", json!([rung("a", 480, 9)])), "spec.ladder[0].bitrateKbps", "100"),
        (
            with("ladder", json!([rung("a", 480, 900), rung("a", 720, 900)])),
            "spec.ladder[1].name",
            "twice",
        ),
        (
            with("ladder", json!([rung("a", 480, 900), rung("b", 480, 900)])),
            "spec.ladder[1].height",
            "twice",
        ),
        (with("transcode", json!({ "threads": 0 })), "spec.transcode.threads", "1 to 64"),
        (with("transcode", json!({ "redundancy": 3 })), "spec.transcode.redundancy", "1 to 2"),
        (
            with("transcode", json!({ "resources": { "limits": { "cpu": "two" } } })),
            "spec.transcode.resources.limits.cpu",
            "cores",
        ),
        (
            with("transcode", json!({ "resources": { "requests": { "memory": "Gi" } } })),
            "spec.transcode.resources.requests.memory",
            "bytes",
        ),
        (
            with("transcode", json!({ "resources": { "requests": { "memory": "9999999999Ti" } } })),
            "spec.transcode.resources.requests.memory",
            "bytes",
        ),
        (
            with(
                "transcode",
                json!({ "resources": { "requests": { "cpu": "1.5" }, "limits": { "cpu": "1400m" } } }),
            ),
            "spec.transcode.resources.requests.cpu",
            "above the limit",
        ),
        (
            with(
                "transcode",
                json!({ "resources": { "requests": { "memory": "1Gi" }, "limits": { "memory": "1G" } } }),
            ),
            "spec.transcode.resources.requests.memory",
            "above the limit",
        ),
        (
            with("transcode", json!({ "scheduling": { "nodeSelector": { "a b": "c" } } })),
            "spec.transcode.scheduling.nodeSelector[a b]",
            "key of a label",
        ),
        (
            with("transcode", json!({ "scheduling": { "nodeSelector": { "a": "-c" } } })),
            "spec.transcode.scheduling.nodeSelector[a]",
            "value of a label",
        ),
        (
            with("transcode", json!({ "scheduling": { "tolerations": [{ "value": "a" }] } })),
            "spec.transcode.scheduling.tolerations[0].key",
            "missing",
        ),
        (
            with(
                "transcode",
                json!({ "scheduling": { "tolerations": [{ "key": "a.b/c/d", "operator": "Exists" }] } }),
            ),
            "spec.transcode.scheduling.tolerations[0].key",
            "key of a label",
        ),
        (
            with(
                "transcode",
                json!({ "scheduling": { "tolerations": [
                    { "key": "a", "operator": "Exists", "value": "b" },
                ] } }),
            ),
            "spec.transcode.scheduling.tolerations[0].value",
            "Equal",
        ),
        (
            with("transcode", json!({ "scheduling": { "priorityClassName": "A_b" } })),
            "spec.transcode.scheduling.priorityClassName",
            "DNS name",
        ),
        (
            with("packaging", json!({ "segmentDuration": "20s" })),
            "spec.packaging.segmentDuration",
            "10s",
        ),
        (
            with("packaging", json!({ "partDuration": "10ms" })),
            "spec.packaging.partDuration",
            "100ms",
        ),
        (
            with("packaging", json!({ "segmentDuration": "1s", "partDuration": "1s" })),
            "spec.packaging.partDuration",
            "not shorter",
        ),
        (
            with("packaging", json!({ "segmentDuration": "10s", "dvrWindow": "20s" })),
            "spec.packaging.dvrWindow",
            "three segments",
        ),
        (
            with("packaging", json!({ "dvrWindow": "13h" })),
            "spec.packaging.dvrWindow",
            "10s to 12h",
        ),
        (
            with("packaging", json!({ "dvrWindow": "10500ms" })),
            "spec.packaging.dvrWindow",
            "whole seconds",
        ),
        (with("playback", json!({ "hostname": "no_good" })), "spec.playback.hostname", "DNS name"),
        (with("playback", json!({ "hostname": "10.0.0.1" })), "spec.playback.hostname", "address"),
        (
            with("playback", json!({ "ingressClassName": "nginx" })),
            "spec.playback.hostname",
            "missing",
        ),
        (
            with(
                "playback",
                json!({
                    "hostname": "a.example", "ingressClassName": "nginx",
                    "gateway": { "name": "g", "namespace": "n" },
                }),
            ),
            "spec.playback.gateway",
            "excludes",
        ),
        (
            with(
                "playback",
                json!({
                    "hostname": "a.example", "tls": { "secretName": "a" },
                    "gateway": { "name": "g", "namespace": "n" },
                }),
            ),
            "spec.playback.tls",
            "listener",
        ),
    ]
}
