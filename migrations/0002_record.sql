-- The record: who watched what, what each second was like, and the events that
-- wait for Kafka. Expands only: version 1 programs go on working.

-- How far a broadcast's publishers have come, so that what is told twice
-- changes nothing and makes no second event.
ALTER TABLE streams
    ADD COLUMN active_epoch      bigint CHECK (active_epoch >= 1),
    ADD COLUMN interrupted_epoch bigint CHECK (interrupted_epoch >= 1);
-- A broadcast that runs during the upgrade has begun already.
UPDATE streams SET active_epoch = epoch WHERE status = 'ACTIVE';

-- All broadcasts a page at a time, whosever.
CREATE INDEX streams_started_at ON streams (installation, started_at DESC, id DESC);

COMMENT ON COLUMN streams.active_epoch IS 'Highest publisher connection whose media is in the log; null before the first picture';
COMMENT ON COLUMN streams.interrupted_epoch IS 'Highest publisher connection that was lost without an end';
COMMENT ON COLUMN streams.ended_at IS 'When it ended or failed, from the log; null while it runs';
COMMENT ON COLUMN stream_keys.broadcaster_id IS 'Who holds it: spec.broadcaster, or the one given to the API';
COMMENT ON COLUMN stream_keys.created_at IS 'When the row was written';
COMMENT ON COLUMN stream_keys.revoked_at IS 'When it was revoked; null while it is active';

CREATE TABLE quality_levels (
    installation text        NOT NULL DEFAULT '' CHECK (installation ~ '^[a-z0-9-]{0,32}$'),
    name         text        NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$'),
    height       integer     NOT NULL CHECK (height BETWEEN 16 AND 4320),
    bitrate_kbps integer     NOT NULL CHECK (bitrate_kbps BETWEEN 1 AND 1000000),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation, name)
);

COMMENT ON TABLE  quality_levels IS 'Presets of rungs. A LiveStream''s own ladder is in its spec';
COMMENT ON COLUMN quality_levels.installation IS 'MILLRACE_INSTALLATION it is for. Those of the empty one are everybody''s, an installation''s own goes before one of the same name';
COMMENT ON COLUMN quality_levels.name IS 'Name of the rendition';
COMMENT ON COLUMN quality_levels.height IS 'Pixels';
COMMENT ON COLUMN quality_levels.bitrate_kbps IS 'Video, kbit/s';
COMMENT ON COLUMN quality_levels.created_at IS 'When it was made';
COMMENT ON COLUMN quality_levels.updated_at IS 'When it was last changed';

INSERT INTO quality_levels (name, height, bitrate_kbps)
VALUES ('480p', 480, 1500), ('720p', 720, 3000), ('1080p', 1080, 5000);

CREATE TABLE viewer_sessions (
    id             uuid        PRIMARY KEY,
    installation   text        NOT NULL DEFAULT '' CHECK (installation ~ '^[a-z0-9-]{0,32}$'),
    stream_id      text        NOT NULL CHECK (stream_id ~ '^[a-z0-9-]+\.[a-z0-9-]+$'),
    broadcast      uuid        REFERENCES streams (id) ON DELETE CASCADE,
    viewer         text        NOT NULL CHECK (viewer ~ '^[A-Za-z0-9_-]{8,64}$'),
    source         text        NOT NULL CHECK (source IN ('beacon', 'cmcd', 'guess')),
    joined_at      timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    left_at        timestamptz,
    rendition      text        CHECK (rendition ~ '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$'),
    rung_changes   integer     NOT NULL DEFAULT 0 CHECK (rung_changes >= 0),
    watch_ms       bigint      NOT NULL DEFAULT 0 CHECK (watch_ms >= 0),
    stalls         integer     NOT NULL DEFAULT 0 CHECK (stalls >= 0),
    dropped_frames bigint      NOT NULL DEFAULT 0 CHECK (dropped_frames >= 0),
    CHECK (last_seen_at >= joined_at),
    CHECK (left_at >= joined_at)
-- A row is written again every some seconds: room for that in its page, and no
-- index on what changes, keep it from moving.
) WITH (fillfactor = 70);

COMMENT ON TABLE  viewer_sessions IS 'One row per viewer and visit. Repeated as it grows; figures only grow';
COMMENT ON COLUMN viewer_sessions.id IS 'The visit';
COMMENT ON COLUMN viewer_sessions.installation IS 'MILLRACE_INSTALLATION of who wrote the row';
COMMENT ON COLUMN viewer_sessions.stream_id IS '<namespace>.<name> of the LiveStream';
COMMENT ON COLUMN viewer_sessions.broadcast IS 'The broadcast watched; null as long as its row is not written';
COMMENT ON COLUMN viewer_sessions.viewer IS 'A random id of the player, or a salted hash; never an address';
COMMENT ON COLUMN viewer_sessions.source IS 'Whence it is known: beacon (our player), cmcd (CTA-5004 keys), guess (a hash of address and agent)';
COMMENT ON COLUMN viewer_sessions.joined_at IS 'First sign of it';
COMMENT ON COLUMN viewer_sessions.last_seen_at IS 'Last sign of it';
COMMENT ON COLUMN viewer_sessions.left_at IS 'When it left or was given up; null while it watches';
COMMENT ON COLUMN viewer_sessions.rendition IS 'The rung it was last seen on';
COMMENT ON COLUMN viewer_sessions.rung_changes IS 'How often it changed rungs';
COMMENT ON COLUMN viewer_sessions.watch_ms IS 'Time watched, ms';
COMMENT ON COLUMN viewer_sessions.stalls IS 'How often playback stood still';
COMMENT ON COLUMN viewer_sessions.dropped_frames IS 'Frames its decoder dropped';

