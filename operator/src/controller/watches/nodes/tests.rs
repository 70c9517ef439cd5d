//! What a Node says, and a watch that may not look.

use kube::core::Status;
use millrace_platform::health::Health;
use millrace_platform::telemetry::Metrics;
use serde_json::{Value, json};

use super::*;

fn node(spec: &Value) -> SlimNode {
    // As the API server sends it: with more than is read.
    let metadata = json!({ "name": "n", "uid": "u", "labels": { "a": "b" } });
    let status = json!({ "images": [{ "names": ["x"] }] });
    let kind = ("v1", "Node");
    serde_json::from_value(json!({
        "apiVersion": kind.0, "kind": kind.1, "metadata": metadata, "spec": spec, "status": status,
    }))
    .unwrap()
}

#[test]
fn what_empties_a_node_is_told_from_other_taints() {
    let at = "2026-11-28T14:00:00Z";
    let time = Some(at.parse().unwrap());
    let taint = |key: &str| json!({ "taints": [{ "key": key, "effect": "NoSchedule" }] });
    for (spec, expected) in [
        (json!({}), (false, None)),
        (taint("node.kubernetes.io/not-ready"), (false, None)),
        (taint("DeletionCandidateOfClusterAutoscaler"), (false, None)),
        (json!({ "unschedulable": true }), (true, None)),
        (taint("ToBeDeletedByClusterAutoscaler"), (true, None)),
        (taint("karpenter.sh/disrupted"), (true, None)),
        (
            json!({ "unschedulable": true, "taints": [
                { "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule",
                  "timeAdded": "2026-11-28T13:00:00Z" },
                { "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule",
                  "timeAdded": at },
                { "key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule" },
            ]}),
            (true, time),
        ),
    ] {
        let node = node(&spec);
        assert_eq!((node.is_emptied(), node.since()), expected, "{spec}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_may_not_look_keeps_nobody_waiting_and_forgets_what_it_knew() {
    let health = Health::default();
    let (triggers, _queues) = Triggers::new(None);
    let drains = Drains::default();
    let observer = NodeObserver {
        drains: drains.clone(),
        seen: SeenStore::default(),
        triggers,
        metrics: ControllerMetrics::register(&Metrics::default()),
        check: health.informative(WATCH),
    };
    let forbidden = || {
        let status = Status { code: 403, ..Status::default() };
        Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    };
    let cordoned = node(&json!({ "unschedulable": true }));
    let events = [
        Ok(Event::Init),
        Ok(Event::InitApply(cordoned)),
        Ok(Event::InitDone),
        forbidden(),
        Ok(Event::Init),
        forbidden(),
        Ok(Event::Init),
    ];
    let (sender, synced) = oneshot::channel();
    let ended = observer.run(futures::stream::iter(events), sender).await;
    assert!(ended.is_err(), "a watch never ends");
    synced.await.unwrap();
    assert!(drains.get("n").is_none());
    let status = health.snapshot()[WATCH].clone();
    assert!(!status.ok && !status.needed && status.detail.contains("Nodes"), "{status:?}");
    assert!(health.is_ready());
}
