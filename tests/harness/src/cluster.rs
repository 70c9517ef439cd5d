//! A real Kubernetes API server without a node, through tests/cluster/lean.sh: the one that
//! `make test` starts for all tests, or an own one that a test may stop and restart.
//!
//! Objects are checked, defaulted, stored and watched as in any cluster, Deployments get their
//! ReplicaSets and Pods, owners take their children along; no Pod ever runs. Where Go is missing
//! there is no API server: then the functions say `None`, and the test has nothing to do.

pub mod account;
pub mod audit;
pub mod door;
pub mod namespace;
pub mod rbac;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Client, Config, ResourceExt};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::timeout;

use crate::repo;
pub use account::Account;
pub use door::Door;
pub use namespace::Namespace;

/// An API server with its controllers, and an administrator's client of it.
pub struct Cluster {
    folder: PathBuf,
    kubeconfig: Kubeconfig,
    client: Client,
    /// Ended when this is dropped.
    own: bool,
}

impl Cluster {
    /// The one that all tests share. `None` where it was left out.
    ///
    /// # Errors
    /// When `TEST_KUBECONFIG` is not set or nobody can be reached there.
    pub async fn shared() -> Result<Option<Self>> {
        let path = variable()?;
        if left_out(&path) {
            return Ok(None);
        }
        let folder = Path::new(&path).parent().context("TEST_KUBECONFIG has no folder")?;
        Self::open(folder.to_owned(), false).await.map(Some)
    }

    /// A new one, about 3 s, which ends when it is dropped or this process ends. `None` where the
    /// shared one was left out.
    ///
    /// # Errors
    /// When it does not start; the script has said why on stderr.
    pub async fn start() -> Result<Option<Self>> {
        Self::start_with(&[]).await
    }

    /// The same, with more flags of kube-apiserver.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(flags: &[&str]) -> Result<Option<Self>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if left_out(&variable()?) {
            return Ok(None);
        }
        // In the folder of the run, which sweeps what a killed test leaves.
        let place = env::var_os("MILLRACE_TEST_RUN").map_or_else(env::temp_dir, PathBuf::from);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = place.join("clusters").join(format!("{pid}-{count}"));
        let mut up = script();
        up.arg("up").arg(&folder).env("OWNER", pid.to_string());
        up.env("API_SERVER_FLAGS", flags.join(" "));
        finish(&mut up).await.context("the API server did not start")?;
        Self::open(folder, true).await.map(Some)
    }

    async fn open(folder: PathBuf, own: bool) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(folder.join("admin.kubeconfig"))?;
        let client = client(&kubeconfig).await?;
        Ok(Self { folder, kubeconfig, client, own })
    }

    /// An administrator's client. The audit log knows it as `admin`.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The administrator's kubeconfig, as a file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// `https://127.0.0.1:port`; its certificate is good for any port of that address.
    pub fn url(&self) -> String {
        let cluster = self.kubeconfig.clusters.first().and_then(|named| named.cluster.as_ref());
        cluster.and_then(|cluster| cluster.server.clone()).unwrap_or_default()
    }

    /// Runs kubectl as the administrator and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(self.folder.join("kubectl"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("running kubectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A new, empty namespace of a name nobody else has: `<prefix>-<random>`.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn namespace(&self, prefix: &str) -> Result<Namespace> {
        Namespace::create(self, prefix).await
    }

    /// Installs crds/ and waits until LiveStreams can be made. May be asked any number of times.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn install_crd(&self) -> Result<()> {
        self.install(&repo::root().join("crds/livestreams.millrace.dev.yaml")).await
    }

    /// Installs the Gateway API's HTTPRoute. For an own cluster: an operator behaves differently
    /// where it is.
    ///
    /// # Errors
    /// When it cannot be fetched or the API server refuses it.
    pub async fn install_http_routes(&self) -> Result<()> {
        let mut script = Command::new(repo::root().join("tests/cluster/gateway-api.sh"));
        let path = finish(script.stdin(Stdio::null())).await?;
        self.install(Path::new(path.trim())).await
    }

    async fn install(&self, path: &Path) -> Result<()> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let crd: CustomResourceDefinition = serde_yaml::from_str(&text)?;
        let name = crd.name_any();
        let api: Api<CustomResourceDefinition> = Api::all(self.client());
        let params = PatchParams::apply("millrace-tests").force();
        let applied = api.patch(&name, &params, &Patch::Apply(&crd)).await;
        applied.with_context(|| format!("installing {name}"))?;
        let established = await_condition(api, &name, conditions::is_crd_established());
        let served = timeout(Duration::from_secs(30), established).await;
        served.with_context(|| format!("{name} is not served"))??;
        Ok(())
    }

    /// Kills the API server as a crash would; its data and its port stay.
    ///
    /// # Errors
    /// When this is the shared cluster.
    pub async fn stop_api_server(&self) -> Result<()> {
        self.command("kill", "kube-apiserver").await
    }

    /// Starts it again and waits until it is ready, about 2 s.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_api_server(&self) -> Result<()> {
        self.command("start", "kube-apiserver").await
    }

    /// Both.
    ///
    /// # Errors
    /// As each of them.
    pub async fn restart_api_server(&self) -> Result<()> {
        self.stop_api_server().await?;
        self.start_api_server().await
    }

    /// Stops the controllers: nobody makes Pods, collects children or ends namespaces.
    ///
    /// # Errors
    /// When this is the shared cluster.
    pub async fn stop_controllers(&self) -> Result<()> {
        self.command("kill", "kube-controller-manager").await
    }

    /// CPU time that a program of it, as `etcd`, has used so far.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cpu(&self, program: &str) -> Result<Duration> {
        let path = self.folder.join(format!("{program}.pid"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let pid = text.split_whitespace().next().context("no process")?.parse()?;
        crate::process::cpu(Pid::from_raw(pid))
    }

    async fn command(&self, what: &str, program: &str) -> Result<()> {
        if !self.own {
            bail!("only an own cluster may be stopped or started: {what} {program}");
        }
        let mut command = script();
        command.arg(what).arg(&self.folder).arg(program);
        finish(&mut command).await.map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.own {
            let script = repo::root().join("tests/cluster/lean.sh");
            let mut down = std::process::Command::new(script);
            let _ = down.arg("down").arg(&self.folder).arg("drop").status();
        }
    }
}

fn variable() -> Result<String> {
    env::var("TEST_KUBECONFIG").context("TEST_KUBECONFIG is not set: run `make test`")
}

/// What tests/run.sh says where there is no Go.
fn left_out(path: &str) -> bool {
    path == "none"
}

fn script() -> Command {
    let mut command = Command::new(repo::root().join("tests/cluster/lean.sh"));
    // A terminal's Ctrl-C is for the program that calls this: half-started servers would stay.
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// What it printed.
async fn finish(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_owned();
    let output =
        command.output().await.with_context(|| format!("running {}", program.display()))?;
    if !output.status.success() {
        bail!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn client(kubeconfig: &Kubeconfig) -> Result<Client> {
    // A second installation in the same process fails, and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await?;
    Ok(Client::try_from(config)?)
}
