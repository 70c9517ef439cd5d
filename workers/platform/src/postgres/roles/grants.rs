//! What each role may do. `{role}` is its name in quotes.

/// Statements that give.
pub(super) type Grants = &'static [&'static str];

/// Takes all there is. The schema is the one the tables are in: the first of
/// the search path, as for the migrations.
pub(super) const REVOKE: Grants = &["DO $$ BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM {role}', current_schema());
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM {role}', current_schema());
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM {role}', current_schema());
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM {role}', current_schema());
END $$"];

/// What every program needs: to connect, and to see the schema's version. What
/// anybody may make there (before Postgres 15) nobody should.
pub(super) const EVERYBODY: Grants = &[
    "DO $$ BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO {role}', current_database());
END $$",
    "GRANT SELECT ON _sqlx_migrations TO {role}",
];

/// The operator and the API: keys, tokens, presets and the register of LiveStreams;
/// reads the record, ends what a deleted LiveStream left open, and deletes what
/// is not to be kept of it; tells.
pub(super) const CONTROL: Grants = &[
    "GRANT SELECT, INSERT, UPDATE, DELETE ON stream_keys, quality_levels, livestreams TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON api_tokens TO {role}",
    "GRANT SELECT, DELETE ON streams, viewer_sessions, stream_metrics TO {role}",
    "GRANT UPDATE (status, active_epoch, interrupted_epoch, ended_at, end_reason)
         ON streams TO {role}",
    "GRANT INSERT ON events_outbox TO {role}",
];

/// Ingest and transcode: the life of broadcasts; keys only to check them.
pub(super) const WORKER: Grants = &[
    "GRANT SELECT, INSERT ON streams TO {role}",
    "GRANT UPDATE (status, epoch, active_epoch, interrupted_epoch, ended_at, end_reason)
         ON streams TO {role}",
    "GRANT SELECT ON stream_keys, quality_levels TO {role}",
    "GRANT UPDATE (last_used_at) ON stream_keys TO {role}",
    "GRANT INSERT ON events_outbox TO {role}",
];

/// Delivery: who watches, metrics and their partitions, the events' way to
/// Kafka. Nothing of keys.
pub(super) const VIEWER: Grants = &[
    "GRANT SELECT ON streams, quality_levels TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON viewer_sessions TO {role}",
    "GRANT SELECT, INSERT ON stream_metrics TO {role}",
    "GRANT SELECT, INSERT, DELETE ON events_outbox TO {role}",
    "GRANT EXECUTE ON FUNCTION stream_metrics_make_partition(integer),
         stream_metrics_drop_partition(integer), stream_metrics_prune_default(integer) TO {role}",
];
