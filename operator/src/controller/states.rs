//! Metrics of what LiveStreams say of themselves, counted when they are asked
//! for: a spec that nobody can meet fails no reconcile, and would be seen by
//! nobody who looks at errors alone.

use std::collections::BTreeMap;
use std::fmt;

use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::api::LiveStream;
use crate::api::status::{ConditionStatus, Phase};
use crate::reconcile::status::table::TABLE;

/// Counts the streams of all stores.
pub(super) struct States(pub(super) Vec<Store<LiveStream>>);

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").finish_non_exhaustive()
    }
}

impl Collector for States {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let streams: Vec<_> = self.0.iter().flat_map(Store::state).collect();
        let statuses = streams.iter().filter_map(|stream| stream.status.as_ref());
        let (mut phases, mut conditions) = (Phase::ALL.map(|phase| (phase, 0)), BTreeMap::new());
        for status in statuses {
            let phase = phases.iter_mut().find(|(phase, _)| Some(*phase) == status.phase);
            if let Some((_, count)) = phase {
                *count += 1;
            }
            for one in &status.conditions {
                let what = (one.type_.as_ref(), one.reason.as_ref(), one.status.as_str());
                *conditions.entry(what).or_insert(0_i64) += 1;
            }
        }
        let mut family = encoder.encode_descriptor(
            "operator_streams",
            "LiveStreams by phase",
            None,
            MetricType::Gauge,
        )?;
        for (phase, count) in phases {
            let labels = [("phase", phase.as_str())];
            ConstGauge::<i64>::new(count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "operator_streams_conditions",
            "LiveStreams by what one of their conditions says",
            None,
            MetricType::Gauge,
        )?;
        // What is in the table alone: a status may be an older operator's.
        for row in TABLE {
            let status = row.status.as_str();
            let Some(count) = conditions.get(&(row.condition, row.reason, status)) else {
                continue;
            };
            let labels = [("condition", row.condition), ("status", status), ("reason", row.reason)];
            ConstGauge::<i64>::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Pending,
        Self::Ready,
        Self::Live,
        Self::Degraded,
        Self::Suspended,
        Self::Failed,
        Self::Terminating,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Live => "Live",
            Self::Degraded => "Degraded",
            Self::Suspended => "Suspended",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
        }
    }
}

impl ConditionStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use millrace_platform::telemetry::Metrics;
    use serde_json::{Value, json};

    use super::*;

    fn stream(name: &str, phase: &Value, reason: &str) -> LiveStream {
        serde_json::from_value(json!({
            "apiVersion": "millrace.dev/v1alpha1",
            "kind": "LiveStream",
            "metadata": { "name": name, "namespace": "events", "uid": name },
            "spec": { "broadcaster": "acme" },
            "status": { "phase": phase, "conditions": [{
                "type": "Accepted", "status": "False", "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            }]},
        }))
        .unwrap()
    }

    #[test]
    fn streams_are_counted_by_phase_and_by_what_their_conditions_say() {
        let (store, mut writer) = reflector::store();
        for one in [
            stream("a", &json!("Failed"), "InvalidSpec"),
            stream("b", &json!("Failed"), "InvalidSpec"),
            stream("c", &json!("Pending"), "HostTaken"),
            stream("d", &Value::Null, "OfAnotherVersion"),
        ] {
            writer.apply_watcher_event(&Event::Apply(one));
        }
        let metrics = Metrics::default();
        metrics.with(|registry| registry.register_collector(Box::new(States(vec![store]))));
        let text = metrics.render();
        let values: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let accepted = |reason: &str, count: u32| {
            format!(
                "millrace_operator_streams_conditions{{condition=\"Accepted\",status=\"False\",\
                 reason=\"{reason}\"}} {count}"
            )
        };
        let phase = |name: &str, count: u32| {
            format!("millrace_operator_streams{{phase=\"{name}\"}} {count}")
        };
        let expected = [
            phase("Pending", 1),
            phase("Ready", 0),
            phase("Live", 0),
            phase("Degraded", 0),
            phase("Suspended", 0),
            phase("Failed", 2),
            phase("Terminating", 0),
            accepted("InvalidSpec", 2),
            accepted("HostTaken", 1),
        ];
        assert_eq!(values, expected);
    }
}
