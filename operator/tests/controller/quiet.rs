//! An operator that has nothing to do: streams that use every field and are in
//! every state that lasts.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use millrace_harness::cluster::audit::{Event, Moment};
use millrace_operator::api::status::Phase;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::live::publisher;
use super::support::{Operator, World, condition};

/// Longer than all that comes again and again: certificates are looked at every
/// minute, figures and the sweep every half, a Secret that is missing too.
const IDLE: Duration = Duration::from_secs(75);
/// Without a reconcile for so long all is settled.
const SETTLED: Duration = Duration::from_secs(4);
/// Streams that become Ready.
const READY: [&str; 7] =
    ["default", "ingress", "gateway", "ports", "balancer", "windows", "asleep"];
/// Others.
const OTHERS: [&str; 4] = ["suspended", "away", "no-host", "no-secret"];
/// Looked at again every minute, since they have certificates or a host.
const LOOKED_AT: i64 = 4;

fn spec(name: &str) -> Value {
    let tls = json!({ "secretName": "cert" });
    let gateway = json!({ "namespace": "edge", "name": "public", "sectionName": "https" });
    let mut spec = match name {
        "ingress" => json!({
            "ingest": { "protocol": "RTMPS", "tls": tls, "takeover": "Always" },
            "playback": { "hostname": "a.example.org", "ingressClassName": "public", "tls": tls },
        }),
        "gateway" => json!({
            "playback": { "hostname": "b.example.org", "gateway": gateway, "access": "Token" },
        }),
        "ports" => json!({
            "ingest": { "service": { "type": "NodePort" }, "maxBitrateKbps": 8_000 },
            "transcode": transcode(),
        }),
        "balancer" => json!({
            "ingest": {
                "protocol": "RTMPS", "tls": tls, "service": { "type": "LoadBalancer" },
            },
        }),
        "windows" => json!({
            "ingest": { "reconnectWindow": "60000ms", "replayWindow": "60m" },
            "ladder": [{ "name": "low", "height": 360, "bitrateKbps": 800 }],
            "packaging": {
                "segmentDuration": "4000ms", "partDuration": "1000ms", "dvrWindow": "600s",
            },
        }),
        "asleep" => json!({ "transcode": { "idle": "ScaleToZero" }, "deletionPolicy": "Delete" }),
        "suspended" => json!({
            "suspend": true,
            "ingest": { "protocol": "RTMPS", "tls": tls },
            "playback": { "hostname": "c.example.org" },
        }),
        "no-host" => json!({ "playback": { "hostname": "a.example.com" } }),
        "no-secret" => json!({
            "ingest": { "protocol": "RTMPS", "tls": { "secretName": "nowhere" } },
        }),
        _ => json!({}),
    };
    spec["broadcaster"] = json!("acme");
    spec
}

/// Amounts as the API server does not write them back.
fn transcode() -> Value {
    json!({
        "threads": 4,
        "redundancy": 2,
        "resources": {
            "requests": { "cpu": "0.5", "memory": "1048576Ki" },
            "limits": { "cpu": "1000m", "memory": "2048M" },
        },
        "scheduling": {
            "nodeSelector": { "media": "ssd" },
            "tolerations": [
                { "key": "media", "value": "yes", "effect": "NoSchedule" },
                { "operator": "Exists" },
            ],
        },
    })
}

/// Start an operator whose installation adds to children all that one can.
async fn start(world: &World) -> Operator {
    let rules = json!([{
        "namespaces": [world.streams.name()],
        "hostSuffixes": ["example.org"],
        "ingressClasses": ["public"],
        "gateways": [{ "namespace": "edge", "name": "public" }],
    }]);
    let operator = world.start(&[
        ("PLAYBACK_RULES", &rules.to_string()),
        ("PLAYBACK_KEYS", "true"),
        ("PUBLIC_URL", "https://video.example"),
        ("EXTERNAL_HOST", "nodes.example"),
        ("DEFAULT_INGRESS_CLASS", "public"),
        ("MEDIA_CLAIM", "media"),
        ("OBJECT_STORE_URL", "file:///var/media"),
        ("WORKER_CA_CONFIG_MAP", "authority"),
        ("WORKER_IMAGE_PULL_SECRETS", "one,two"),
    ]);
    operator.wait_ready().await;
    operator
}

