//! Many streams: `make bench-operator` runs these and prints what it took.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use millrace_harness::cluster::audit::Moment;
use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::{self, StreamKeys};
use millrace_operator::reconcile::build::{self, Circumstances, Installation};
use millrace_operator::reconcile::kind::Kind;
use millrace_operator::reconcile::prepared::Prepared;
use millrace_operator::reconcile::validate::validate;
use millrace_operator::reconcile::{children, publish_keys};
use serde_json::json;
use tokio::time::Instant;

use super::support::{World, manifest};

/// Streams that are made at once, unless `STREAMS` says otherwise.
const MANY: usize = 500;
/// Streams that nobody publishes to, unless `SUSPENDED_STREAMS` says otherwise.
const SUSPENDED: usize = 10_000;
/// What an operator may take that has something to do, however few streams.
const BASE: u64 = 40_000_000;
/// Children of one stream.
const CHILDREN: usize = 6;
/// Requests of a bare client at once, as of the operator.
const AT_ONCE: usize = 16;

fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// Requests of a user by verb and resource, most first.
async fn tally(world: &World, since: Moment) -> String {
    let asked = world.cluster.requests(&world.account.user(), since).await.unwrap();
    let mut all = BTreeMap::new();
    for event in asked {
        let what = format!(
            "{} {} {}",
            event.verb, event.object_ref.resource, event.object_ref.subresource
        );
        *all.entry(what.trim_end().to_owned()).or_insert(0_u32) += 1;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, count)| Reverse(*count));
    let lines: Vec<_> = all.iter().map(|(what, count)| format!("  {count:6} {what}")).collect();
    lines.join("\n")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("s{number:05}")).collect()
}

/// Make streams by POST, some at once.
async fn create(world: &World, names: &[String], spec: &serde_json::Value) {
    let api = world.livestreams();
    stream::iter(names)
        .for_each_concurrent(AT_ONCE, |name| {
            let (api, stream) = (api.clone(), manifest(name, spec.clone()));
            async move {
                api.create(&PostParams::default(), &stream).await.unwrap();
            }
        })
        .await;
}

/// Wait until as many have a status, which a reconcile writes at its end.
async fn reconciled(world: &World, many: usize) {
    let mut done = HashSet::new();
    let mut watch = pin!(watcher(world.livestreams(), Config::default()).applied_objects());
    while done.len() < many {
        let stream = watch.next().await.unwrap().unwrap();
        if stream.status.is_some() {
            done.insert(stream.metadata.uid);
        }
    }
}

