//! Every program gets the settings it reads, all that the values know, and no
//! other.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec};
use k8s_openapi::api::rbac::v1::Role;
use millrace_chart::helm::{Helm, Rendered, text};
use millrace_harness::certificate::Certificate;
use millrace_harness::cluster::rbac::OperatorRules;
use millrace_operator::api::LiveStream;
use millrace_operator::controller::place::Place;
use millrace_operator::controller::settings::Settings;
use millrace_operator::reconcile::build::{Children, Circumstances, Installation, children};
use millrace_operator::reconcile::external::External;
use millrace_operator::reconcile::validate::validate;
use millrace_platform::config::{Env, TelemetryConfig};

use super::containers::{self, Environment};

/// Read by programs, and left to their defaults by the chart: what an image or
/// `millrace-operator local` decides.
const LEFT_OUT: [&str; 2] = ["LISTEN_ADDRESS", "FFMPEG_PATH"];

/// The file of certificates as the pods have it.
const CA_FILE: &str = "/etc/millrace/ca/ca.crt";

/// A rendering with what it refers to and does not make.
pub(crate) struct Installed {
    pub(crate) rendered: Rendered,
    given: BTreeMap<String, Environment>,
    ca: tempfile::NamedTempFile,
}

impl Installed {
    pub(crate) fn new(helm: &Helm, values: &[&str]) -> Self {
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), Certificate::new(1).unwrap().certificate).unwrap();
        let entries = |extra: &[(&str, &str)]| -> Environment {
            let shared = [
                ("REDIS_URL", "redis://r:1"),
                ("KAFKA_BROKERS", "k:1"),
                ("OBJECT_STORE_URL", "s3://bucket"),
            ];
            let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            shared.into_iter().chain(extra.iter().copied()).map(pair).collect()
        };
        // As docs/install.md has them, the least of it.
        let url = "postgres://u@h/d";
        let given = BTreeMap::from([
            (
                "servers".to_owned(),
                entries(&[("DATABASE_WORKER_URL", url), ("DATABASE_VIEWER_URL", url)]),
            ),
            (
                "operator-servers".to_owned(),
                entries(&[("DATABASE_URL", url), ("DATABASE_MIGRATE_URL", url)]),
            ),
            (
                "origin".to_owned(),
                entries(&[("secret", "0123456789abcdef"), ("previous", "fedcba9876543210")]),
            ),
        ]);
        Self { rendered: helm.render("live", values).unwrap(), given, ca }
    }

    /// The variables of a container.
    fn variables(&self, object: &str, container: &str) -> Environment {
        let (container, namespace) = containers::container(&self.rendered, object, container);
        self.resolve(&container.env.unwrap_or_default(), &namespace)
    }

    fn resolve(
        &self,
        variables: &[k8s_openapi::api::core::v1::EnvVar],
        namespace: &str,
    ) -> Environment {
        let mut all = containers::environment(variables, namespace, &self.rendered, &self.given);
        for value in all.values_mut().filter(|value| *value == CA_FILE) {
            *value = self.ca.path().display().to_string();
        }
        all
    }

    /// What the operator decides for workers.
    pub(crate) fn installation(&self) -> Installation {
        let variables = self.variables("Deployment millrace-operator", "operator");
        Settings::read(&Env::from_pairs(variables)).unwrap().installation
    }

    /// What a stream has.
    pub(crate) fn children(&self) -> Children {
        let stream: LiveStream = serde_yaml::from_str(
            "apiVersion: millrace.dev/v1alpha1
kind: LiveStream
metadata: { name: keynote, namespace: events, uid: 6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11 }
spec: { broadcaster: acme }",
        )
        .unwrap();
        let stream = validate(&stream).unwrap();
        children(&stream, &self.installation(), &Circumstances::default())
    }

    /// The variables of a stream's worker.
    fn worker(&self, deployment: Option<Deployment>) -> (Environment, PodSpec) {
        let deployment = deployment.unwrap();
        let namespace = deployment.metadata.namespace.unwrap();
        let spec = deployment.spec.unwrap().template.spec.unwrap();
        let variables = spec.containers[0].env.clone().unwrap_or_default();
        (self.resolve(&variables, &namespace), spec)
    }
}

/// The C library reads it.
const OF_GLIBC: &str = "MALLOC_ARENA_MAX";

