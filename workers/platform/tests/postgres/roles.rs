use std::fmt::Write;
use std::time::Duration;

use millrace_media::id::Epoch;
use millrace_media::record::EndReason;
use millrace_platform::config::{Env, Installation, RolesConfig};
use millrace_platform::postgres::broadcasts::{BroadcastFilter, Broadcasts};
use millrace_platform::postgres::keys::{KeyFilter, Keys};
use millrace_platform::postgres::metrics::{Second, StreamMetrics};
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::partitions::Partitions;
use millrace_platform::postgres::qualities::Qualities;
use millrace_platform::postgres::record::Record;
use millrace_platform::postgres::sessions::{Session, SessionSource, Sessions};
use millrace_platform::postgres::singleton::Singleton;
use millrace_platform::postgres::tokens::{NewToken, Tokens};
use millrace_platform::postgres::{
    Database, DatabaseError, MigrateError, check_schema_min, grant_roles, latest_version, migrate,
};
use millrace_platform::tokens::{ApiToken, Scope, StreamPattern};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{PATIENCE, World, config, opened, stream};

/// The three roles of one test; they belong to the whole server.
struct Roles {
    world: World,
    config: RolesConfig,
}

fn names(world: &World, password: Option<&str>) -> RolesConfig {
    let pairs = ["CONTROL", "WORKER", "VIEWER"].into_iter().flat_map(|role| {
        let variable = format!("DATABASE_ROLE_{role}");
        let name = format!("{}-{}", world.unique, role.to_lowercase());
        let secret = password.map(|p| (format!("{variable}_PASSWORD"), p.to_owned()));
        [(variable, name)].into_iter().chain(secret)
    });
    RolesConfig::read(&Env::from_pairs(pairs)).unwrap()
}

impl Roles {
    async fn new() -> Self {
        let world = World::new().await;
        let config = names(&world, None);
        grant_roles(&world.config, &config).await.unwrap();
        Self { world, config }
    }

    fn url(&self, role: &str) -> String {
        self.world.url.replace("//postgres@", &format!("//{}-{role}@", self.world.unique))
    }

    fn database(&self, role: &str) -> Database {
        Database::open(&config(&self.url(role), &[])).unwrap()
    }

    /// Each of these fails for want of the right, and changes nothing.
    async fn refuses(&self, role: &str, statements: &[&str]) {
        let mut connection = PgConnection::connect(&self.url(role)).await.unwrap();
        for statement in statements {
            let done = connection.execute(AssertSqlSafe((*statement).to_owned())).await;
            let code = done.as_ref().err().and_then(|e| e.as_database_error()?.code());
            assert_eq!(code.as_deref(), Some("42501"), "{role} may: {statement}: {done:?}");
        }
    }
}

/// What none of the three may.
const NONE_MAY: [&str; 8] = [
    "CREATE TABLE mine (x int)",
    "DROP TABLE streams",
    "ALTER TABLE streams DISABLE TRIGGER ALL",
    "TRUNCATE events_outbox",
    "UPDATE stream_metrics SET viewers = 0",
    "SELECT * FROM stream_metrics_default",
    "UPDATE _sqlx_migrations SET version = 9",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
];

#[tokio::test]
async fn a_worker_writes_broadcasts_and_checks_keys_and_no_more() {
    let roles = Roles::new().await;
    let database = roles.database("worker");
    check_schema_min(&database, latest_version()).await.unwrap();
    let table = Broadcasts::new(database.clone(), Installation::default());
    let opened = opened("events.keynote", 10);
    let mut t = database.begin().await.unwrap();
    table.open(&mut t, &opened).await.unwrap();
    table.activate(&mut t, opened.broadcast, Epoch(1), 20).await.unwrap();
    table.interrupt(&mut t, opened.broadcast, Epoch(1), 30).await.unwrap();
    table.end(&mut t, opened.broadcast, EndReason::Unpublished, 40).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(roles.world.number("SELECT count(*) FROM events_outbox").await, 3);
    let keys = Keys::new(database.clone(), Installation::default());
    assert!(keys.find(&"abcd1234".parse().unwrap()).await.unwrap().is_none());
    keys.touch(&"abcd1234".parse().unwrap()).await.unwrap();
    Qualities::new(database, Installation::default()).list().await.unwrap();

    roles.refuses("worker", &NONE_MAY).await;
    roles
        .refuses(
            "worker",
            &[
                "UPDATE stream_keys SET is_active = true",
                "UPDATE stream_keys SET hash = ''",
                "INSERT INTO stream_keys (id) VALUES ('x')",
                "DELETE FROM stream_keys",
                "UPDATE streams SET stream_id = 'a.b'",
                "DELETE FROM streams",
                "DELETE FROM stream_metrics",
                "SELECT * FROM livestreams",
                "SELECT * FROM api_tokens",
                "SELECT * FROM events_outbox",
                "DELETE FROM events_outbox",
                "SELECT * FROM viewer_sessions",
                "INSERT INTO viewer_sessions (id) VALUES (gen_random_uuid())",
                "SELECT * FROM stream_metrics",
                "INSERT INTO stream_metrics (stream_id) VALUES ('a.b')",
                "UPDATE quality_levels SET height = 1",
                "SELECT stream_metrics_drop_partition(400)",
                "SELECT stream_metrics_make_partition(1)",
            ],
        )
        .await;
}

