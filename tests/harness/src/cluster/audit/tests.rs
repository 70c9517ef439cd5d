//! Which rights a log makes use of.

use serde_json::json;

use super::*;

fn rules() -> Vec<PolicyRule> {
    serde_json::from_value(json!([
        { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "patch"] },
        { "apiGroups": [""], "resources": ["secrets", "services"], "verbs": ["get"] },
        { "apiGroups": ["millrace.dev"], "resources": ["livestreams/status"], "verbs": ["patch"] },
        { "apiGroups": ["millrace.dev"], "resources": ["livestreams/finalizers"], "verbs": ["update"] },
    ]))
    .unwrap()
}

fn event(verb: &str, group: &str, resource: &str, subresource: &str, code: u16) -> Event {
    serde_json::from_value(json!({
        "stage": "ResponseComplete",
        "verb": verb,
        "requestURI": "/",
        "user": { "username": "operator" },
        "objectRef": { "apiGroup": group, "resource": resource, "subresource": subresource },
        "responseStatus": { "code": code },
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "stageTimestamp": "2026-01-01T00:00:01.500000Z",
    }))
    .unwrap()
}

fn left(events: &[Event]) -> Vec<String> {
    unused(&rules(), events).iter().map(Grant::to_string).collect()
}

#[test]
fn without_a_request_every_right_is_left_but_the_one_that_admission_asks() {
    assert_eq!(
        left(&[]),
        [
            "create deployments.apps",
            "get secrets",
            "get services",
            "patch deployments.apps",
            "patch livestreams/status.millrace.dev",
        ]
    );
}

#[test]
fn each_resource_of_a_rule_has_to_be_used() {
    let left = left(&[event("get", "", "secrets", "", 404)]);
    assert!(!left.contains(&"get secrets".to_owned()));
    assert!(left.contains(&"get services".to_owned()));
}

#[test]
fn a_subresource_is_a_right_of_its_own() {
    let left = left(&[event("patch", "millrace.dev", "livestreams", "", 200)]);
    assert!(left.contains(&"patch livestreams/status.millrace.dev".to_owned()));
}

#[test]
fn an_apply_that_creates_uses_both_rights_and_one_that_changes_only_its_own() {
    let changed = left(&[event("patch", "apps", "deployments", "", 200)]);
    assert!(changed.contains(&"create deployments.apps".to_owned()));
    let created = left(&[event("patch", "apps", "deployments", "", 201)]);
    assert!(!created.iter().any(|grant| grant.ends_with("deployments.apps")), "{created:?}");
}

#[test]
fn a_refused_request_uses_nothing() {
    let refused = event("get", "", "secrets", "", 403);
    assert!(refused.is_forbidden());
    assert!(left(&[refused]).contains(&"get secrets".to_owned()));
}

#[test]
fn the_same_name_in_another_group_is_another_right() {
    let left = left(&[event("patch", "extensions", "deployments", "", 201)]);
    assert!(left.contains(&"patch deployments.apps".to_owned()));
}

#[test]
fn a_span_is_from_the_first_question_to_the_last_answer() {
    let mut events = [event("get", "", "pods", "", 200), event("get", "", "pods", "", 200)];
    assert_eq!(span(events.iter()), Duration::from_millis(1_500));
    events[1].received = "2025-12-31T23:59:58Z".parse().unwrap();
    assert_eq!(span(events.iter()), Duration::from_millis(3_500));
    assert_eq!(span([].iter()), Duration::ZERO);
}
