//! The table of docs/resources.md, and what the spec changes of it.

use serde_json::{Value, json};

use super::*;
use crate::reconcile::validate::validate;

fn built(ladder: &[u32], transcode: &Value) -> ResourceRequirements {
    let rung = |height: &u32| json!({ "name": format!("{height}p"), "height": height, "bitrateKbps": 3_000 });
    let stream = json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "metadata": { "name": "keynote", "namespace": "events", "uid": "u" },
        "spec": {
            "broadcaster": "acme",
            "ladder": ladder.iter().map(rung).collect::<Vec<_>>(),
            "transcode": transcode,
        },
    });
    let stream = validate(&serde_json::from_value(stream).unwrap()).unwrap();
    super::transcode(&stream, false)
}

/// `cpu memory` of a map.
fn shown(amounts: Option<&BTreeMap<String, Quantity>>) -> String {
    let one = |name: &str| amounts.and_then(|map| map.get(name)).map_or("-", |q| q.0.as_str());
    format!("{} {}", one("cpu"), one("memory"))
}

/// The rows of a table in docs/resources.md, by their first cell.
fn row(name: &str) -> Vec<String> {
    let page = include_str!("../../../../../docs/resources.md");
    let start = format!("| `{name}` |");
    let line = page.lines().find(|line| line.starts_with(&start)).unwrap();
    line.split('|').skip(2).map(|cell| cell.trim().to_owned()).take(4).collect()
}

#[test]
fn the_page_has_what_pods_get() {
    let presets = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"];
    for preset in presets {
        let cell = |ladder: &[u32], tune: &str| {
            let built = built(ladder, &json!({ "preset": preset, "tune": tune }));
            let requests = shown(built.requests.as_ref());
            let (_, memory) = requests.split_once(' ').unwrap();
            assert_eq!(shown(built.limits.as_ref()), format!("- {memory}"), "{preset}");
            requests
        };
        let cells = vec![
            cell(&[480, 720], "zerolatency"),
            cell(&[480, 720, 1080], "zerolatency"),
            cell(&[480, 720], "film"),
            cell(&[480, 720, 1080], "film"),
        ];
        assert_eq!(row(preset), cells, "{preset}");
    }
}

#[test]
fn what_the_spec_says_is_taken_and_the_rest_follows() {
    let cases = [
        (json!({}), "1400m 448Mi", "- 448Mi"),
        (json!({ "requests": { "cpu": "0.5" } }), "500m 448Mi", "- 448Mi"),
        (json!({ "limits": { "cpu": "4" } }), "1400m 448Mi", "4 448Mi"),
        // Not more than may be used.
        (json!({ "limits": { "cpu": "1" } }), "1 448Mi", "1 448Mi"),
        (json!({ "limits": { "memory": "256Mi" } }), "1400m 256Mi", "- 256Mi"),
        // Room for what is asked for.
        (json!({ "requests": { "memory": "1024Mi" } }), "1400m 1Gi", "- 1Gi"),
        (json!({ "limits": { "memory": "2Gi" } }), "1400m 448Mi", "- 2Gi"),
        (json!({ "requests": { "memory": "100M" } }), "1400m 100M", "- 448Mi"),
    ];
    for (resources, requests, limits) in cases {
        let built = built(&[480, 720], &json!({ "resources": resources }));
        assert_eq!(shown(built.requests.as_ref()), requests, "{resources}");
        assert_eq!(shown(built.limits.as_ref()), limits, "{resources}");
    }
}

#[test]
fn threads_need_memory_and_no_cpu() {
    let amounts = |threads: u32, tune: &str| {
        let built = built(&[480, 720], &json!({ "threads": threads, "tune": tune }));
        shown(built.requests.as_ref())
    };
    assert_eq!(amounts(1, "zerolatency"), "1400m 448Mi");
    assert_eq!(amounts(16, "zerolatency"), "1400m 448Mi");
    assert_eq!(amounts(64, "zerolatency"), "1400m 576Mi");
    assert_eq!(amounts(16, "film"), "1650m 768Mi");
}

#[test]
fn a_transcoder_that_only_packages_needs_little() {
    let stream = json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "metadata": { "name": "keynote", "namespace": "events", "uid": "u" },
        "spec": { "broadcaster": "acme" },
    });
    let stream = validate(&serde_json::from_value(stream).unwrap()).unwrap();
    let built = super::transcode(&stream, true);
    assert_eq!(shown(built.requests.as_ref()), "100m 256Mi");
}

#[test]
fn the_largest_ladder_has_a_figure() {
    let heights = [720, 1080, 1440, 1600, 1800, 2000, 2100, 2160];
    let built = built(&heights, &json!({ "preset": "slow", "tune": "animation" }));
    assert_eq!(shown(built.requests.as_ref()), "113400m 11392Mi");
}