#[tokio::test]
async fn a_viewer_writes_who_watches_and_relays_events_and_sees_no_key() {
    let roles = Roles::new().await;
    let database = roles.database("viewer");
    check_schema_min(&database, latest_version()).await.unwrap();
    let none = Installation::default;
    let (sessions, outbox) =
        (Sessions::new(database.clone(), none()), Outbox::new(database.clone(), none()));
    let session = Session {
        id: uuid::Uuid::now_v7(),
        stream: stream("events.keynote"),
        broadcast: None,
        viewer: "0123456789abcdef".to_owned(),
        source: SessionSource::Cmcd,
        joined_ms: 1,
        seen_ms: 2,
        left_ms: None,
        rendition: None,
        rung_changes: 0,
        watch_ms: 1,
        stalls: 0,
        dropped_frames: 0,
    };
    let mut t = database.begin().await.unwrap();
    sessions.upsert(&mut t, std::slice::from_ref(&session)).await.unwrap();
    sessions.leave_unseen(&mut t, 10, 10).await.unwrap();
    t.commit().await.unwrap();
    sessions.prune(10, 10).await.unwrap();
    let at_s = roles.world.number("SELECT extract(epoch FROM now())::bigint").await;
    let second = Second {
        stream: stream("events.keynote"),
        broadcast: None,
        at_s,
        viewers: 0,
        ingress_kbps: 0,
        egress_kbps: 0,
        quality: [].into(),
        dropped_frames: 0,
        buffering_events: 0,
    };
    let metrics = StreamMetrics::new(database.clone(), none());
    metrics.insert(std::slice::from_ref(&second)).await.unwrap();
    metrics.range(&second.stream, at_s, at_s + 1, 1).await.unwrap();
    let rows = outbox.fetch(10).await.unwrap();
    outbox.delete(&rows.iter().map(|r| r.id).collect::<Vec<_>>()).await.unwrap();
    outbox.backlog().await.unwrap();
    let partitions = Partitions::new(database.clone());
    assert_eq!(partitions.make_ahead(5).await.unwrap(), 2);
    partitions.drop_older(Duration::from_hours(24)).await.unwrap();
    // Into a partition that it made and does not own.
    metrics.insert(&[Second { at_s: at_s + 5 * 86_400, ..second }]).await.unwrap();
    let place = Singleton::new(&config(&roles.url("viewer"), &[]), &none(), "relay").unwrap();
    tokio::time::timeout(PATIENCE, place.hold()).await.unwrap();

    roles.refuses("viewer", &NONE_MAY).await;
    roles
        .refuses(
            "viewer",
            &[
                "SELECT id FROM stream_keys",
                "SELECT uid FROM livestreams",
                "SELECT hash FROM api_tokens",
                "DELETE FROM streams",
                "DELETE FROM stream_metrics",
                "UPDATE stream_keys SET last_used_at = now()",
                "INSERT INTO streams (id) VALUES (gen_random_uuid())",
                "UPDATE streams SET status = 'ENDED'",
                "UPDATE events_outbox SET data = '{}'",
                "UPDATE quality_levels SET height = 1",
                "INSERT INTO quality_levels (name) VALUES ('x')",
            ],
        )
        .await;
}

#[tokio::test]
async fn control_manages_keys_and_presets_and_reads_ends_and_deletes_the_record() {
    let roles = Roles::new().await;
    let database = roles.database("control");
    check_schema_min(&database, latest_version()).await.unwrap();
    let none = Installation::default;
    let table = Broadcasts::new(database.clone(), none());
    table.list(&BroadcastFilter::default(), PageRequest::default()).await.unwrap();
    let keys = Keys::new(database.clone(), none());
    keys.list(&KeyFilter::default(), &PageRequest::default()).await.unwrap();
    let qualities = Qualities::new(database.clone(), none());
    let rung = qualities.list().await.unwrap().pop().unwrap();
    qualities.upsert(&rung).await.unwrap();
    qualities.delete(&rung.name).await.unwrap();

    // As the sweep does with a LiveStream that is gone.
    let left = opened("events.keynote", 1);
    roles.world.open(&left).await;
    let record = Record::new(database.clone(), none());
    assert_eq!(record.unfinished(&left.stream).await.unwrap(), [(left.broadcast, false)]);
    let mut t = database.begin().await.unwrap();
    table.end_deleted(&mut t, left.broadcast, 10).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(record.unfinished(&left.stream).await.unwrap(), []);
    record.delete(&left.stream).await.unwrap();
    assert!(table.find(left.broadcast).await.unwrap().is_none());

    let mut t = database.begin().await.unwrap();
    let refused = table.open(&mut t, &opened("events.keynote", 1)).await;
    assert!(matches!(refused, Err(DatabaseError::Denied { .. })), "{refused:?}");
    let tokens = Tokens::new(database.clone(), none());
    let token = NewToken {
        name: "main".parse().unwrap(),
        scopes: Scope::ALL.into_iter().collect(),
        streams: [StreamPattern::All].into_iter().collect(),
        created_by: "a test".to_owned(),
        expires_ms: None,
    };
    let hash = ApiToken::generate(&mut rand::rng()).hash();
    let id = tokens.insert(&token, hash).await.unwrap().unwrap();
    assert_eq!(tokens.good().await.unwrap()[0].id, id);
    tokens.revoke(id).await.unwrap();
    assert!(tokens.good().await.unwrap().is_empty());
    assert_eq!(tokens.list(PageRequest::default()).await.unwrap().items.len(), 1);

    roles.refuses("control", &NONE_MAY).await;
    roles
        .refuses(
            "control",
            &[
                "DELETE FROM api_tokens",
                "UPDATE streams SET stream_id = 'a.b'",
                "UPDATE streams SET epoch = 9",
                "INSERT INTO viewer_sessions (id) VALUES (gen_random_uuid())",
                "UPDATE viewer_sessions SET stalls = 0",
                "INSERT INTO stream_metrics (stream_id) VALUES ('a.b')",
                "SELECT * FROM events_outbox",
                "DELETE FROM events_outbox",
                "SELECT stream_metrics_drop_partition(400)",
            ],
        )
        .await;
}

