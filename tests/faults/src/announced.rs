//! What Millrace itself says of a fault: counters that move, checks that fail, processes that are
//! started again, events. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Counters that move while all is well, without prefix and `_total`.
const FLOW: [&str; 16] = [
    "parts_published",
    "segments_published",
    "segments_stored",
    "ingest_frames",
    "ingest_bytes",
    "ingest_appended_messages",
    "ingest_key_checks",
    "delivery_requests",
    "delivery_response_bytes",
    "delivery_media_lookups",
    "delivery_playlist_renders",
    "delivery_beacons",
    "delivery_socket_messages",
    "delivery_sockets_closed",
    "delivery_metric_rows_written",
    "delivery_relay_events",
];
/// Of these, the series with such a label say something all the same.
const TELLING: [&str; 3] = ["status=\"4", "status=\"5", "layer=\"store\""];
/// Gauges that are 0 while all is well.
const ALARMS: [&str; 2] = ["breaker_state", "delivery_degraded_streams"];
/// Gauges that only grow.
const GROWING: [&str; 2] = ["fold_dropped_frames", "fold_silent_frames"];

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Announced {
    /// By how much counters moved, and the highest that gauges stood.
    pub(crate) counted: BTreeMap<String, u64>,
    /// `ingest/kafka`, and what was said first.
    pub(crate) health: BTreeMap<String, String>,
    /// Who runs as another process now.
    pub(crate) restarted: BTreeSet<String>,
    /// Types of events, in their order, without those of every segment and viewer.
    pub(crate) events: Vec<String>,
}

impl Announced {
    /// What of `wanted` was not said: names of counters, checks, processes, events.
    pub(crate) fn missing(&self, wanted: &[&str]) -> Vec<String> {
        let is_said = |what: &str| {
            let counter = |name: &String| name.split('{').next() == Some(what);
            self.counted.keys().any(counter)
                || self.health.contains_key(what)
                || self.restarted.contains(what)
                || self.events.iter().any(|event| event == what)
        };
        let missing = wanted.iter().filter(|what| !is_said(what));
        missing.map(|what| format!("not announced: {what}")).collect()
    }
}

impl Announced {
    /// What was said that shows viewers or operators a disturbance: events, and processes that are
    /// others now.
    pub(crate) fn noise(&self) -> Vec<String> {
        let restarted = self.restarted.iter().map(|name| format!("{name} was started again"));
        let events = self.events.iter().map(|event| format!("announced: {event}"));
        restarted.chain(events).collect()
    }

