//! The operator's settings, from its environment.

use std::net::SocketAddr;
use std::time::Duration;

use kube::Client;
use millrace_platform::config::{ConfigError, Env};

use crate::reconcile::build::Installation;
use crate::reconcile::external::sweep::Pace;

/// A request that is not a watch is answered within this.
const READ_TIMEOUT: Duration = Duration::from_secs(100);
/// A request about the Lease is answered within this.
const LEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// Seconds of a drain before a live stream's ingest pod may be evicted.
const DRAIN_TIMEOUT: u64 = 300;
/// A connection is made within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespaces whose LiveStreams are looked after; none is all of them.
    pub namespaces: Option<Vec<String>>,
    /// Where the operator's own Lease is.
    pub own_namespace: String,
    /// Which replica this is.
    pub identity: String,
    /// Where `/health/*` and `/metrics` are served.
    pub health: SocketAddr,
    /// Reconciles at once.
    pub concurrency: u16,
    /// When what deleted LiveStreams left outside is cleaned up.
    pub sweep: Pace,
    /// How long a live stream's ingest pod is kept on a node that is being
    /// emptied.
    pub drain_timeout: Duration,
    /// What the installation decides about children.
    pub installation: Installation,
}

impl Settings {
    /// Read them.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let own_namespace = env.or("POD_NAMESPACE", "millrace".to_owned());
        let identity = env.optional::<String>("POD_NAME");
        let health = env.listen("HEALTH", 8090);
        let concurrency = env.within("RECONCILE_CONCURRENCY", 16, 1..=256);
        let usual = Pace::default();
        let after = env.within("SWEEP_AFTER_SECONDS", usual.after.as_secs(), 10..=86_400);
        let every = env.within("SWEEP_EVERY_SECONDS", usual.every.as_secs(), 1..=3_600);
        let drain = env.within("DRAIN_TIMEOUT_SECONDS", DRAIN_TIMEOUT, 0..=86_400);
        let namespaces = env.text("WATCH_NAMESPACES").map(|list| {
            list.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
        });
        let installation = installation(env);
        env.report()?;
        let own_namespace = own_namespace?;
        let mut installation = installation?;
        if env.text("WORKERS_NAMESPACE").is_none() {
            installation.workers_namespace.clone_from(&own_namespace);
        }
        Ok(Self {
            namespaces: namespaces.filter(|list: &Vec<String>| !list.is_empty()),
            own_namespace,
            identity: identity?.unwrap_or_else(|| format!("operator-{}", uuid::Uuid::new_v4())),
            health: health?,
            concurrency: concurrency?,
            sweep: Pace { after: Duration::from_secs(after?), every: Duration::from_secs(every?) },
            drain_timeout: Duration::from_secs(drain?),
            installation,
        })
    }

    /// A client of the API server that is in the cluster or in KUBECONFIG.
    pub async fn client(&self) -> anyhow::Result<Client> {
        self.client_with(READ_TIMEOUT).await
    }

    /// One for the Lease, whose renewal must not hang for longer than the Lease
    /// is good for.
    pub async fn lease_client(&self) -> anyhow::Result<Client> {
        self.client_with(LEASE_TIMEOUT).await
    }

    async fn client_with(&self, timeout: Duration) -> anyhow::Result<Client> {
        let mut config = kube::Config::infer().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT.min(timeout));
        // Watches bring a bookmark a minute: longer silence is a dead one.
        config.read_timeout = Some(timeout);
        config.write_timeout = Some(timeout);
        // By it the API server's audit log tells our requests from others'.
        let agent = concat!("millrace-operator/", env!("CARGO_PKG_VERSION"));
        config.headers.push(("user-agent".parse()?, agent.parse()?));
        Ok(Client::try_from(config)?)
    }
}

fn installation(env: &Env) -> Result<Installation, ConfigError> {
    let usual = Installation::default();
    let id = millrace_platform::config::Installation::read(env)?;
    Ok(Installation {
        id: id.to_string(),
        workers_namespace: env.or("WORKERS_NAMESPACE", usual.workers_namespace)?,
        cluster_domain: env.or("CLUSTER_DOMAIN", usual.cluster_domain)?,
        image: env.or("WORKER_IMAGE", usual.image)?,
        image_pull_policy: env.or("WORKER_IMAGE_PULL_POLICY", usual.image_pull_policy)?,
        image_pull_secrets: list(env, "WORKER_IMAGE_PULL_SECRETS"),
        service_account: env.or("WORKER_SERVICE_ACCOUNT", usual.service_account)?,
        delivery_service: env.or("DELIVERY_SERVICE", usual.delivery_service)?,
        delivery_port: env.or("DELIVERY_PORT", usual.delivery_port)?,
        public_url: env.optional("PUBLIC_URL")?,
        default_ingress_class: env.optional("DEFAULT_INGRESS_CLASS")?,
        external_host: env.optional("EXTERNAL_HOST")?,
        playback_rules: env.or("PLAYBACK_RULES", usual.playback_rules)?,
        log_filter: env.or("WORKER_LOG", usual.log_filter)?,
        log_format: env.or("WORKER_LOG_FORMAT", usual.log_format)?,
        mock_ffmpeg: env.or("MOCK_FFMPEG", usual.mock_ffmpeg)?,
        ffmpeg_path: env.or("FFMPEG_PATH", usual.ffmpeg_path)?,
        ..Installation::default()
    })
}

fn list(env: &Env, name: &str) -> Vec<String> {
    let text = env.text(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
