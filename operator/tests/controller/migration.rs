//! The operator is started while Postgres is away, or before it has a schema.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use millrace_harness::proxy::{Mode, Proxy};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::live::publisher;
use super::outages::{children_of, says};
use super::outside::Outside;
use super::support::{Operator, World, condition};

/// An empty database behind a proxy, for a role that is not there yet.
struct Empty {
    proxy: Proxy,
    /// Its owner's URL, not through the proxy.
    direct: String,
    owner: String,
    control: String,
}

impl Empty {
    async fn new(world: &mut World) -> Self {
        let server = std::env::var("TEST_DATABASE_URL").unwrap();
        let name = format!("empty_{:016x}", rand::random::<u64>());
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(create).await.unwrap();
        let (_, rest) = server.split_once('@').unwrap();
        let (address, _) = rest.split_once('/').unwrap();
        let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
        let url = |role: &str, at: &str| format!("postgres://{role}@{at}/{name}");
        let (through, control) = (proxy.address().to_string(), format!("{name}_control"));
        world.servers.database = url(&control, &through);
        Self { proxy, direct: url("postgres", address), owner: url("postgres", &through), control }
    }

    fn start(&self, world: &World) -> Operator {
        world.start(&[
            ("DATABASE_MIGRATE_URL", self.owner.as_str()),
            ("DATABASE_ROLE_CONTROL", self.control.as_str()),
        ])
    }

    async fn execute(&self, sql: &'static str) {
        PgConnection::connect(&self.direct).await.unwrap().execute(sql).await.unwrap();
    }
}

async fn transcoders(world: &World) -> i32 {
    let api: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let of = |one: &Deployment| one.metadata.name.as_ref().unwrap().ends_with("-transcode");
    all.into_iter().find(of).unwrap().spec.unwrap().replicas.unwrap_or(1)
}

/// It leads and is ready, and says that Postgres and its schema are missing.
async fn leads_without(world: &World, operator: &Operator) {
    operator.wait_ready().await;
    for check in ["schema", "postgres"] {
        assert_eq!(operator.check(check).await["ok"], false, "{check}");
    }
    world.eventually("shown", || async { operator.metric("breaker_state").await == 2 }).await;
    let failing = || async { operator.metric("check_failing").await == 2 };
    world.eventually("the only ones that fail", failing).await;
}

async fn is_fine(world: &World, operator: &Operator) {
    let fine = || async {
        operator.check("schema").await["ok"] == true
            && operator.check("postgres").await["ok"] == true
    };
    world.eventually("fine", fine).await;
}

async fn started_without(mode: Mode) {
    let Some(mut world) = World::shared().await else { return };
    let empty = Empty::new(&mut world).await;
    let world = &world;
    empty.proxy.set(mode);
    let operator = empty.start(world);
    leads_without(world, &operator).await;
    let spec = json!({ "broadcaster": "acme", "transcode": { "idle": "ScaleToZero" } });
    world.create("keynote", spec).await;
    let waits =
        "KeysReady=PostgresUnavailable TopicsReady=PostgresUnavailable CacheReady=CacheReady";
    world.until("keynote", "waiting", says(waits)).await;
    world.eventually("applied", || async { children_of(world, "keynote").await == 6 }).await;

    empty.proxy.set(Mode::Pass);
    world.ready("keynote").await;
    is_fine(world, &operator).await;
    let outside = Outside::of(world);
    assert_eq!(outside.has("keynote").await, ["keys", "row", "topic"].into());
    operator.stop().await;

    // Away again, and what is there needs it for nothing.
    assert_eq!(transcoders(world).await, 0);
    empty.proxy.set(mode);
    let operator = empty.start(world);
    leads_without(world, &operator).await;
    let mut publisher = publisher(world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    world.eventually("awake", || async { transcoders(world).await == 1 }).await;
    let status = world.until("keynote", "live", |status| status.broadcast.is_some()).await;
    assert_eq!(condition(&status, "KeysReady").reason, "PostgresUnavailable");
    assert_eq!(condition(&status, "TopicsReady").reason, "TopicsReady");

    empty.proxy.set(Mode::Pass);
    is_fine(world, &operator).await;
    world.until("keynote", "in order", says("KeysReady=KeysReady")).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_without_postgres_it_leads_and_migrates_when_postgres_comes() {
    started_without(Mode::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_with_a_silent_postgres_it_leads_and_migrates_when_postgres_answers() {
    started_without(Mode::BlackHole).await;
}

/// What is in the way of the first migration.
const IN_THE_WAY: &str = "CREATE TABLE stream_keys (what text)";

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_ends_the_process_before_it_leads_and_says_why() {
    let Some(mut world) = World::shared().await else { return };
    let empty = Empty::new(&mut world).await;
    empty.execute(IN_THE_WAY).await;
    let mut operator = empty.start(&world);
    assert!(!operator.wait_ended().await.success());
    let told = world.log_tail();
    assert!(told.contains("migrate postgres://") && told.contains("already exists"), "{told}");
    assert!(!told.contains("leader"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_when_postgres_comes_ends_the_process_and_says_why() {
    let Some(mut world) = World::shared().await else { return };
    let empty = Empty::new(&mut world).await;
    empty.execute(IN_THE_WAY).await;
    empty.proxy.set(Mode::Reset);
    let mut operator = empty.start(&world);
    leads_without(&world, &operator).await;
    empty.proxy.set(Mode::Pass);
    assert!(!operator.wait_ended().await.success());
    let told = world.log_tail();
    assert!(told.contains("migrate postgres://") && told.contains("already exists"), "{told}");
}

/// As after a rollback.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_schema_of_a_newer_version_it_works_and_says_so() {
    let Some(mut world) = World::shared().await else { return };
    let empty = Empty::new(&mut world).await;
    let operator = empty.start(&world);
    operator.wait_ready().await;
    operator.stop().await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a newer version', true, '', 0)";
    empty.execute(newer).await;
    let operator = empty.start(&world);
    operator.wait_ready().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert!(log.contains("9999") && log.contains("left as it is"), "{log}");
    operator.stop().await;
}
