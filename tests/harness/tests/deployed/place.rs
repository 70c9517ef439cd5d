//! The cluster, as tests/e2e.sh describes it.

use std::env;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use millrace_harness::http::Http;

/// Host name of the installation's Ingress.
pub(crate) const SHARED_HOST: &str = "video.example.test";
/// Host name of the Ingress of another one beside it.
pub(crate) const SECOND_HOST: &str = "second.example.test";
/// Host name of a LiveStream's own.
pub(crate) const OWN_HOST: &str = "keynote.example.test";

/// Where things are. `KUBECONFIG` is for kubectl and helm to read.
pub(crate) struct Place {
    /// Where the Ingress controller listens (`E2E_INGRESS`).
    pub(crate) ingress: SocketAddr,
    /// Address of a node (`E2E_NODE`).
    pub(crate) node: String,
    /// Of the images, which the nodes have (`E2E_TAG`).
    pub(crate) tag: String,
    /// Of those of the next version, which has one more migration (`E2E_NEXT_TAG`).
    pub(crate) next_tag: String,
    /// Networks of the Ingress controller's pods and of the nodes (`E2E_PROXIES`).
    pub(crate) proxies: String,
    /// A script that ends and starts the node's programs, if there is one (`E2E_NODE_PROGRAMS`).
    pub(crate) node_programs: Option<String>,
}

impl Place {
    pub(crate) fn of_environment() -> Result<Self> {
        let read = |name: &str| env::var(name).with_context(|| format!("{name}: run `make e2e`"));
        Ok(Self {
            ingress: read("E2E_INGRESS")?.parse().context("E2E_INGRESS is no address with port")?,
            node: read("E2E_NODE")?,
            tag: read("E2E_TAG")?,
            next_tag: read("E2E_NEXT_TAG")?,
            proxies: read("E2E_PROXIES")?,
            node_programs: env::var("E2E_NODE_PROGRAMS").ok(),
        })
    }

    /// A client for whom the test's host names are at the Ingress.
    pub(crate) fn http(&self) -> Result<Http> {
        Http::with_names(&[SHARED_HOST, SECOND_HOST, OWN_HOST], self.ingress)
    }
}