    /// Leaves out the events of every broadcast, its start and its end; tells if they are not there.
    pub(crate) fn take_usual(&mut self) -> Option<String> {
        let is_whole = self.events.first().is_some_and(|event| event == "StreamStarted")
            && self.events.last().is_some_and(|event| event == "StreamEnded");
        if !is_whole {
            return Some(format!("events without start or end: {}", self.events.join(", ")));
        }
        self.events.pop();
        self.events.remove(0);
        None
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.restarted.is_empty() {
            let names: Vec<_> = self.restarted.iter().map(String::as_str).collect();
            parts.push(format!("started again: {}", names.join(", ")));
        }
        parts.extend(self.counted.iter().map(|(name, count)| format!("{name} {count}")));
        parts.extend(self.health.iter().map(|(name, said)| format!("{name}: {said}")));
        if !self.events.is_empty() {
            parts.push(format!("events: {}", self.events.join(", ")));
        }
        if parts.is_empty() {
            parts.push("nothing".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

/// Counters of several processes over time, over restarts too.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By process and series.
    last: BTreeMap<(usize, String), u64>,
    pub(crate) announced: Announced,
}

impl Tally {
    /// Forgets what was said, not how counters stand.
    pub(crate) fn clear(&mut self) {
        self.announced = Announced::default();
    }

    /// Takes a page of metrics of this process.
    pub(crate) fn metrics(&mut self, process: usize, page: &str) {
        for (series, value) in page.lines().filter_map(series) {
            let (name, labels) = series.split_once('{').unwrap_or((&series, ""));
            let sums = &mut self.announced.counted;
            if ALARMS.contains(&name) {
                if value > 0 {
                    let highest = sums.entry(series).or_default();
                    *highest = value.max(*highest);
                }
                continue;
            }
            let grows = GROWING.contains(&name).then_some(name);
            let Some(counter) = name.strip_suffix("_total").or(grows) else { continue };
            if FLOW.contains(&counter) && !TELLING.iter().any(|label| labels.contains(label)) {
                continue;
            }
            let before = self.last.insert((process, series.clone()), value).unwrap_or_default();
            // A process that was started again counts from 0.
            let more = value.checked_sub(before).unwrap_or(value);
            if more > 0 {
                let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}") };
                *sums.entry(format!("{counter}{labels}")).or_default() += more;
            }
        }
    }

    /// Takes an answer of `/health/ready` of the worker of this name.
    pub(crate) fn health(&mut self, worker: &str, answer: &Value) {
        let checks = answer.get("checks").and_then(Value::as_object);
        for (name, check) in checks.into_iter().flatten() {
            if check.get("ok").and_then(Value::as_bool) == Some(false) {
                let detail = check.get("detail").and_then(Value::as_str).unwrap_or_default();
                self.failing(&format!("{worker}/{name}"), detail);
            }
        }
    }

    /// Takes that a check fails, and how it says so.
    pub(crate) fn failing(&mut self, check: &str, detail: &str) {
        // A line of a table has no place for a chain of causes.
        let mut short: String = detail.chars().take(60).collect();
        if short.len() < detail.len() {
            short.push('…');
        }
        self.announced.health.entry(check.to_owned()).or_insert(short);
    }
}

/// A series of ours without its prefix, and its value.
fn series(line: &str) -> Option<(String, u64)> {
    let (series, value) = line.strip_prefix("millrace_")?.rsplit_once(' ')?;
    Some((series.to_owned(), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(restarts: u64, refused: u64) -> String {
        format!(
            "# HELP millrace_transcode_restarts Times\nmillrace_transcode_restarts_total {restarts}\n\
             millrace_parts_published_total 9{restarts}\nmillrace_breaker_state{{use=\"media\"}} 2\n\
             millrace_fold_silent_frames {restarts}\n\
             millrace_delivery_requests_total{{route=\"hls\",status=\"200\"}} 5{restarts}\n\
             millrace_delivery_requests_total{{route=\"hls\",status=\"503\"}} {refused}\n# EOF\n"
        )
    }

    #[test]
    fn counters_are_told_by_how_much_they_moved_over_restarts_too() {
        let mut tally = Tally::default();
        tally.metrics(0, &page(3, 2));
        tally.clear();
        tally.metrics(0, &page(4, 2));
        // Another process in its place.
        tally.metrics(0, &page(0, 1));
        tally.metrics(0, &page(2, 1));
        let counted = &tally.announced.counted;
        assert_eq!(counted["transcode_restarts"], 3);
        assert_eq!(counted["delivery_requests{route=\"hls\",status=\"503\"}"], 1);
        assert_eq!(counted["breaker_state{use=\"media\"}"], 2);
        assert_eq!(counted["fold_silent_frames"], 3);
        assert_eq!(counted.len(), 4, "{counted:?}");
    }

    #[test]
    fn what_is_not_said_is_missed() {
        let mut tally = Tally::default();
        tally.metrics(0, &page(1, 1));
        let checks =
            json!({ "kafka": { "ok": false, "detail": "no broker" }, "x": { "ok": true } });
        tally.health("ingest", &json!({ "ready": false, "checks": checks }));
        tally.announced.restarted.insert("ingest".to_owned());
        tally.announced.events.push("StreamResumed".to_owned());
        let said = &tally.announced;
        let all = ["transcode_restarts", "delivery_requests", "ingest/kafka", "ingest"];
        assert_eq!(said.missing(&all), [""; 0]);
        assert_eq!(
            said.missing(&["StreamResumed", "StreamFailed"]),
            ["not announced: StreamFailed"]
        );
        assert_eq!(said.missing(&["ingest/x"]).len(), 1);
        assert_eq!(said.noise(), ["ingest was started again", "announced: StreamResumed"]);
        assert_eq!(Announced::default().noise(), [""; 0]);
        let text = said.to_string();
        assert!(text.starts_with("started again: ingest; breaker_state"), "{text}");
        assert!(text.ends_with("ingest/kafka: no broker; events: StreamResumed"), "{text}");
        assert_eq!(Announced::default().to_string(), "nothing");
    }

    #[test]
    fn a_start_and_an_end_are_usual_and_missed() {
        let with = |events: &[&str]| Announced {
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            ..Announced::default()
        };
        let mut all = with(&["StreamStarted", "StreamResumed", "StreamEnded"]);
        assert_eq!(all.take_usual(), None);
        assert_eq!(all.events, ["StreamResumed"]);
        let told = with(&["StreamStarted", "StreamFailed"]).take_usual().unwrap();
        assert_eq!(told, "events without start or end: StreamStarted, StreamFailed");
        assert!(with(&["StreamEnded"]).take_usual().is_some());
    }
}
