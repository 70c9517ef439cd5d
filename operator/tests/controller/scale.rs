//! Many streams: `make bench-operator` runs these and prints what it took.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use millrace_harness::cluster::audit::{self, Event};
use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::{self, StreamKeys};
use millrace_operator::reconcile::build::{self, Circumstances, Installation};
use millrace_operator::reconcile::kind::Kind;
use millrace_operator::reconcile::prepared::Prepared;
use millrace_operator::reconcile::validate::validate;
use millrace_operator::reconcile::{children, publish_keys};
use serde_json::json;
use tokio::time::Instant;

use super::support::{Operator, World, manifest};

/// Streams that are made at once, unless `STREAMS` says otherwise.
const MANY: usize = 500;
/// The same in every run of the tests.
const FEW: usize = 40;
/// Streams that nobody publishes to, unless `SUSPENDED_STREAMS` says otherwise.
const SUSPENDED: usize = 10_000;
/// What an operator may take that has something to do, however few streams.
const BASE: u64 = 40_000_000;
/// What each stream may add to it.
const EACH: u64 = 10_000;
/// Children of one stream.
const CHILDREN: usize = 6;
/// Requests of a bare client at once, as of the operator.
const AT_ONCE: usize = 16;

fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// Requests by verb and resource, most first.
fn tally(asked: &[Event]) -> String {
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

/// Wait for work that an operator does: one that has ended would be waited
/// for for ever.
async fn done_by<T>(world: &World, operator: &mut Operator, work: impl Future<Output = T>) -> T {
    let ended = async {
        while !operator.has_ended() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        done = work => return done,
        () = ended => {}
    }
    panic!("the operator has ended\n{}", world.log_tail());
}

/// Apply the same children as a client that does nothing else.
async fn bare(world: &World, streams: &[LiveStream]) {
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
}

/// Who applies the children of all streams first, into a cluster without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Operator,
    Bare,
}

/// What one of the two took for all streams.
struct Turn {
    /// From the first write to the answer to the last.
    seconds: f64,
    /// CPU time of API server and etcd meanwhile.
    server: f64,
}

impl Turn {
    async fn of(world: &World, user: &str, work: impl Future<Output = ()>) -> Self {
        let server = || {
            let both = ["kube-apiserver", "etcd"].map(|program| world.cluster.cpu(program));
            both.into_iter().map(Result::unwrap).sum::<Duration>()
        };
        let (moment, before) = (world.cluster.moment().await.unwrap(), server());
        work.await;
        let server = server().saturating_sub(before).as_secs_f64();
        let asked = world.cluster.requests(user, moment).await.unwrap();
        println!("{}", tally(&asked));
        assert_written_once(&asked);
        Self { seconds: audit::span(writes(&asked)).as_secs_f64(), server }
    }

    /// Of so many streams.
    fn describe(&self, streams: f64) -> String {
        let (rate, each) = (streams / self.seconds, self.server / streams * 1_000.0);
        let (seconds, server) = (self.seconds, self.server);
        format!(
            "{seconds:.1} s, {rate:.1} streams/s; API server and etcd used {server:.1} s of CPU, \
             {each:.1} ms a stream"
        )
    }
}

/// How long is waited for the last news, and for writes that come of none.
struct Rest {
    news: Duration,
    idle: Duration,
}

/// An operator's turn, from its start until all have a status; it has ended
/// since.
async fn by_operator(world: &World, many: usize, rest: Rest) -> Turn {
    let mut operator = None;
    let turn = Turn::of(world, &world.account.user(), async {
        let operator = operator.insert(world.operator().await);
        done_by(world, operator, reconciled(world, many)).await;
    })
    .await;
    let operator = operator.unwrap();
    let errors = operator.counted("operator_reconcile_errors_total").await;
    assert_eq!(errors, 0, "{}", world.log_tail());
    assert_eq!(world.children().await.len(), many * CHILDREN);

    // Nothing is news now.
    tokio::time::sleep(rest.news).await;
    let quiet = world.cluster.moment().await.unwrap();
    tokio::time::sleep(rest.idle).await;
    let asked = world.cluster.requests(&world.account.user(), quiet).await.unwrap();
    assert_eq!(writes(&asked).count(), 0, "{}", tally(&asked));
    println!(
        "{} reads and no write in {} idle seconds; {} reconciles so far; RSS {} MB",
        asked.len(),
        rest.idle.as_secs(),
        operator.metric("operator_reconciles_total").await,
        operator.rss_bytes() / 1_000_000
    );
    operator.stop().await;
    turn
}

/// Writes but for the Lease's.
fn writes(asked: &[Event]) -> impl Iterator<Item = &Event> + Clone {
    asked.iter().filter(|event| event.is_write() && event.object_ref.resource != "leases")
}

