-- Broadcasts and publish keys.

CREATE TABLE streams (
    id           uuid        PRIMARY KEY,
    installation text        NOT NULL DEFAULT '',
    stream_id    text        NOT NULL CHECK (stream_id ~ '^[a-z0-9-]+\.[a-z0-9-]+$'),
    status       text        NOT NULL DEFAULT 'PENDING_INGEST'
                             CHECK (status IN ('PENDING_INGEST', 'ACTIVE', 'ENDED', 'ERROR')),
    epoch        bigint      NOT NULL CHECK (epoch >= 1),
    key_id       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   text,
    CHECK ((status IN ('ENDED', 'ERROR')) = (ended_at IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);

COMMENT ON TABLE  streams IS 'One row per broadcast: from the first accepted publish to its end. The log decides; these rows follow.';
COMMENT ON COLUMN streams.id IS 'The broadcast: UUIDv7';
COMMENT ON COLUMN streams.installation IS 'MILLRACE_INSTALLATION of who wrote the row; installations may share a database';
COMMENT ON COLUMN streams.stream_id IS '<namespace>.<name> of the LiveStream';
COMMENT ON COLUMN streams.status IS 'PENDING_INGEST -> ACTIVE -> ENDED | ERROR; PENDING_INGEST -> ERROR when no media ever came';
COMMENT ON COLUMN streams.epoch IS 'Highest publisher connection of the broadcast; only grows';
COMMENT ON COLUMN streams.key_id IS 'Public half of the publish key that opened it. No foreign key: a broadcast may be recorded after its key is gone';
COMMENT ON COLUMN streams.created_at IS 'When the row was written, which may be after the start';
COMMENT ON COLUMN streams.started_at IS 'When the broadcast began, from the log';
COMMENT ON COLUMN streams.end_reason IS 'Why it ended or failed';

CREATE INDEX streams_status_created_at ON streams (status, created_at);
CREATE INDEX streams_stream_id ON streams (installation, stream_id, started_at DESC);

-- SQLSTATE MR001 is how the code knows a refused transition from other errors.
CREATE FUNCTION streams_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'PENDING_INGEST' THEN
            RAISE EXCEPTION 'broadcast % begins as %, expected PENDING_INGEST', NEW.id, NEW.status
                USING ERRCODE = 'MR001';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('PENDING_INGEST', 'ACTIVE'), ('PENDING_INGEST', 'ERROR'),
        ('ACTIVE', 'ENDED'), ('ACTIVE', 'ERROR')
    ) THEN
        RAISE EXCEPTION 'broadcast % can''t go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'MR001';
    END IF;
    IF NEW.epoch < OLD.epoch THEN
        RAISE EXCEPTION 'broadcast % can''t go back from epoch % to %', OLD.id, OLD.epoch, NEW.epoch
            USING ERRCODE = 'MR001';
    END IF;
    IF (NEW.id, NEW.installation, NEW.stream_id) <> (OLD.id, OLD.installation, OLD.stream_id) THEN
        RAISE EXCEPTION 'broadcast % can''t move to another stream', OLD.id USING ERRCODE = 'MR001';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION streams_guard() IS 'Enforces the life of a broadcast';

CREATE TRIGGER streams_guard BEFORE INSERT OR UPDATE ON streams
    FOR EACH ROW EXECUTE FUNCTION streams_guard();

CREATE TABLE stream_keys (
    id             text        PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9]{4,32}$'),
    installation   text        NOT NULL DEFAULT '',
    stream_id      text        NOT NULL CHECK (stream_id ~ '^[a-z0-9-]+\.[a-z0-9-]+$'),
    name           text        NOT NULL,
    broadcaster_id text        NOT NULL,
    hash           text        NOT NULL CHECK (hash ~ '^\$2[aby]\$'),
    source         text        NOT NULL CHECK (source IN ('spec', 'api')),
    is_active      boolean     NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz,
    last_used_at   timestamptz,
    CHECK (is_active = (revoked_at IS NULL))
);

COMMENT ON TABLE  stream_keys IS 'Publish keys. The secret half is only here as a bcrypt hash';
COMMENT ON COLUMN stream_keys.id IS 'Public half of the key';
COMMENT ON COLUMN stream_keys.installation IS 'MILLRACE_INSTALLATION of who wrote the row';
COMMENT ON COLUMN stream_keys.stream_id IS 'The LiveStream it may publish to';
COMMENT ON COLUMN stream_keys.name IS 'Its name in the spec''s list, or the one given to the API';
COMMENT ON COLUMN stream_keys.hash IS 'bcrypt of the secret half';
COMMENT ON COLUMN stream_keys.source IS 'spec: derived from the LiveStream''s Secret, pruned with it. api: made by the API, never pruned';
COMMENT ON COLUMN stream_keys.is_active IS 'false once revoked; a revoked key never comes back';
COMMENT ON COLUMN stream_keys.expires_at IS 'Not accepted from then on; null = no end';
COMMENT ON COLUMN stream_keys.last_used_at IS 'Last accepted publish';

CREATE INDEX stream_keys_broadcaster_id_is_active ON stream_keys (broadcaster_id, is_active);
CREATE INDEX stream_keys_stream_id ON stream_keys (installation, stream_id);