/// Wait until the controllers of Deployments have made as many pods.
async fn pods(world: &World, many: usize) {
    let api: Api<Pod> = Api::namespaced(world.client(), world.workers.name());
    // The server counts, so that we take little of its time.
    let one = ListParams::default().limit(1);
    loop {
        let list = api.list_metadata(&one).await.unwrap();
        let others = list.metadata.remaining_item_count.unwrap_or_default();
        if list.items.len() + usize::try_from(others).unwrap() >= many {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a client that knows nothing else needs to apply the same children:
/// seconds until it has done so, and until there are as many pods.
async fn bare(world: &World, streams: &[LiveStream], many: usize) -> (f64, f64) {
    let installation = Installation {
        workers_namespace: world.workers.name().to_owned(),
        ..Installation::default()
    };
    let mut objects = Vec::new();
    for stream in streams {
        let valid = validate(stream).unwrap();
        let built = build::children(&valid, &installation, &Circumstances::default());
        let none = StreamKeys::default();
        let keys = publish_keys::desired(&valid.keys, &none, 0, &mut rand::rng()).unwrap();
        let secret = publish_keys_secret::build(&valid, &keys);
        let mut all = children::prepare(&built).unwrap();
        all.push(Prepared::typed(Kind::Secret, &secret).unwrap());
        for child in all {
            let mut manifest = child.manifest.clone();
            // Beside the operator's, not over them.
            let name = format!("b-{}", child.id.name);
            manifest["metadata"]["name"] = json!(name);
            manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("bare");
            objects.push((child.id, name, manifest));
        }
    }
    assert_eq!(objects.len(), streams.len() * CHILDREN);
    let begun = Instant::now();
    stream::iter(objects)
        .for_each_concurrent(AT_ONCE, |(id, name, manifest)| {
            let api: Api<DynamicObject> =
                Api::namespaced_with(world.client(), &id.namespace, &id.kind.resource());
            async move {
                let parameters = PatchParams::apply("bare").force();
                api.patch(&name, &parameters, &Patch::Apply(&manifest)).await.unwrap();
            }
        })
        .await;
    let applied = begun.elapsed().as_secs_f64();
    pods(world, many).await;
    (applied, begun.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make bench-operator"]
async fn five_hundred_streams_at_once() {
    let Some(world) = World::own().await else { return };
    let many = count("STREAMS", MANY);
    let names = names(many);
    create(&world, &names, &json!({ "broadcaster": "acme" })).await;
    let moment = world.cluster.moment().await.unwrap();
    // With its start: what is measured is the operator's work, not ours.
    let begun = Instant::now();
    let operator = world.operator().await;
    reconciled(&world, many).await;
    let took = begun.elapsed().as_secs_f64();
    pods(&world, many * 2).await;
    let ran = begun.elapsed().as_secs_f64();
    let errors = operator.metric("operator_reconcile_errors_total").await;
    assert_eq!(errors, 0, "{}", world.log_tail());
    let children = world.children().await.len();
    assert_eq!(children, many * CHILDREN);
    println!("{}", tally(&world, moment).await);

    let streams = world.livestreams().list(&ListParams::default()).await.unwrap().items;
    let (bare, bare_ran) = bare(&world, &streams, many * 4).await;
    // The bare client's pods and ours are all pending: nothing is news now.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let quiet = world.cluster.moment().await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let asked = world.cluster.requests(&world.account.user(), quiet).await.unwrap();
    let writes = asked.iter().filter(|e| e.is_write() && e.object_ref.resource != "leases").count();
    assert_eq!(writes, 0);

    let streams = f64::from(u32::try_from(many).unwrap());
    let per_second = |seconds: f64| streams / seconds;
    println!(
        "{many} streams: operator {took:.1} s ({:.1}/s, keys, topics and status included), \
         bare client {bare:.1} s ({:.1}/s, children alone): {:.2} of its rate; until the \
         cluster had made their pods {ran:.1} s and {bare_ran:.1} s: {:.2}; \
         {} reads and no write in 60 idle seconds; RSS {} MB",
        per_second(took),
        per_second(bare),
        bare / took,
        bare_ran / ran,
        asked.len(),
        operator.rss_bytes() / 1_000_000,
    );
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make bench-operator"]
async fn ten_thousand_suspended_streams() {
    let Some(world) = World::own().await else { return };
    let operator = world.operator().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let base = operator.rss_bytes();
    let many = count("SUSPENDED_STREAMS", SUSPENDED);
    let names = names(many);
    create(&world, &names, &json!({ "broadcaster": "acme", "suspend": true })).await;
    reconciled(&world, many).await;
    let full = operator.rss_bytes();
    operator.stop().await;

    let begun = Instant::now();
    let operator = world.operator().await;
    let synced = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let again = operator.rss_bytes();
    let each = |rss: u64| rss.saturating_sub(BASE) / u64::try_from(many).unwrap();
    println!(
        "{many} suspended streams: RSS {} MB at first, then {} MB; after a restart {} MB ({} bytes \
         each over {} MB), synced in {synced:.1} s",
        base / 1_000_000,
        full / 1_000_000,
        again / 1_000_000,
        each(again),
        BASE / 1_000_000,
    );
    operator.stop().await;
}
