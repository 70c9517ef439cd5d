//! What the schemas of several sections share: CEL rules and the extensions
//! of Kubernetes.

use serde_json::{Value, json};

/// Upper bound of the name of anything in Kubernetes that is a DNS label.
pub const LABEL_LENGTH: u32 = 63;
/// Upper bound of the name of anything in Kubernetes that is a DNS subdomain.
pub const SUBDOMAIN_LENGTH: u32 = 253;
/// A DNS label (RFC 1123).
pub const LABEL_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A DNS subdomain (RFC 1123).
pub const SUBDOMAIN_PATTERN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The key of a label or taint, or nothing.
pub const KEY_PATTERN: &str = r"^(([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
/// The value of a label or taint; may be empty.
pub const VALUE_PATTERN: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// The value of `x-kubernetes-validations`: `(rule, message)` pairs.
pub fn rules(rules: &[(&str, &str)]) -> Value {
    rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })).collect()
}

/// One rule for a [`Duration`](super::duration::Duration) within bounds.
pub fn duration_between(min: &str, max: &str) -> Value {
    rules(&[(&between(min, max), &format!("must be between {min} and {max}"))])
}

/// The same, and it has to be whole seconds.
pub fn seconds_between(min: &str, max: &str) -> Value {
    rules(&[
        (&between(min, max), &format!("must be between {min} and {max}")),
        ("duration(self).getMilliseconds() % 1000 == 0", "must be whole seconds"),
    ])
}

fn between(min: &str, max: &str) -> String {
    format!("duration(self) >= duration('{min}') && duration(self) <= duration('{max}')")
}
