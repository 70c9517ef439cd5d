//! Proxies between Millrace and its servers.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use millrace_harness::proxy::Proxy;
use millrace_harness::services::{Addresses, S3, Servers};

/// One in front of each server that can have one: Kafka's tell their clients where they are.
pub(crate) struct Between {
    pub(crate) redis: Proxy,
    pub(crate) postgres: Proxy,
    /// In front of the S3 server, where there is one: else a directory is the store.
    pub(crate) store: Option<(Proxy, S3)>,
}

impl Between {
    /// Lets everything pass.
    ///
    /// # Errors
    /// When there is no port for one.
    pub(crate) async fn start(servers: &Servers) -> Result<Self> {
        let Addresses { database, redis, .. } = servers.addresses();
        let store = match servers.s3() {
            None => None,
            Some(s3) => Some((Proxy::start(s3.address.parse()?).await?, s3.clone())),
        };
        Ok(Self {
            redis: Proxy::start(server(redis)?).await?,
            postgres: Proxy::start(server(database)?).await?,
            store,
        })
    }

    /// Puts the proxies in the servers' places.
    pub(crate) fn redirect(&self, servers: &mut Addresses) {
        servers.redis = format!("redis://{}", self.redis.address());
        if let Ok(there) = server(&servers.database) {
            let proxy = self.postgres.address().to_string();
            servers.database = servers.database.replace(&there.to_string(), &proxy);
        }
    }

    /// What a Millrace is told of its store.
    pub(crate) fn environment(&self, prefix: &str) -> Vec<(String, String)> {
        let environment =
            |(proxy, s3): &(Proxy, S3)| s3.environment(&proxy.address().to_string(), prefix);
        self.store.as_ref().map(environment).unwrap_or_default()
    }
}

/// The address in a URL.
fn server(url: &str) -> Result<SocketAddr> {
    let (_, rest) = url.split_once("://").with_context(|| url.to_owned())?;
    let place = rest.split('/').next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default();
    place.parse().with_context(|| format!("the address in {url}"))
}