CREATE INDEX viewer_sessions_stream_id_joined_at ON viewer_sessions (stream_id, joined_at);
CREATE INDEX viewer_sessions_broadcast ON viewer_sessions (broadcast);
-- Who still watches, to give up those who went without a word.
CREATE INDEX viewer_sessions_watching ON viewer_sessions (installation, joined_at)
    WHERE left_at IS NULL;
-- All sessions a page at a time, whosever, and the retention.
CREATE INDEX viewer_sessions_joined_at ON viewer_sessions (installation, joined_at DESC, id DESC);

-- No foreign key on broadcast: a second may be told before its broadcast's row,
-- and dropping a partition would lock streams.
CREATE TABLE stream_metrics (
    installation     text        NOT NULL DEFAULT '' CHECK (installation ~ '^[a-z0-9-]{0,32}$'),
    stream_id        text        NOT NULL CHECK (stream_id ~ '^[a-z0-9-]+\.[a-z0-9-]+$'),
    broadcast        uuid,
    "timestamp"      timestamptz NOT NULL,
    viewers          integer     NOT NULL CHECK (viewers >= 0),
    ingress_kbps     bigint      NOT NULL CHECK (ingress_kbps >= 0),
    egress_kbps      bigint      NOT NULL CHECK (egress_kbps >= 0),
    quality          jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(quality) = 'object'),
    dropped_frames   bigint      NOT NULL DEFAULT 0 CHECK (dropped_frames >= 0),
    buffering_events bigint      NOT NULL DEFAULT 0 CHECK (buffering_events >= 0)
) PARTITION BY RANGE ("timestamp");

COMMENT ON TABLE  stream_metrics IS 'One row per live stream and second. Partitioned by UTC day';
COMMENT ON COLUMN stream_metrics.installation IS 'MILLRACE_INSTALLATION of who wrote the row';
COMMENT ON COLUMN stream_metrics.stream_id IS '<namespace>.<name> of the LiveStream';
COMMENT ON COLUMN stream_metrics.broadcast IS 'The broadcast that was live';
COMMENT ON COLUMN stream_metrics."timestamp" IS 'The whole second that the row is about';
COMMENT ON COLUMN stream_metrics.viewers IS 'Who watched';
COMMENT ON COLUMN stream_metrics.ingress_kbps IS 'From the publisher, kbit/s';
COMMENT ON COLUMN stream_metrics.egress_kbps IS 'To all viewers, kbit/s';
COMMENT ON COLUMN stream_metrics.quality IS 'Viewers by rendition: {"720p": 12}';
COMMENT ON COLUMN stream_metrics.dropped_frames IS 'Frames viewers'' decoders dropped in this second';
COMMENT ON COLUMN stream_metrics.buffering_events IS 'Stalls of viewers in this second';

-- One row per second, whoever writes it.
CREATE UNIQUE INDEX stream_metrics_stream_id_timestamp
    ON stream_metrics (stream_id, "timestamp" DESC, installation);

CREATE TABLE stream_metrics_default (LIKE stream_metrics INCLUDING ALL);
ALTER TABLE stream_metrics ATTACH PARTITION stream_metrics_default DEFAULT;
-- To find one day's rows among many.
CREATE INDEX stream_metrics_default_timestamp ON stream_metrics_default USING brin ("timestamp");
COMMENT ON TABLE stream_metrics_default IS 'Seconds whose day has no partition, so that no insert fails for lack of one';

CREATE TABLE events_outbox (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation text        NOT NULL DEFAULT '' CHECK (installation ~ '^[a-z0-9-]{0,32}$'),
    event_id     text        NOT NULL CHECK (event_id ~ '^[0-9a-f]{32}$'),
    type         text        NOT NULL CHECK (type ~ '^dev\.millrace\.[A-Za-z]+$'),
    source       text        NOT NULL CHECK (source ~ '^[a-z]{1,32}$'),
    stream_id    text        NOT NULL CHECK (stream_id ~ '^[a-z0-9-]+\.[a-z0-9-]+$'),
    "time"       timestamptz NOT NULL,
    data         jsonb       NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (installation, event_id)
);

