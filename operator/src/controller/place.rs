//! Where the operator is, which LiveStreams are its own, and how it reaches the
//! API server.

use std::time::Duration;

use kube::Client;
use millrace_platform::config::{ConfigError, Env};

/// A request that is not a watch is answered within this.
const READ_TIMEOUT: Duration = Duration::from_secs(100);
/// A request about the Lease is answered within this.
const LEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is made within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the operator is, and which LiveStreams are its own.
#[derive(Debug, Clone)]
pub struct Place {
    /// Namespaces whose LiveStreams are looked after; none is all of them.
    pub namespaces: Option<Vec<String>>,
    /// Where the operator's own Lease is.
    pub own_namespace: String,
    /// Which replica this is.
    pub identity: String,
}

impl Place {
    /// Read it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let own_namespace = env.or("POD_NAMESPACE", "millrace".to_owned());
        let identity = env.optional::<String>("POD_NAME");
        let namespaces = env.text("WATCH_NAMESPACES").map(|list| {
            list.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
        });
        Ok(Self {
            namespaces: namespaces.filter(|list: &Vec<String>| !list.is_empty()),
            own_namespace: own_namespace?,
            identity: identity?.unwrap_or_else(|| format!("operator-{}", uuid::Uuid::new_v4())),
        })
    }

    /// A client of the API server that is in the cluster or in KUBECONFIG.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client_with(READ_TIMEOUT).await
    }

    /// One for the Lease, whose renewal must not hang for longer than the Lease
    /// is good for.
    pub async fn lease_client(&self) -> anyhow::Result<Client> {
        client_with(LEASE_TIMEOUT).await
    }
}

async fn client_with(timeout: Duration) -> anyhow::Result<Client> {
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
