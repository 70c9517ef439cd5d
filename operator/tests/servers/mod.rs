//! The servers that `make test` starts, and a database of this test program's
//! own. Tests are kept apart by the installation id.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor};

/// Connection settings of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    pub(crate) database: String,
    pub(crate) redis: String,
    pub(crate) kafka: String,
    pub(crate) installation: String,
}

impl Servers {
    /// A new installation in this program's database.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            database: database().to_owned(),
            redis: variable("TEST_REDIS_URL"),
            kafka: variable("TEST_KAFKA_BROKERS"),
            // No clean machine: another run may have left topics and rows.
            installation: format!("t{:08x}-{count}", rand::random::<u32>()),
        }
    }

    pub(crate) fn pairs(&self) -> [(&'static str, String); 4] {
        [
            ("DATABASE_URL", self.database.clone()),
            ("REDIS_URL", self.redis.clone()),
            ("KAFKA_BROKERS", self.kafka.clone()),
            ("MILLRACE_INSTALLATION", self.installation.clone()),
        ]
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

/// Made and migrated by the first test that asks.
fn database() -> &'static str {
    static DATABASE: OnceLock<String> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let server = variable("TEST_DATABASE_URL");
        let name = format!("operator_{:016x}", rand::random::<u64>());
        let create = format!("CREATE DATABASE {name}");
        // A thread and a runtime of its own: the caller may be a task.
        std::thread::scope(|scope| {
            scope.spawn(|| run(create_on(&server, create)));
        });
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        migrate(&url);
        url
    })
}

/// Brings a database's schema up, by the program that people use for it.
pub(crate) fn migrate(url: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace-operator"))
        .arg("migrate")
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work);
}

async fn create_on(server: &str, create: String) {
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
}