COMMENT ON TABLE  events_outbox IS 'Events that were committed with what they tell and wait to be sent to Kafka; deleted once they are there';
COMMENT ON COLUMN events_outbox.id IS 'Order: of one stream''s events, a later one has a higher id and is committed later';
COMMENT ON COLUMN events_outbox.installation IS 'MILLRACE_INSTALLATION whose topic it is for';
COMMENT ON COLUMN events_outbox.event_id IS 'CloudEvents id: the same happening has the same one';
COMMENT ON COLUMN events_outbox.type IS 'CloudEvents type';
COMMENT ON COLUMN events_outbox.source IS 'Kind of process it comes from: the end of the CloudEvents source';
COMMENT ON COLUMN events_outbox.stream_id IS 'CloudEvents subject and the message''s key';
COMMENT ON COLUMN events_outbox."time" IS 'CloudEvents time: when it happened';
COMMENT ON COLUMN events_outbox.data IS 'CloudEvents data';
COMMENT ON COLUMN events_outbox.created_at IS 'When it was written here';

CREATE INDEX events_outbox_order ON events_outbox (installation, id);

-- Partitions. The functions run as their owner, so that who may insert need not
-- own the table; they can't do more than the bounds in them.

CREATE FUNCTION stream_metrics_make_partition(days_ahead integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    day   date := (now() AT TIME ZONE 'UTC')::date + days_ahead;
    part  text := 'stream_metrics_' || to_char(day, 'YYYYMMDD');
    lower timestamptz := day::timestamp AT TIME ZONE 'UTC';
    upper timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    there bigint;
BEGIN
    IF days_ahead NOT BETWEEN -400 AND 31 THEN
        RAISE EXCEPTION 'a partition % days ahead', days_ahead USING ERRCODE = 'check_violation';
    END IF;
    -- One at a time; who waited finds it made.
    PERFORM pg_advisory_xact_lock(hashtextextended('millrace stream_metrics partitions', 0));
    IF EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'stream_metrics'::regclass AND c.relname = part) THEN
        RETURN 'there';
    END IF;
    -- Rows that are in the way in the default partition move, while inserts
    -- wait. So many that it would take seconds stay there until they are old.
    EXECUTE format('SELECT count(*) FROM (SELECT FROM stream_metrics_default
                    WHERE "timestamp" >= %L AND "timestamp" < %L LIMIT 100001) there', lower, upper)
        INTO there;
    IF there > 100000 THEN
        RETURN 'full';
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE stream_metrics INCLUDING ALL)', part);
    EXECUTE format('COMMENT ON TABLE %I IS %L', part, 'The seconds of one UTC day');
    -- An insert that has chosen the default partition would fail when its day's
    -- comes into being under it. Rather try later than make inserts wait long.
    PERFORM set_config('lock_timeout', '2s', true);
    LOCK TABLE ONLY stream_metrics IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (
             DELETE FROM stream_metrics_default
             WHERE "timestamp" >= %L AND "timestamp" < %L RETURNING *)
         INSERT INTO %I SELECT * FROM moved', lower, upper, part);
    EXECUTE format('ALTER TABLE stream_metrics ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   part, lower, upper);
    RETURN 'made';
END
$$;

COMMENT ON FUNCTION stream_metrics_make_partition(integer) IS 'Makes the partition of the UTC day that many days from today, with the rows of it that had none. made; there: it was; full: too many rows of it are in the default partition. Several may run at once';

CREATE FUNCTION stream_metrics_drop_partition(retention_days integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    keep timestamptz;
    part text;
BEGIN
    IF retention_days NOT BETWEEN 1 AND 36500 THEN
        RAISE EXCEPTION 'a retention of % days, expected 1 to 36500', retention_days
            USING ERRCODE = 'check_violation';
    END IF;
    -- A day of 24 hours, whatever the time zone of the session does.
    keep := now() - retention_days * interval '24 hours';
    PERFORM pg_advisory_xact_lock(hashtextextended('millrace stream_metrics partitions', 0));
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT c.relname INTO part
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'stream_metrics'::regclass
      AND c.relname ~ '^stream_metrics_[0-9]{8}$'
      AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= keep
    ORDER BY c.relname LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I', part);
    END IF;
    RETURN part;
END
$$;

COMMENT ON FUNCTION stream_metrics_drop_partition(integer) IS 'Drops the oldest partition that lies wholly more than that many days back and says which; null when there is none (more). Several may run at once';

CREATE FUNCTION stream_metrics_prune_default(retention_days integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    gone bigint;
BEGIN
    IF retention_days NOT BETWEEN 1 AND 36500 THEN
        RAISE EXCEPTION 'a retention of % days, expected 1 to 36500', retention_days
            USING ERRCODE = 'check_violation';
    END IF;
    DELETE FROM ONLY stream_metrics_default WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ONLY stream_metrics_default
        WHERE "timestamp" < now() - retention_days * interval '24 hours' LIMIT 20000));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

COMMENT ON FUNCTION stream_metrics_prune_default(integer) IS 'Deletes rows of the default partition from more than that many days back, at most 20,000; says how many';

-- What runs as its owner must not look up names where its caller says.
DO $$
DECLARE signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['stream_metrics_make_partition(integer)',
                                     'stream_metrics_drop_partition(integer)',
                                     'stream_metrics_prune_default(integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
                       signature, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END
$$;

DO $$
BEGIN
    PERFORM stream_metrics_make_partition(days) FROM generate_series(0, 3) days;
END
$$;
