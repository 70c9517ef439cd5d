//! `millrace-operator run`: the process around the reconciles.
//!
//! Each brings Postgres to its schema, or goes on without it ([`migration`]).
//! One replica works at a time ([`leader`]); the others wait. The leader
//! watches LiveStreams and their children ([`watches`]), and reconciles what
//! changed, a bounded number at once. A task that ends, a lost lease or a watch
//! that can't be had ends the process: it starts again with nothing
//! half-known.

pub mod client;
pub mod drains;
pub mod leader;
pub mod metrics;
pub mod migration;
pub mod outside;
pub mod place;
pub mod queue;
pub mod settings;
mod states;
pub mod watches;

use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use kube::runtime::events::{Recorder, Reporter};
use millrace_platform::config::Env;
use millrace_platform::health::{self, Health};
use millrace_platform::supervise::Supervisor;
use millrace_platform::telemetry::Metrics;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::reconcile::apply::Applier;
use crate::reconcile::behind::Behind;
use crate::reconcile::context::{Context, Live, SeenStore};
use crate::reconcile::drains::Drains;
use crate::reconcile::external::External;
use crate::reconcile::external::{live, sweep};
use crate::reconcile::keys_known::KeysKnown;
use crate::reconcile::suspended::Suspended;
use metrics::ControllerMetrics;
use migration::Migration;
use queue::Queue;
use settings::Settings;
use states::States;
use watches::{Triggers, Watches};

/// A request that is not a watch is answered within this.
pub const TIMEOUT: Duration = Duration::from_secs(100);
/// Reconciles that run on when the process is told to stop have this long.
const FAREWELL: Duration = Duration::from_secs(20);

/// Run until `stop`, or until the process can't go on.
pub async fn run(stop: CancellationToken) -> anyhow::Result<()> {
    let env = Env::from_process();
    let settings = Settings::read(&env);
    let external = External::open(&env)?;
    let settings = settings?;
    let client = client::once(TIMEOUT).await?;
    let (health, process_metrics) = (Health::default(), Metrics::default());
    let metrics = ControllerMetrics::register(&process_metrics);
    process_metrics.with(|registry| external.breakers().register(registry));
    external.show(&health);
    let migration = settings.schema.clone();
    let migration = migration.map(|it| Migration::new(it, external.clone(), health.clone()));
    let mut supervisor = Supervisor::new(stop.clone());

    let listener = health::bind(settings.health).await?;
    info!(address = %listener.local_addr()?, "health and metrics");
    let served = health::serve(listener, health.clone(), process_metrics.clone(), stop.clone());
    supervisor.spawn("health", served);
    if let Some(migration) = migration {
        let Some(begun) = stop.run_until_cancelled(migration.begin()).await else { return Ok(()) };
        supervisor.spawn("schema", begun?.run(stop.clone()));
    }

    let mut lease = leader::Lease::new(client::once(leader::TIMEOUT).await?, &settings.place);
    let check = health.informative("leader");
    if stop.run_until_cancelled(lease.take()).await.is_none() {
        return Ok(());
    }
    check.ok();
    // Whoever leads is not ready before it knows all.
    let is_synced = health.needed("synced");
    metrics.leader.set(1);
    let routes = tokio::select! {
        routes = watches::has_routes(&client) => routes,
        lost = lease.keep() => return Err(lost.into()),
        () = stop.cancelled() => return Ok(lease.release().await?),
    };

    let (triggers, triggered) = Triggers::new(settings.place.namespaces.as_ref());
    let reporter = Reporter {
        controller: "millrace-operator".into(),
        instance: Some(settings.place.identity.clone()),
    };
    let (seen, drains) = (SeenStore::default(), Drains::default());
    let watches = Watches {
        routes,
        client: client.clone(),
        namespaces: settings.place.namespaces.clone(),
        workers_namespace: settings.installation.workers_namespace.clone(),
        seen: seen.clone(),
        drains: drains.clone(),
        triggers,
        metrics: metrics.clone(),
    };
    let (logs, changed, looking) = live::start(&external, stop.clone())?;
    supervisor.spawn("logs", looking.map(Ok::<_, Infallible>));
    let (stores, streams): (Vec<_>, Vec<_>) = watches.streams(&health).into_iter().unzip();
    let states = States(stores.clone());
    process_metrics.with(|registry| registry.register_collector(Box::new(states)));
    let context = Arc::new(Context {
        applier: Applier::new(client.clone()),
        recorder: Recorder::new(client.clone(), reporter),
        streams: stores,
        listed: AtomicUsize::new(0),
        deleted: Mutex::default(),
        seen,
        drains,
        drain_timeout: settings.drain_timeout,
        behind: Behind::default(),
        keys_known: KeysKnown::default(),
        suspended: Suspended::default(),
        live: Live::new(logs),
        namespaces: settings.place.namespaces.clone(),
        external,
        installation: settings.installation.clone(),
        client,
    });
    let told = outside::Told { context: context.clone(), triggers: watches.triggers.clone() };
    supervisor.spawn(
        "changes of logs",
        told.clone().logs(changed, stop.clone()).map(Ok::<_, Infallible>),
    );
    let draining = drains::run(context.clone(), watches.triggers.clone(), stop.clone());
    supervisor.spawn("drains", draining.map(Ok::<_, Infallible>));
    supervisor.spawn("figures", told.figures(stop.clone()).map(Ok::<_, Infallible>));
    let sweeping = (context.clone(), settings.sweep, stop.clone());
    supervisor.spawn("sweep", async move {
        let (context, pace, stop) = sweeping;
        sweep::run(&context.external, &*context, pace, &stop).await;
        Ok::<_, Infallible>(())
    });
    let synced = watches.spawn(&mut supervisor, &health);
    let queue = Queue::new(context, metrics, settings.concurrency);
    let queues = streams.into_iter().zip(triggered).collect();
    queue.spawn(&mut supervisor, queues, synced, is_synced);
    tokio::select! {
        done = supervisor.run(FAREWELL) => {
            // Not before the last reconcile has ended: another replica begins.
            let released = lease.release().await;
            done?;
            Ok(released?)
        }
        // At once, and with it all that runs.
        lost = lease.keep() => Err(lost.into()),
    }
}