#[tokio::test]
async fn granting_again_and_at_once_is_harmless_and_takes_what_is_needed_no_more() {
    let roles = Roles::new().await;
    let worker = format!("\"{}-worker\"", roles.world.unique);
    let mut more = String::new();
    for table in ["stream_metrics", "viewer_sessions", "events_outbox"] {
        write!(more, "GRANT ALL ON {table} TO {worker};").unwrap();
    }
    write!(more, "GRANT UPDATE (hash) ON stream_keys TO {worker};").unwrap();
    roles.world.run(&more).await;
    let (config, names) = (&roles.world.config, names(&roles.world, Some("a b'c\"d")));
    let all = (0..4).map(async |_| {
        migrate(config, PATIENCE).await?;
        grant_roles(config, &names).await
    });
    futures::future::try_join_all(all).await.unwrap();
    roles
        .refuses(
            "worker",
            &[
                "SELECT * FROM stream_metrics",
                "SELECT * FROM viewer_sessions",
                "SELECT * FROM events_outbox",
                "UPDATE stream_keys SET hash = ''",
            ],
        )
        .await;
    grant_roles(&roles.world.config, &roles.config).await.unwrap();
    // The password is kept as only SCRAM needs it.
    let kept = format!(
        "SELECT count(*) FROM pg_authid
         WHERE rolname LIKE '{}-%' AND rolpassword LIKE 'SCRAM-SHA-256$4096:%'",
        roles.world.unique
    );
    assert_eq!(roles.world.number(&kept).await, 3);
}

#[tokio::test]
async fn a_role_that_grants_mean_nothing_to_is_refused() {
    let world = World::new().await;
    world.run(&format!("CREATE ROLE \"{}\" SUPERUSER", world.unique)).await;
    let role =
        |name: &str| RolesConfig::read(&Env::from_pairs([("DATABASE_ROLE_WORKER", name)])).unwrap();
    let (owner, member) = (format!("{}-owner", world.unique), format!("{}-all", world.unique));
    world.run(&format!("CREATE ROLE \"{owner}\"; ALTER TABLE streams OWNER TO \"{owner}\"")).await;
    world.run(&format!("CREATE ROLE \"{member}\" IN ROLE pg_write_all_data")).await;
    for name in ["postgres", &world.unique, &owner, &member] {
        let refused = grant_roles(&world.config, &role(name)).await;
        assert!(matches!(refused, Err(MigrateError::Role { .. })), "{name}: {refused:?}");
    }
}

/// The owner of the database is an ordinary role, as hosted servers have it,
/// and somebody else made the programs' roles.
#[tokio::test]
async fn an_owner_who_may_make_no_roles_gives_to_those_that_are_there() {
    let world = World::empty().await;
    let id = &world.unique;
    world
        .run(&format!(
            "CREATE ROLE \"{id}\" LOGIN; ALTER DATABASE {id} OWNER TO \"{id}\";
             CREATE ROLE \"{id}-control\" LOGIN; CREATE ROLE \"{id}-worker\" LOGIN;
             CREATE ROLE \"{id}-viewer\" LOGIN;"
        ))
        .await;
    let owner = config(&world.url.replace("//postgres@", &format!("//{id}@")), &[]);
    migrate(&owner, PATIENCE).await.unwrap();
    grant_roles(&owner, &names(&world, None)).await.unwrap();
    let denied = grant_roles(&owner, &names(&world, Some("secret-of-test"))).await;
    let Err(MigrateError::Database(DatabaseError::Denied { .. })) = denied else {
        panic!("{denied:?}")
    };
    let config = names(&world, None);
    let roles = Roles { world, config };
    Partitions::new(roles.database("viewer")).make_ahead(5).await.unwrap();
    roles.refuses("viewer", &NONE_MAY).await;
}
