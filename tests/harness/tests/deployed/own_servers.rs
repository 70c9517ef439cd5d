//! A release of its own beside the first, on servers that are there: those of the first, with a
//! database whose owner may not make roles, and with connection settings in Secrets.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt as _;
use millrace_harness::counter;
use millrace_harness::http::{Http, eventually};
use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::Source;
use millrace_harness::recorder::{Mode, Recorder, Report};
use serde_json::{Map, Value, json};

use crate::broadcaster::Broadcaster;
use crate::command::{helm, kubectl, kubectl_with};
use crate::containers::PSQL;
use crate::livestream::{self, KEYNOTE, LiveStream};
use crate::place::{Place, SECOND_HOST, SHARED_HOST};
use crate::release::{self, chart};
use crate::{containers, watching};

const NAME: &str = "second";
const NAMESPACE: &str = "millrace-second";
const SECRET: &str = "servers";
const OPERATOR_SECRET: &str = "operator-servers";
/// Streams of one name, in two namespaces.
const NORTH: LiveStream = LiveStream { namespace: "north", name: "keynote" };
const SOUTH: LiveStream = LiveStream { namespace: "south", name: "keynote" };
/// Numbers of pictures below it are the northern stream's.
const FIRST_OF_SOUTH: u32 = 500_000;
const PASSWORD: &str = "of-the-second-release";
const LONG_ENOUGH: Duration = Duration::from_secs(15);

/// A database, its owner, and the roles that the owner may not make.
async fn make_database() -> Result<()> {
    let roles = ["owner", "control", "worker", "viewer"].map(|role| {
        format!(
            "DROP ROLE IF EXISTS second_{role};
             CREATE ROLE second_{role} LOGIN NOCREATEROLE PASSWORD '{PASSWORD}';\n"
        )
    });
    let sql = format!(
        "DROP DATABASE IF EXISTS second;\n{}CREATE DATABASE second OWNER second_owner;\n",
        roles.concat()
    );
    let pod = containers::one("quickstart-postgres").await?.pod;
    let psql = format!("{PSQL} -v ON_ERROR_STOP=1 -q");
    let exec = ["-n", release::NAMESPACE, "exec", "-i", &pod, "--", "sh", "-c", &psql];
    kubectl_with(&exec, sql.as_bytes()).await?;
    Ok(())
}

/// The Secrets of docs/install.md, and leave to reach the first release's servers.
async fn make_secrets() -> Result<()> {
    let get = ["-n", release::NAMESPACE, "get", "secret", "millrace-connections", "-o", "json"];
    let first: Value = serde_json::from_str(&kubectl(&get).await?)?;
    let mut shared = first["data"].as_object().context("no data")?.clone();
    shared.retain(|key, _| !key.starts_with("DATABASE"));
    let url = |role: &str| {
        let host = format!("millrace-quickstart-postgres.{}.svc", release::NAMESPACE);
        json!(format!("postgres://second_{role}:{PASSWORD}@{host}:5432/second"))
    };
    let of_workers =
        [("DATABASE_WORKER_URL", url("worker")), ("DATABASE_VIEWER_URL", url("viewer"))];
    let of_operator = [("DATABASE_URL", url("control")), ("DATABASE_MIGRATE_URL", url("owner"))];
    for (name, own) in [(SECRET, of_workers), (OPERATOR_SECRET, of_operator)] {
        let own: Map<_, _> = own.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        apply(&json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "data": shared, "stringData": own }))
        .await?;
    }
    let second = json!({ "kubernetes.io/metadata.name": NAMESPACE });
    apply(&json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": NAME, "namespace": release::NAMESPACE },
        "spec": { "podSelector": {},
            "ingress": [{ "from": [{ "namespaceSelector": { "matchLabels": second } }] }] } }))
    .await
}

async fn apply(object: &Value) -> Result<()> {
    kubectl_with(&["apply", "-f", "-"], object.to_string().as_bytes()).await?;
    Ok(())
}

async fn install(place: &Place) -> Result<()> {
    let chart = chart();
    let mut values = vec![
        format!("connections.existingSecret={SECRET}"),
        format!("connections.existingOperatorSecret={OPERATOR_SECRET}"),
        "postgres.createRoles=false".to_owned(),
        format!("installation={NAME}"),
        format!("watchNamespaces={{{},{}}}", NORTH.namespace, SOUTH.namespace),
        "networkPolicies.objectStore.ports={9000}".to_owned(),
        format!("image.tag={}", place.tag),
        "ingress.enabled=true".to_owned(),
        format!("ingress.hosts={{{SECOND_HOST}}}"),
        format!("delivery.trustedProxies={{{}}}", place.proxies),
        format!("publishing.externalHost={}", place.node),
        "operator.replicas=1".to_owned(),
        "operator.resources.requests.cpu=50m".to_owned(),
        "delivery.replicas=1".to_owned(),
        "delivery.resources.requests.cpu=50m".to_owned(),
    ];
    values.extend(["control", "worker", "viewer"].map(|r| format!("postgres.{r}.user=second_{r}")));
    let mut arguments = vec!["install", NAME, &chart, "--namespace", NAMESPACE];
    arguments.extend(["--wait", "--atomic", "--timeout", "5m"]);
    for value in &values {
        arguments.extend(["--set", value]);
    }
    release::waiting(&arguments).await
}

