//! The chart against a real API server: what it renders is accepted, installed,
//! upgraded, uninstalled, and installed again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use millrace_chart::helm::{Helm, RELEASE, Rendered, add_values, chart, root, text};
use millrace_harness::cluster::Cluster;
use serde_json::{Value, json};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster, its kubectl and helm.
struct Machine {
    helm: Helm,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    // Ends with this.
    _cluster: Cluster,
}

impl Machine {
    /// None where either can't be built.
    fn new(cluster: Option<Cluster>) -> Option<Self> {
        let helm = Helm::find().unwrap()?;
        let cluster = cluster?;
        let kubeconfig = cluster.kubeconfig();
        let kubectl = kubeconfig.parent().unwrap().join("kubectl");
        Some(Self { helm, kubeconfig, kubectl, _cluster: cluster })
    }

    fn run(&self, mut command: Command) -> Output {
        command.env("KUBECONFIG", &self.kubeconfig).output().unwrap()
    }

    /// kubectl, which must succeed; both of its outputs.
    fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments);
        success(&self.run(command), arguments)
    }

    fn get(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(&self.kubectl);
        command.arg("get").args(arguments).args(["-o", "json"]);
        let output = self.run(command);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn exists(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(&self.kubectl);
        command.arg("get").args(arguments).arg("--ignore-not-found");
        !success(&self.run(command), arguments).trim().is_empty()
    }

    /// A verb of helm about the release in `namespace`.
    fn helm(&self, verb: &str, namespace: &str, values: &[&str]) -> String {
        let mut command = self.helm.command();
        command.args([verb, RELEASE]);
        if verb == "uninstall" {
            // No pod ever runs here, so no hook ends.
            command.arg("--no-hooks");
        } else {
            command.arg(chart());
        }
        command.args(["--namespace", namespace]);
        add_values(&mut command, values);
        success(&self.run(command), &[verb])
    }

    fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            assert!(Instant::now() < deadline, "not {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `pods` of a namespace that a Pod Security level is asked of.
    fn restricted(&self, namespace: &str) {
        for mode in ["enforce", "warn"] {
            let label = format!("pod-security.kubernetes.io/{mode}=restricted");
            self.kubectl(&["label", "namespace", namespace, &label]);
        }
    }
}

fn said(output: &Output) -> String {
    let all = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

fn success(output: &Output, what: &[&str]) -> String {
    let said = said(output);
    assert!(output.status.success(), "{what:?}: {said}");
    said
}

/// What a bare API server has no kind for.
fn is_known(object: &Value) -> bool {
    !text(object, "/apiVersion").starts_with("monitoring.coreos.com/")
}

fn write(rendered: &Rendered, folder: &Path) -> String {
    let known: Vec<_> = rendered.objects.iter().filter(|object| is_known(object)).collect();
    assert!(known.len() > 10);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": known });
    let path = folder.join("rendered.json");
    std::fs::write(&path, list.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn every_rendering_is_accepted_and_no_pod_is_against_the_restricted_level() {
    let cluster = Cluster::shared().await.unwrap();
    let Some(cluster) = cluster else { return };
    let mut spaces = Vec::new();
    for name in ["release", "workers", "streams"] {
        spaces.push(cluster.namespace(name).await.unwrap());
    }
    let [release, workers, streams] = [0, 1, 2].map(|index| spaces[index].name().to_owned());
    let Some(machine) = Machine::new(Some(cluster)) else { return };
    machine.restricted(&release);
    machine.restricted(&workers);
    let folder = tempfile::tempdir().unwrap();
    for set in super::SETS {
        let mut values = vec![set.to_owned()];
        if set == "servers" {
            values.push(format!("workers.namespace={workers}"));
            values.push(format!("watchNamespaces={{{streams}}}"));
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let rendered = machine.helm.render(&release, &values).unwrap();
        let file = write(&rendered, folder.path());
        let arguments = ["apply", "--dry-run=server", "--validate=strict", "-f", &file];
        let said = machine.kubectl(&arguments);
        assert!(!said.contains("Warning"), "{set}: {said}");
    }
    // The namespace that the chart makes is one by itself: nothing can be in it yet.
    let own = ["quickstart", "workers.namespace=none-yet", "workers.createNamespace=true"];
    let rendered = machine.helm.render(&release, &own).unwrap();
    let namespace: Value = rendered.one("Namespace", "none-yet").unwrap();
    let level = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(level, "restricted");
    // Streams' pods are in it.
    assert_eq!(namespace["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}

#[tokio::test]
async fn with_watch_namespaces_the_operator_may_nothing_elsewhere() {
    let cluster = Cluster::shared().await.unwrap();
    let Some(cluster) = cluster else { return };
    let mut spaces = Vec::new();
    // Rights to a kind that is not there are not asked about.
    cluster.install_crd().await.unwrap();
    for name in ["release", "workers", "streams", "other"] {
        spaces.push(cluster.namespace(name).await.unwrap());
    }
    let [release, workers, streams, other] =
        [0, 1, 2, 3].map(|index| spaces[index].name().to_owned());
    let Some(machine) = Machine::new(Some(cluster)) else { return };
    let workers_value = format!("workers.namespace={workers}");
    let watch = format!("watchNamespaces={{{streams}}}");
    let rendered = machine.helm.render(&release, &["quickstart", &workers_value, &watch]).unwrap();
    let bindings = rendered.of_kind::<Value>("ClusterRoleBinding").unwrap();
    let names: Vec<_> = bindings.iter().map(|binding| text(binding, "/metadata/name")).collect();
    // Delivery may have tokens reviewed, and nothing else.
    let known = |name: &&str| name.ends_with(":operator") || name.ends_with(":delivery-reviews");
    assert!(names.iter().all(known), "{names:?}");
    let rbac = Rendered {
        objects: rendered
            .objects
            .into_iter()
            .filter(|object| {
                let kind = text(object, "/kind");
                kind.starts_with("Role")
                    || kind.starts_with("ClusterRole")
                    || kind == "ServiceAccount"
            })
            .collect(),
    };
    let folder = tempfile::tempdir().unwrap();
    machine.kubectl(&["apply", "-f", &write(&rbac, folder.path())]);
    let may = |verb: &str, what: &str, namespace: &str| {
        let account = format!("system:serviceaccount:{release}:millrace-operator");
        let mut command = Command::new(&machine.kubectl);
        command.args(["auth", "can-i", verb, what, "-n", namespace, "--as", &account]);
        machine.run(command).status.success()
    };
    let streams_rights = ["patch", "list", "watch"].map(|verb| (verb, "livestreams.millrace.dev"));
    for (verb, what) in
        streams_rights.into_iter().chain([("get", "secrets"), ("patch", "services")])
    {
        machine.until("granted", |_| may(verb, what, &streams));
        for elsewhere in [&other, "kube-system"] {
            assert!(!may(verb, what, elsewhere), "{verb} {what} in {elsewhere}");
        }
    }
    assert!(may("patch", "deployments.apps", &workers) && may("get", "secrets", &workers));
    assert!(!may("patch", "deployments.apps", &streams));
    assert!(!may("list", "livestreams.millrace.dev", &workers));
    assert!(!may("create", "events.events.k8s.io", &workers));
    assert!(may("patch", "leases.coordination.k8s.io", &release));
    for namespace in [&release, &workers, &streams] {
        assert!(!may("list", "secrets", namespace), "{namespace}");
    }
}

const STREAM: &str = r#"{"apiVersion": "millrace.dev/v1alpha1", "kind": "LiveStream",
    "metadata": {"name": "keynote", "namespace": "streams", "finalizers": ["millrace.dev/children"]},
    "spec": {"broadcaster": "acme"}}"#;

/// A kubeconfig of a ServiceAccount that the chart made.
fn account(machine: &Machine, namespace: &str, name: &str, path: &Path) {
    let mut command = Command::new(&machine.kubectl);
    command.args(["create", "token", name, "-n", namespace]);
    let output = machine.run(command);
    assert!(output.status.success(), "{}", said(&output));
    let token = String::from_utf8(output.stdout).unwrap();
    let text = std::fs::read_to_string(&machine.kubeconfig).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"] = json!({ "token": token.trim() });
    }
    std::fs::write(path, config.to_string()).unwrap();
}

/// Our programs are two folders above this one.
fn operator() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().join("millrace-operator")
}

#[tokio::test]
async fn a_release_comes_changes_goes_and_comes_again() {
    let Some(machine) = Machine::new(Cluster::start().await.unwrap()) else { return };
    let values = ["quickstart"];
    for namespace in ["live", "streams"] {
        machine.kubectl(&["create", "namespace", namespace]);
    }
    machine.restricted("live");
    let said = machine.helm("install", "live", &values);
    assert!(said.contains("kubectl apply -f examples/keynote.yaml"), "{said}");
    let policy = "helm.sh/resource-policy";
    let crd = || machine.get(&["crd", "livestreams.millrace.dev"]);
    assert_eq!(crd()["metadata"]["annotations"][policy], "keep");
    // The restricted level lets every pod be made.
    machine.until("8 pods", |machine| {
        machine.get(&["pods", "-n", "live"])["items"].as_array().unwrap().len() == 8
    });

    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("stream.json");
    std::fs::write(&stream, STREAM).unwrap();
    let stream = stream.display().to_string();
    machine.until("served", |machine| {
        let mut command = Command::new(&machine.kubectl);
        command.args(["apply", "-f", &stream]);
        machine.run(command).status.success()
    });
    let passwords =
        || machine.get(&["secret", "millrace-quickstart", "-n", "live"])["data"].clone();
    let connections =
        || machine.get(&["secret", "millrace-connections", "-n", "live"])["data"].clone();
    let template = || {
        machine.get(&["deployment", "millrace-delivery", "-n", "live"])["spec"]["template"].clone()
    };
    let before = (passwords(), connections(), template());
    machine.helm("upgrade", "live", &["quickstart", "operator.replicas=1"]);
    assert_eq!(
        before,
        (passwords(), connections(), template()),
        "an upgrade changed what it should not"
    );

    // As docs/install.md says: by hand after the chart, and the chart goes on.
    let crds = root().join("crds").display().to_string();
    machine.kubectl(&["apply", "-f", &crds]);
    machine.helm("upgrade", "live", &values);
    assert_eq!(crd()["metadata"]["annotations"][policy], "keep");

    release(&machine, &folder.path().join("hook"));
    let stream = || machine.get(&["livestream", "keynote", "-n", "streams"]);
    assert_eq!(stream()["metadata"]["finalizers"], Value::Null);
    let operator = machine.get(&["deployment", "millrace-operator", "-n", "live"]);
    assert_eq!(operator["spec"]["replicas"], 0);

    let uid = stream()["metadata"]["uid"].clone();
    let (kept, connected) = (passwords(), connections());
    machine.helm("uninstall", "live", &[]);
    assert_eq!(stream()["metadata"]["uid"], uid, "uninstalling deleted a LiveStream");
    assert_eq!(passwords(), kept);
    assert!(!machine.exists(&["secret", "-n", "live", "millrace-connections"]));
    for kind in ["deployment", "statefulset", "networkpolicy", "role"] {
        assert!(
            !machine.exists(&[kind, "-n", "live", "-l", "app.kubernetes.io/instance=millrace"]),
            "{kind}"
        );
    }
    machine.helm("install", "live", &values);
    assert_eq!(stream()["metadata"]["uid"], uid);
    // Workers that stayed have them.
    assert_eq!(connections(), connected);
    machine.helm("uninstall", "live", &[]);
    machine.kubectl(&["delete", "namespace", "streams", "--timeout=60s"]);

    // As docs/install.md says: by hand before the chart, which leaves it alone.
    machine.kubectl(&["delete", "crd", "livestreams.millrace.dev"]);
    machine.kubectl(&["apply", "-f", &crds]);
    machine.helm("install", "live", &values);
    assert_eq!(crd()["metadata"]["annotations"][policy], Value::Null);
    machine.helm("upgrade", "live", &values);
    machine.helm("uninstall", "live", &[]);
    assert!(machine.exists(&["crd", "livestreams.millrace.dev"]));
}

/// What the hook does before the release goes, with the rights of the hook.
fn release(machine: &Machine, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let rendered = machine.helm.render("live", &["quickstart"]).unwrap();
    let mut hook = rendered.clone();
    hook.objects.retain(|object| {
        object
            .pointer("/metadata/annotations/helm.sh~1hook")
            .is_some_and(|hook| hook == "pre-delete")
    });
    let job = hook.objects.iter().find(|object| text(object, "/kind") == "Job").unwrap().clone();
    hook.objects.retain(|object| text(object, "/kind") != "Job");
    assert_eq!(hook.objects.len(), 5);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": hook.objects });
    let file = folder.join("hook.json");
    std::fs::write(&file, list.to_string()).unwrap();
    machine.kubectl(&["apply", "-f", &file.display().to_string()]);
    let kubeconfig = folder.join("kubeconfig");
    account(machine, "live", "millrace-release", &kubeconfig);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let command = container["command"].as_array().unwrap();
    let arguments = command[1..].iter().map(|argument| argument.as_str().unwrap());
    let output = Command::new(operator())
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", &kubeconfig)
        .envs([("POD_NAME", "hook"), ("POD_NAMESPACE", "live")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    machine.kubectl(&["delete", "-f", &file.display().to_string()]);
}
