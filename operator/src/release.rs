//! `millrace-operator release`: lets all LiveStreams go before the operator is
//! uninstalled. Without it they would wait for ever for an operator that takes
//! its finalizer off, and so would their namespaces.
//!
//! It takes the Lease first, so that no operator puts the finalizer on again
//! while it works. Children stay as they are: an operator that is installed
//! later takes them up.

use anyhow::Context;
use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt};
use millrace_platform::config::Env;
use millrace_platform::report::report;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::LiveStream;
use crate::controller::leader::{self, Lease};
use crate::controller::place::Place;
use crate::controller::{self, client};
use crate::reconcile::finalize;

/// LiveStreams asked for at once.
const PAGE: u32 = 500;
/// Times all are looked through: somebody may change one meanwhile.
const ROUNDS: u32 = 20;

/// What to do besides.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Scale this Deployment of POD_NAMESPACE, the operator's, to zero first
    #[arg(long, value_name = "NAME")]
    stop_deployment: Option<String>,
}

/// Do it, or end with `stop`.
pub(crate) async fn run(args: ReleaseArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let env = Env::from_process();
    let place = Place::read(&env);
    env.report()?;
    let place = place?;
    let client = client::persistent(controller::TIMEOUT).await?;
    let work = async {
        if let Some(name) = &args.stop_deployment {
            scale_down(&client, &place.own_namespace, name).await?;
        }
        let mut lease = Lease::new(client::once(leader::TIMEOUT).await?, &place);
        lease.take().await;
        let done = tokio::select! {
            done = release_all(&client, &place) => done,
            lost = lease.keep() => Err(lost.into()),
        };
        if let Err(error) = lease.release().await {
            warn!(error = report(&error), "another has to wait for the Lease to run out");
        }
        done
    };
    stop.run_until_cancelled(work).await.context("told to stop before it was done")?
}

async fn scale_down(client: &Client, namespace: &str, name: &str) -> anyhow::Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    match api.patch_scale(name, &PatchParams::default(), &none).await {
        Ok(_) => info!(deployment = name, "scaled to zero"),
        Err(error) if is_missing(&error) => info!(deployment = name, "is not there"),
        Err(error) => return Err(error).with_context(|| format!("scaling {name} to zero")),
    }
    Ok(())
}

async fn release_all(client: &Client, place: &Place) -> anyhow::Result<()> {
    let mut released = 0;
    for _ in 0..ROUNDS {
        let held = held(client, place).await?;
        if held.is_empty() {
            info!(released, "no LiveStream is held any more");
            return Ok(());
        }
        for stream in held {
            let done = finalize::release(client, &stream).await;
            match done {
                Ok(()) => released += 1,
                // It was changed since it was listed: in the next round.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => {
                    let (namespace, name) = (stream.namespace(), stream.name_any());
                    let namespace = namespace.unwrap_or_default();
                    return Err(error).with_context(|| format!("releasing {namespace}/{name}"));
                }
            }
        }
    }
    anyhow::bail!("LiveStreams are held again and again: does another operator run?")
}

/// All that have the finalizer. None where there is no such kind any more.
async fn held(
    client: &Client,
    place: &Place,
) -> anyhow::Result<Vec<PartialObjectMeta<LiveStream>>> {
    let apis: Vec<Api<LiveStream>> = match &place.namespaces {
        Some(names) => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
        None => vec![Api::all(client.clone())],
    };
    let mut held = Vec::new();
    for api in apis {
        let mut page = ListParams::default().limit(PAGE);
        loop {
            // Of what they say nothing matters: it may not even be valid.
            let list = match api.list_metadata(&page).await {
                Err(error) if is_missing(&error) => break,
                list => list.context("listing LiveStreams")?,
            };
            held.extend(list.items.into_iter().filter(finalize::is_held));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(held)
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
