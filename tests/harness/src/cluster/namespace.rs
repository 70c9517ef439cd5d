//! A namespace of one test.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace as Object;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;

use super::{Cluster, client};

/// A namespace that is deleted, with all in it, when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    kubeconfig: Kubeconfig,
}

impl Namespace {
    pub(super) async fn create(cluster: &Cluster, prefix: &str) -> Result<Self> {
        let name = format!("{prefix}-{:08x}", rand::random::<u32>());
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let object = Object { metadata, ..Object::default() };
        let api: Api<Object> = Api::all(cluster.client());
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("creating the namespace {name}"))?;
        Ok(Self { name, kubeconfig: cluster.kubeconfig.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace {
    /// Asks for it and does not wait: a finalizer of something in it may never go.
    fn drop(&mut self) {
        let (name, kubeconfig) = (self.name.clone(), self.kubeconfig.clone());
        // The test's runtime may be at its end: a thread with its own.
        let deletion = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let api: Api<Object> = Api::all(client(&kubeconfig).await?);
                let params = DeleteParams::default();
                let deletion = api.delete(&name, &params);
                tokio::time::timeout(Duration::from_secs(2), deletion).await??;
                Ok(())
            })
        });
        let _ = deletion.join();
    }
}
