//! What is refused, by which field, and what the defaults become.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use bad_specs::bad_specs;

mod bad_specs;

fn stream(spec: &Value) -> LiveStream {
    serde_json::from_value(json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "metadata": {
            "name": "keynote",
            "namespace": "events",
            "uid": "6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11",
        },
        "spec": spec,
    }))
    .unwrap()
}

/// The stream `keynote` of a spec that lacks nothing but its broadcaster.
pub(in crate::reconcile) fn valid(mut spec: Value) -> ValidatedStream {
    spec["broadcaster"] = json!("acme");
    validate(&stream(&spec)).unwrap()
}

#[test]
fn a_broadcaster_is_all_a_spec_needs() {
    let valid = validate(&stream(&json!({ "broadcaster": "acme" }))).unwrap();
    assert_eq!(valid.id.as_str(), "events.keynote");
    assert_eq!(valid.ingest.reconnect_window, Duration::from_mins(1));
    assert_eq!(valid.ingest.replay_window, Duration::from_mins(15));
    assert_eq!(valid.packaging.segment_duration, Duration::from_secs(2));
    assert_eq!(valid.packaging.part_duration, Duration::from_millis(200));
    assert_eq!(valid.ladder, millrace_media::ladder::default_ladder());
    assert_eq!(valid.keys.len(), 1);
}

#[test]
fn the_ladder_is_sorted_lowest_first() {
    let valid = validate(&stream(&json!({ "broadcaster": "acme", "ladder": [
        { "name": "hi", "height": 720, "bitrateKbps": 3000 },
        { "name": "lo", "height": 360, "bitrateKbps": 800 },
    ]})))
    .unwrap();
    assert_eq!(valid.ladder.iter().map(|r| r.height).collect::<Vec<_>>(), [360, 720]);
}

#[test]
fn a_bad_spec_is_refused_by_the_name_of_its_field() {
    for (spec, field, word) in bad_specs() {
        let error = validate(&stream(&spec)).expect_err(field);
        assert_eq!(error.field, field, "{spec} {error}");
        assert!(error.why.contains(word), "{error}");
    }
}

#[test]
fn a_name_that_children_could_not_carry_is_refused() {
    for name in ["a".repeat(41), "a.b".to_owned(), "-a".to_owned(), String::new()] {
        let mut stream = stream(&json!({ "broadcaster": "acme" }));
        stream.metadata.name = Some(name);
        assert_eq!(validate(&stream).unwrap_err().field, "metadata.name");
    }
}
