//! What a replica does beside answering requests: it reports who watches, looks
//! after the keys of tokens, and
//! where there is a Postgres it writes sessions, and takes its turn at the work
//! that one replica does for all.

use std::pin::Pin;
use std::time::Duration;

use millrace_platform::config::DatabaseConfig;
use millrace_platform::postgres::metrics::StreamMetrics;
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::sessions::Sessions;
use millrace_platform::postgres::singleton::Singleton;
use millrace_platform::postgres::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use crate::aggregate::Aggregator;
use crate::aggregate::rows::Rows;
use crate::audience::flush::Flush;
use crate::audience::record::{Record, Writer};
use crate::http::state::Shared;
use crate::keeping::Keeping;
use crate::settings::Settings;

/// A task that runs until the shutdown, and its name.
pub type Task = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>);

/// A stopping process writes what its last second saw, after that second.
const LAST_SECOND: Duration = Duration::from_millis(500);

/// All tasks; those of the record where there is a `database`, that of the
/// settings. They end with `shutdown`, what writes after what is written.
///
/// # Errors
/// When `DATABASE_URL` holds options Postgres does not know.
pub fn tasks(
    settings: &Settings,
    database: Option<Database>,
    shared: &Shared,
    shutdown: &CancellationToken,
) -> Result<Vec<Task>, DatabaseError> {
    let record = database.as_ref().map(|_| Record::new(shared.metrics.clone()));
    let audience = shared.audience.clone();
    let flush = Flush::new(audience, &shared.origin, record.clone(), shared.metrics.clone());
    let keys = shared.access.clone().watch(shutdown.clone());
    let mut tasks: Vec<Task> = vec![
        ("audience", Box::pin(flush.run(shutdown.clone()))),
        ("playback keys", Box::pin(keys)),
    ];
    if let (Some(config), Some(database), Some(record)) = (&settings.database, database, record) {
        tasks.extend(recording(settings, (config, &database), shared, record, shutdown)?);
    }
    Ok(tasks)
}

fn recording(
    settings: &Settings,
    (config, database): (&DatabaseConfig, &Database),
    shared: &Shared,
    record: Record,
    shutdown: &CancellationToken,
) -> Result<[Task; 4], DatabaseError> {
    let installation = &settings.installation;
    let sessions = || Sessions::new(database.clone(), installation.clone());
    let place = |name| Singleton::new(config, installation, name);
    let outbox = || Outbox::new(database.clone(), installation.clone());

    let rows = Rows::new(shared.metrics.clone());
    let table = StreamMetrics::new(database.clone(), installation.clone());
    let aggregator =
        Aggregator::new(place("metrics")?, &shared.origin, rows.clone(), shared.metrics.clone());
    let keeping = Keeping::new(database.clone(), sessions(), outbox(), settings.retention);
    let keeper = place("keeping")?;
    let writer = Writer::new(record, database.clone(), sessions(), outbox());
    let last = after(shutdown.clone());
    let stop = shutdown.clone();
    Ok([
        ("sessions", Box::pin(writer.run(last.clone()))),
        ("metrics", Box::pin(aggregator.run(shutdown.clone()))),
        ("metrics rows", Box::pin(rows.write(table, last))),
        ("keeping", Box::pin(async move { keeper.run(stop, |stop| keeping.work(stop)).await })),
    ])
}

/// A token that is cancelled a moment after `first`.
fn after(first: CancellationToken) -> CancellationToken {
    let later = CancellationToken::new();
    let cancel = later.clone();
    // Lives as long as the process at most, and owns nothing.
    tokio::spawn(async move {
        first.cancelled().await;
        tokio::time::sleep(LAST_SECOND).await;
        cancel.cancel();
    });
    later
}