/// One rung, and next to nothing asked for: a node of two cores takes both, and two releases.
async fn make_stream(stream: LiveStream) -> Result<()> {
    let mut manifest = Manifest::new(stream.name);
    stream.namespace.clone_into(&mut manifest.namespace);
    manifest.ladder.truncate(1);
    livestream::apply(&manifest.to_string()).await?;
    let service = json!({ "service": { "type": "NodePort" } });
    let resources = json!({ "requests": { "cpu": "50m" } });
    let spec = json!({ "ingest": service, "transcode": { "resources": resources } });
    stream.patch(&spec.to_string()).await?;
    stream.ready().await
}

fn index(host: &str, stream: LiveStream) -> String {
    format!("http://{host}/hls/{}/index.m3u8", stream.id())
}

async fn publish(place: &Place, stream: LiveStream, first: u32) -> Result<Broadcaster> {
    let rtmp = stream.rtmp(place).await?;
    let source = Source::Numbered { fps: 30, first };
    Broadcaster::start(source, &rtmp, &stream.key().await?, stream.namespace)
}

async fn record(http: &Http, stream: LiveStream) -> Result<Recorder> {
    let index = index(SECOND_HOST, stream);
    eventually("a broadcast to record", Duration::from_mins(1), async || {
        Recorder::start(http, &index, Mode::LowLatency, true).await
    })
    .await
}

/// The numbers in all pictures of a recording.
async fn numbers(report: &Report) -> Result<Vec<Option<u32>>> {
    let rung = report.rendition("480p").context("no 480p")?;
    counter::read(rung.file().context("no media, or of several runs")?).await
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn two_streams_of_one_name_on_servers_that_were_there_show_each_its_own() {
    let place = Place::of_environment().unwrap();
    release::stands(&place).await.unwrap();
    clear().await.unwrap();
    let gone = ["delete", "ls", KEYNOTE.name, "--ignore-not-found", "--timeout=60s"];
    KEYNOTE.kubectl(&gone).await.unwrap();
    // Two releases of a cluster share no namespace.
    release::upgrade(&[&format!("watchNamespaces={{{}}}", KEYNOTE.namespace)]).await.unwrap();
    let seen = AssertUnwindSafe(show_each_its_own(&place)).catch_unwind().await;
    // Also after a failure: a node of two cores has no room for it beside the other tests.
    clear().await.unwrap();
    release::upgrade(&["watchNamespaces=null"]).await.unwrap();
    if let Err(panic) = seen {
        resume_unwind(panic);
    }
}

async fn show_each_its_own(place: &Place) {
    let http = place.http().unwrap();
    for namespace in [NAMESPACE, NORTH.namespace, SOUTH.namespace] {
        release::restricted_namespace(namespace).await.unwrap();
    }
    make_database().await.unwrap();
    make_secrets().await.unwrap();
    install(place).await.unwrap();
    for stream in [NORTH, SOUTH] {
        make_stream(stream).await.unwrap();
    }

    let north = publish(place, NORTH, 0).await.unwrap();
    let south = publish(place, SOUTH, FIRST_OF_SOUTH).await.unwrap();
    let mut viewer = watching::join(&http, &index(SECOND_HOST, NORTH)).await.unwrap();
    let northern = record(&http, NORTH).await.unwrap();
    let southern = record(&http, SOUTH).await.unwrap();
    watching::watch(&mut viewer, LONG_ENOUGH).await.unwrap();
    // The first release has the same servers, and nothing of these streams.
    for (host, stream) in [(SHARED_HOST, NORTH), (SHARED_HOST, SOUTH), (SECOND_HOST, KEYNOTE)] {
        let (status, _) = http.get(&index(host, stream)).await.unwrap();
        assert_eq!(status, 404, "{} at {host}", stream.id());
    }
    for broadcaster in [north, south] {
        assert_eq!(broadcaster.stop().await.unwrap(), 1, "a connection was lost");
    }
    let limit = Duration::from_mins(2);
    for (recorder, first) in [(northern, 0), (southern, FIRST_OF_SOUTH)] {
        let report = recorder.until_ended(limit).await.unwrap();
        watching::assert_sound(&report, 1);
        let seen = numbers(&report).await.unwrap();
        let expected: Vec<_> = (first..).take(seen.len()).map(Some).collect();
        assert_eq!(seen, expected);
    }
}

/// Takes the second release and its streams away.
async fn clear() -> Result<()> {
    // Fails where there is nothing.
    let _ = helm(&["uninstall", NAME, "--namespace", NAMESPACE, "--wait"]).await;
    let namespaces = [NORTH.namespace, SOUTH.namespace, NAMESPACE];
    let delete = [&["delete", "namespace", "--ignore-not-found"], &namespaces[..]].concat();
    kubectl(&delete).await?;
    Ok(())
}