/// What a program is given it reads; returns what it reads besides.
fn compare(program: &str, given: &Environment, read: impl FnOnce(&Env)) -> BTreeSet<String> {
    let env = Env::from_pairs(given.clone());
    read(&env);
    env.report().unwrap_or_else(|error| panic!("{program}: {error}"));
    drop(TelemetryConfig::read(&env).unwrap());
    let asked = env.asked();
    let names: BTreeSet<String> = given.keys().filter(|name| *name != OF_GLIBC).cloned().collect();
    let unread: Vec<_> = names.difference(&asked).collect();
    assert!(unread.is_empty(), "{program} is given what it does not read: {unread:?}");
    let left_out = |name: &String| !LEFT_OUT.contains(&name.as_str());
    asked.difference(&names).filter(|name| left_out(name)).cloned().collect()
}

fn operator(given: &Environment) -> BTreeSet<String> {
    compare("operator", given, |env| {
        Settings::read(env).unwrap();
        External::open(env).unwrap();
    })
}

fn delivery(given: &Environment) -> BTreeSet<String> {
    compare("delivery", given, |env| {
        millrace_delivery::settings::Settings::read(env).unwrap();
    })
}

#[tokio::test]
async fn with_everything_set_programs_are_given_all_that_they_read() {
    let Some(helm) = Helm::find().unwrap() else { return };
    millrace_platform::tls::install_provider();
    let installed = Installed::new(&helm, &["servers"]);
    let none = BTreeSet::<String>::new();
    let given = installed.variables("Deployment millrace-operator", "operator");
    // These are for media on a volume, which the set has not.
    let volume = ["MEDIA_CLAIM", "MEDIA_GROUP"].map(str::to_owned);
    assert_eq!(operator(&given), BTreeSet::from(volume));
    let given = installed.variables("Deployment millrace-delivery", "delivery");
    assert_eq!(delivery(&given), none);
    let given = installed.variables("Job millrace-release", "release");
    assert_eq!(compare("release", &given, |env| drop(Place::read(env).unwrap())), none);
}

#[tokio::test]
async fn with_any_values_programs_can_read_what_they_are_given() {
    let Some(helm) = Helm::find().unwrap() else { return };
    millrace_platform::tls::install_provider();
    for set in super::SETS {
        let installed = Installed::new(&helm, &[set]);
        operator(&installed.variables("Deployment millrace-operator", "operator"));
        delivery(&installed.variables("Deployment millrace-delivery", "delivery"));
        let children = installed.children();
        let (given, _) = installed.worker(children.ingest);
        compare("ingest", &given, |env| {
            millrace_ingest::config::Config::read(env).unwrap();
        });
        let (given, _) = installed.worker(children.transcode);
        compare("transcode", &given, |env| {
            millrace_transcode::config::Config::read(env).unwrap();
        });
    }
}

#[tokio::test]
async fn what_pods_mount_is_there() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["servers"]);
    let namespaces: BTreeSet<String> = installed
        .rendered
        .of_kind::<ConfigMap>("ConfigMap")
        .unwrap()
        .into_iter()
        .filter(|one| one.data.iter().flatten().any(|(key, _)| key == "ca.crt"))
        .filter_map(|one| one.metadata.namespace)
        .collect();
    assert_eq!(namespaces, BTreeSet::from(["live".to_owned(), "media".to_owned()]));
    let (_, spec) = installed.worker(installed.children().ingest);
    let volume = &spec.volumes.unwrap()[0];
    assert_eq!(volume.config_map.as_ref().unwrap().name, "millrace-ca");

    let installed = Installed::new(&helm, &["directory"]);
    let (_, transcode) = installed.worker(installed.children().transcode);
    let delivery =
        containers::container(&installed.rendered, "Deployment millrace-delivery", "delivery").0;
    let operator =
        containers::container(&installed.rendered, "Deployment millrace-operator", "operator").0;
    for container in [&transcode.containers[0], &delivery, &operator] {
        let mounts = container.volume_mounts.clone().unwrap();
        assert_eq!(mounts[0].mount_path, "/var/lib/millrace/media", "{}", container.name);
    }
    assert_eq!(transcode.security_context.unwrap().fs_group, Some(10_001));
}