/// As a cloud would.
async fn give_address(world: &World) {
    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let its = ListParams::default().labels("millrace.dev/livestream=balancer");
    let name = services.list(&its).await.unwrap().items[0].name_any();
    let given = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }] } } });
    services.patch_status(&name, &PatchParams::default(), &Patch::Merge(&given)).await.unwrap();
}

/// A broadcast that nobody ends and a key that was rotated away among them.
async fn create_all(world: &World) {
    world.certificate("cert").await;
    for name in READY.into_iter().chain(OTHERS) {
        world.create(name, spec(name)).await;
    }
    let reason = |condition_: &'static str, reason: &'static str| {
        move |status: &_| condition(status, condition_).reason == reason
    };
    world.until("balancer", "waiting", reason("IngestReady", "AddressPending")).await;
    give_address(world).await;
    world.ready("windows").await;
    let rotated = json!([{ "name": "main", "rotation": 1, "overlap": "1h" }]);
    world.patch("windows", json!({ "spec": { "keys": rotated } })).await;
    world.eventually("rotated", || async { world.keys("windows").await.len() == 2 }).await;
    for name in READY {
        world.ready(name).await;
    }
    world.until_phase("suspended", Phase::Suspended).await;
    world.until("no-host", "refused", reason("Accepted", "HostNotAllowed")).await;
    world.until("no-secret", "waiting", reason("Accepted", "SecretMissing")).await;
    world.ready("away").await;
    let mut publisher = publisher(world, "away");
    publisher.open().await;
    publisher.frames(3).await;
    world.until("away", "interrupted", reason("Live", "WaitsForPublisher")).await;
}

/// Something of every kind is there to be written.
async fn are_rendered(world: &World) {
    let children = world.children().await;
    for kind in ["Deployment", "HTTPRoute", "Ingress", "PDB", "Secret", "Service"] {
        assert!(children.iter().any(|one| one.starts_with(kind)), "no {kind}: {children:?}");
    }
    for copy in ["-rtmps-tls", "-play-tls"] {
        assert!(children.iter().any(|one| one.ends_with(copy)), "no {copy}: {children:?}");
    }
}

/// Wait until there is nothing more to reconcile.
async fn settled(operator: &Operator) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let reconciles = async || operator.metric("operator_reconciles_total").await;
    let mut before = reconciles().await;
    loop {
        sleep(SETTLED).await;
        let now = reconciles().await;
        if now == before {
            return;
        }
        assert!(Instant::now() < deadline, "it goes on and on");
        before = now;
    }
}

/// What the operator asked for since, but for the Lease.
async fn asked(world: &World, since: Moment) -> Vec<Event> {
    let mut asked = world.cluster.requests(&world.account.user(), since).await.unwrap();
    asked.retain(|event| event.object_ref.resource != "leases");
    asked
}

#[tokio::test]
async fn nothing_to_do_is_nothing_written_before_and_after_a_restart() {
    let Some(world) = World::own().await else { return };
    world.cluster.install_http_routes().await.unwrap();
    let operator = start(&world).await;
    create_all(&world).await;
    are_rendered(&world).await;
    settled(&operator).await;

    let reconciles = async || operator.metric("operator_reconciles_total").await;
    let (quiet, before) = (world.cluster.moment().await.unwrap(), reconciles().await);
    sleep(IDLE).await;
    let again = || async { reconciles().await >= before + LOOKED_AT };
    world.eventually("looked at again", again).await;
    let idle = asked(&world, quiet).await;
    // Of Secrets there is no watch.
    let is_look = |event: &Event| event.verb == "get" && event.object_ref.resource == "secrets";
    let more: Vec<_> = idle.iter().filter(|e| e.verb != "watch" && !is_look(e)).collect();
    assert!(more.is_empty(), "{more:#?}");
    for secret in ["cert", "nowhere"] {
        assert!(idle.iter().any(|e| is_look(e) && e.object_ref.name == secret), "{secret}");
    }

    operator.stop().await;
    let restarted = world.cluster.moment().await.unwrap();
    let operator = start(&world).await;
    let all = i64::try_from(READY.len() + OTHERS.len()).unwrap();
    let done = || async { operator.metric("operator_reconciles_total").await >= all };
    world.eventually("reconciled", done).await;
    settled(&operator).await;
    let asked = asked(&world, restarted).await;
    let written: Vec<_> = asked.iter().filter(|event| event.is_write()).collect();
    assert!(written.is_empty(), "{written:#?}");
    let forbidden: Vec<_> = asked.iter().filter(|event| event.is_forbidden()).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    operator.stop().await;
}
