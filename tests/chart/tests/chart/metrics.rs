//! Alerts and dashboard ask for metrics that there are.

use std::collections::BTreeSet;
use std::path::Path;

use millrace_chart::helm::{chart, root};

/// Every `millrace_…` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c));
    words.filter(|word| word.starts_with("millrace_")).map(str::to_owned).collect()
}

/// All Rust sources below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Whether a program registers it: its name is a text in the sources, whole or
/// behind the prefix of a part.
fn is_registered(metric: &str, sources: &str) -> bool {
    let metric = metric.trim_start_matches("millrace_");
    let metric = metric.trim_end_matches("_total");
    let prefixes = ["delivery_relay_", "delivery_", "ingest_", "operator_", ""];
    let mut endings = prefixes.iter().filter_map(|prefix| metric.strip_prefix(prefix));
    endings.any(|name| {
        sources.contains(&format!("\"{name}\""))
            || name
                .strip_suffix("_seconds")
                .is_some_and(|name| sources.contains(&format!("\"{name}\"")))
    })
}

#[test]
fn every_metric_of_an_alert_or_a_panel_is_registered_by_a_program() {
    let mut code = String::new();
    for folder in [
        "operator/src",
        "workers/platform/src",
        "workers/ingest/src",
        "workers/transcode/src",
        "workers/delivery/src",
    ] {
        sources(&root().join(folder), &mut code);
    }
    let mut asked = BTreeSet::new();
    for file in ["rules.yaml", "dashboard.json"] {
        let path = chart().join("files/monitoring").join(file);
        asked.extend(names(&std::fs::read_to_string(path).unwrap()));
    }
    // What scales delivery.
    asked.insert("millrace_delivery_connections".to_owned());
    assert!(asked.len() > 15);
    let unknown: Vec<_> = asked.iter().filter(|name| !is_registered(name, &code)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!is_registered("millrace_delivery_no_such_thing", &code));
}
