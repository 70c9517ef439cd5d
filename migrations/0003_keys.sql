-- Publish keys, listed by age over all streams of an installation.

CREATE INDEX stream_keys_created_at ON stream_keys (installation, created_at, id);

COMMENT ON INDEX stream_keys_created_at IS 'Pages of keys, newest first';