fn assert_written_once(asked: &[Event]) {
    let mut seen = HashSet::new();
    let twice: Vec<_> = writes(asked).filter(|event| !seen.insert(&event.object_ref)).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

/// The operator's rate beside a bare client's, one after the other in a cluster
/// of their own; the second finds the first one's children there. Nobody makes
/// pods meanwhile: that takes more than all else, and whoever is faster leaves
/// more of it for later.
async fn side_by_side(first: First) -> Option<f64> {
    let world = World::own().await?;
    let many = count("STREAMS", MANY);
    create(&world, &names(many), &json!({ "broadcaster": "acme" })).await;
    let streams = world.livestreams().list(&ListParams::default()).await.unwrap().items;
    world.cluster.stop_controllers().await.unwrap();
    let rest = Rest { news: Duration::from_secs(15), idle: Duration::from_mins(1) };
    let (operator, bare) = if first == First::Operator {
        let operator = by_operator(&world, many, rest).await;
        (operator, Turn::of(&world, "admin", bare(&world, &streams)).await)
    } else {
        let bare = Turn::of(&world, "admin", bare(&world, &streams)).await;
        (by_operator(&world, many, rest).await, bare)
    };
    let streams = f64::from(u32::try_from(many).unwrap());
    let rate = bare.seconds / operator.seconds;
    println!(
        "{many} streams, {first:?} first:\n  operator (keys, topics and status too): {}\n  bare \
         client (children alone): {}\n  {rate:.2} of its rate",
        operator.describe(streams),
        bare.describe(streams),
    );
    Some(rate)
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_streams_at_once_are_written_once_each_and_then_nothing_is() {
    let Some(world) = World::own().await else { return };
    create(&world, &names(FEW), &json!({ "broadcaster": "acme" })).await;
    world.cluster.stop_controllers().await.unwrap();
    let rest = Rest { news: Duration::from_secs(3), idle: Duration::from_secs(5) };
    let begun = world.cluster.moment().await.unwrap();
    let turn = by_operator(&world, FEW, rest);
    tokio::time::timeout(Duration::from_mins(2), turn).await.expect("some have no status");
    // With what was written when all had a status.
    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    assert_written_once(&asked);
    // Children, the finalizer and the status.
    assert_eq!(writes(&asked).count(), FEW * (CHILDREN + 2), "{}", tally(&asked));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make bench-operator"]
async fn five_hundred_streams_at_once() {
    let mut rates = Vec::new();
    for first in [First::Operator, First::Bare] {
        let Some(rate) = side_by_side(first).await else { return };
        rates.push(rate);
    }
    // Who comes second finds twice the objects, so that one order flatters the operator as much as
    // the other does the bare client. Printed and not judged: the machine has its part in it.
    let mean = (rates[0] * rates[1]).sqrt();
    println!("{mean:.2} of the bare client's rate, the mean of both orders (geometric)");
}

/// Suspended streams, and an operator that is started again: what it writes
/// before it knows all, and after.
async fn restart(world: &World, many: usize) -> (Operator, f64) {
    let moment = world.cluster.moment().await.unwrap();
    let begun = Instant::now();
    let operator = world.operator().await;
    let synced = begun.elapsed().as_secs_f64();
    // Of many thousands that takes longer than any patience.
    while operator.metric("operator_reconciles_total").await < i64::try_from(many).unwrap() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Nor when the logs have been looked at once more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = world.cluster.requests(&world.account.user(), moment).await.unwrap();
    assert_eq!(writes(&asked).count(), 0, "{}", tally(&asked));
    (operator, synced)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_again_writes_nothing_of_thirty_suspended_streams() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    create(&world, &names(30), &json!({ "broadcaster": "acme", "suspend": true })).await;
    reconciled(&world, 30).await;
    operator.stop().await;
    let (operator, _) = restart(&world, 30).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make bench-operator"]
async fn ten_thousand_suspended_streams() {
    let Some(world) = World::own().await else { return };
    let mut operator = world.operator().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let base = operator.rss_bytes();
    let many = count("SUSPENDED_STREAMS", SUSPENDED);
    let names = names(many);
    create(&world, &names, &json!({ "broadcaster": "acme", "suspend": true })).await;
    done_by(&world, &mut operator, reconciled(&world, many)).await;
    let full = operator.rss_bytes();
    operator.stop().await;

    let (operator, synced) = restart(&world, many).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let again = operator.rss_bytes();
    let over = |base: u64| again.saturating_sub(base) / u64::try_from(many).unwrap();
    println!(
        "{many} suspended streams: RSS {} MB without any, then {} MB; after a restart {} MB: {} \
         bytes each over what it was without any, {} over {} MB; synced in {synced:.1} s, no write",
        base / 1_000_000,
        full / 1_000_000,
        again / 1_000_000,
        over(base),
        over(BASE),
        BASE / 1_000_000,
    );
    operator.stop().await;
    // The release program's: one that is not optimised is larger by itself.
    if !cfg!(debug_assertions) {
        assert!(base <= BASE, "{base} bytes without any");
        assert!(over(BASE) <= EACH, "{} bytes each", over(BASE));
    }
}
