-- What belongs to which LiveStream outside Kubernetes, so that it can be
-- cleaned up when the LiveStream is gone. Expands only.

CREATE TABLE livestreams (
    installation    text        NOT NULL DEFAULT '' CHECK (installation ~ '^[a-z0-9-]{0,32}$'),
    uid             text        NOT NULL CHECK (uid ~ '^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'),
    stream_id       text        NOT NULL CHECK (stream_id ~ '^[a-z0-9-]+\.[a-z0-9-]+$'),
    broadcaster_id  text        NOT NULL,
    deletion_policy text        NOT NULL CHECK (deletion_policy IN ('Retain', 'Delete')),
    first_seen      timestamptz NOT NULL DEFAULT now(),
    absent_since    timestamptz,
    PRIMARY KEY (installation, uid)
);

COMMENT ON TABLE  livestreams IS 'One row per LiveStream that has something outside Kubernetes; it goes last when that is swept';
COMMENT ON COLUMN livestreams.installation IS 'MILLRACE_INSTALLATION of who wrote the row: only its own are swept';
COMMENT ON COLUMN livestreams.uid IS 'UID of the LiveStream: one of the same name made later has another';
COMMENT ON COLUMN livestreams.stream_id IS '<namespace>.<name> of the LiveStream';
COMMENT ON COLUMN livestreams.broadcaster_id IS 'spec.broadcaster';
COMMENT ON COLUMN livestreams.deletion_policy IS 'spec.deletionPolicy. Retain: broadcasts, sessions, metrics and media stay; Delete: they go too';
COMMENT ON COLUMN livestreams.first_seen IS 'When the row was written';
COMMENT ON COLUMN livestreams.absent_since IS 'Since when the operator does not find it; null while it does';

-- Whether another LiveStream has the name.
CREATE INDEX livestreams_stream_id ON livestreams (installation, stream_id);