#[tokio::test]
async fn each_role_of_postgres_is_known_to_its_programs_alone() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["servers"]);
    let server = "@db.example:6432/video?sslmode=verify-full";
    let operator = installed.variables("Deployment millrace-operator", "operator");
    assert_eq!(operator["DATABASE_URL"], format!("postgres://control:c{server}"));
    let owner = format!("postgres://owner:own%20er%2F%40{server}");
    assert_eq!(operator["DATABASE_MIGRATE_URL"], owner);
    let api = installed.variables("Deployment millrace-delivery", "delivery");
    assert_eq!(api["DATABASE_URL"], format!("postgres://viewer:v{server}"));
    assert_eq!(api["DATABASE_API_URL"], format!("postgres://control:c{server}"));
    let (ingest, _) = installed.worker(installed.children().ingest);
    assert_eq!(ingest["DATABASE_URL"], format!("postgres://worker:w{server}"));
    let (transcode, _) = installed.worker(installed.children().transcode);
    assert!(!transcode.keys().any(|name| name.starts_with("DATABASE")), "{:?}", transcode.keys());
    // Whoever reads the workers' Secrets learns nothing of the other two.
    for secret in
        installed.rendered.of_kind::<k8s_openapi::api::core::v1::Secret>("Secret").unwrap()
    {
        let owners =
            secret.data.iter().flatten().filter(|(key, _)| {
                ["DATABASE_URL", "DATABASE_MIGRATE_URL"].contains(&key.as_str())
            });
        let expected = if secret.metadata.namespace.as_deref() == Some("live") { 2 } else { 0 };
        assert_eq!(owners.count(), expected, "{:?}", secret.metadata.name);
    }
}

#[tokio::test]
async fn without_createrole_roles_are_named_and_given_no_password() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["references"]);
    let given = installed.variables("Deployment millrace-operator", "operator");
    assert_eq!(given["DATABASE_ROLE_WORKER"], "millrace_worker");
    let is_of_a_role =
        |name: &String| name.starts_with("DATABASE_ROLE") && name.ends_with("_PASSWORD");
    let asks = given.keys().filter(|name| is_of_a_role(name));
    assert_eq!(asks.collect::<Vec<_>>(), Vec::<&String>::new());
    let (container, _) =
        containers::container(&installed.rendered, "Deployment millrace-operator", "operator");
    let named: Vec<_> = container.env.into_iter().flatten().map(|variable| variable.name).collect();
    assert!(!named.iter().any(is_of_a_role), "{named:?}");
}

#[test]
fn the_api_has_the_rights_that_its_values_give_and_no_others() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let off = ["servers", "delivery.api.kubernetesTokens=false", "delivery.api.database=false"];
    for (values, there) in [(&["servers"][..], true), (&off, false)] {
        let rendered = helm.render("live", values).unwrap();
        let count = |end: &str| {
            let name = |object: &serde_json::Value| text(object, "/metadata/name").to_owned();
            rendered.objects.iter().filter(|object| name(object).ends_with(end)).count()
        };
        // The ClusterRole and its binding.
        assert_eq!(count("delivery-reviews"), if there { 2 } else { 0 });
        assert_eq!(count("-api-connections"), usize::from(there));
        let (container, _) =
            containers::container(&rendered, "Deployment millrace-delivery", "delivery");
        let names: Vec<_> = container.env.into_iter().flatten().map(|one| one.name).collect();
        assert_eq!(names.contains(&"DATABASE_API_URL".to_owned()), there, "{names:?}");
    }
}

#[test]
fn with_watch_namespaces_each_role_is_one_that_the_operator_is_tested_with() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let values = ["servers", "workers.namespace=workers", "watchNamespaces={streams}"];
    let rendered = helm.render("live", &values).unwrap();
    let rules = OperatorRules::of_chart().unwrap();
    let (streams, children) = (rules.in_streams().cloned(), rules.of_children().cloned());
    for (end, namespace, expected) in [
        ("-streams", "streams", streams.collect()),
        ("-children", "workers", children.collect()),
        ("-workers", "workers", rules.workers.clone()),
        ("", "live", rules.own.clone()),
    ] {
        let role: Role = rendered.one("Role", &format!("millrace-operator{end}")).unwrap();
        assert_eq!(role.metadata.namespace.as_deref(), Some(namespace), "{end}");
        assert_eq!(role.rules, Some(expected), "{end}");
    }
}
