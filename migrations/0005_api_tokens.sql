-- Tokens of the administrators' API. Expands only.

CREATE TABLE api_tokens (
    id           uuid        PRIMARY KEY,
    installation text        NOT NULL DEFAULT '' CHECK (installation ~ '^[a-z0-9-]{0,32}$'),
    name         text        NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    hash         bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    scopes       text[]      NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 32),
    streams      text[]      NOT NULL CHECK (cardinality(streams) BETWEEN 1 AND 64),
    created_by   text        NOT NULL CHECK (length(created_by) <= 400),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz
);

COMMENT ON TABLE  api_tokens IS 'Tokens of the administrators'' API. The token itself is nowhere';
COMMENT ON COLUMN api_tokens.id IS 'The token, for people: UUIDv7';
COMMENT ON COLUMN api_tokens.installation IS 'MILLRACE_INSTALLATION of who wrote the row';
COMMENT ON COLUMN api_tokens.name IS 'What people call it';
COMMENT ON COLUMN api_tokens.hash IS 'SHA-256 of the token, which is 256 random bits';
COMMENT ON COLUMN api_tokens.scopes IS 'What it may do. A version passes over those it does not know';
COMMENT ON COLUMN api_tokens.streams IS 'On which streams: *, <namespace>.* or <namespace>.<name>';
COMMENT ON COLUMN api_tokens.created_by IS 'Who made it';
COMMENT ON COLUMN api_tokens.created_at IS 'When the row was written';
COMMENT ON COLUMN api_tokens.expires_at IS 'Not accepted from then on; null = no end';
COMMENT ON COLUMN api_tokens.revoked_at IS 'When it was revoked; null while it is good';

CREATE INDEX api_tokens_created_at ON api_tokens (installation, created_at DESC, id DESC);
