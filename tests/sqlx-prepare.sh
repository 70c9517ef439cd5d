#!/usr/bin/env bash
# Writes .sqlx/, which the compile-time check of queries reads, from a migrated
# scratch database on the server of TEST_DATABASE_URL (a superuser's URL); where that is not set, on
# one of its own.
#   tests/sqlx-prepare.sh           write .sqlx/
#   tests/sqlx-prepare.sh --check   fail if .sqlx/ is not what would be written
set -euo pipefail
cd "$(dirname "$0")/.."
own=
if [ -z "${TEST_DATABASE_URL:-}" ]; then
    own=$(mktemp -d)
    variables=$(tests/services/up.sh "$own")
    eval "$variables"
fi
name=millrace_prepare_$$
out=$(mktemp -d)
time=$(mktemp); touch -r workers/platform/src/lib.rs "$time"
server=${TEST_DATABASE_URL%%\?*}
url=${server%/*}/$name
cleanup() {
    psql -qX "$TEST_DATABASE_URL" -c "DROP DATABASE IF EXISTS $name WITH (FORCE)" || true
    rm -rf "$out" "$time" "$time.touched"
    if [ -n "$own" ]; then tests/services/down.sh "$own" drop; rm -rf "$own"; fi
}
trap cleanup EXIT
psql -qX "$TEST_DATABASE_URL" -c "CREATE DATABASE $name"
for file in migrations/*.sql; do psql -qX -v ON_ERROR_STOP=1 "$url" -f "$file"; done

# The macros write what the server told them into SQLX_OFFLINE_DIR. Only a
# file whose time changes is compiled again.
touch workers/platform/src/lib.rs
touch -r workers/platform/src/lib.rs "$time.touched"
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$out DATABASE_URL=$url cargo check -q --locked --workspace
[ -n "$(ls -A "$out")" ] || { echo "the macros wrote nothing" >&2; exit 1; }

if [ "${1:-}" = --check ]; then
    diff -ru .sqlx "$out" || { echo ".sqlx/ is stale: run tests/sqlx-prepare.sh" >&2; exit 1; }
    # What was built of it before is right: it gets its time back, unless it was changed meanwhile.
    [ workers/platform/src/lib.rs -nt "$time.touched" ] || touch -r "$time" workers/platform/src/lib.rs
else
    rm -rf .sqlx
    mkdir .sqlx
    cp "$out"/query-*.json .sqlx/
fi
