#!/usr/bin/env bash
# Programs of the version after this one, for tests of upgrades: the same sources with one more
# migration. The other programs are those of FROM.
#   next.sh FROM TO     two folders
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then exec tests/with-target.sh "$0" inside "$1" "$(mkdir -p "$2" && cd "$2" && pwd)"; fi

from=$2 to=$3 sources=$PWD/target/next
mkdir -p "$sources"
# Of what is gone meanwhile cargo would not know.
find "$sources" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --preserve=timestamps -t "$sources"
cat >"$sources/migrations/9000_next.sql" <<'SQL'
ALTER TABLE livestreams ADD COLUMN next text NOT NULL DEFAULT 'a column of the next version';
CREATE INDEX livestreams_next ON livestreams (next);
SQL
touch -d @0 "$sources/migrations/9000_next.sql"
(cd "$sources" && cargo build --quiet --locked --workspace --bin millrace-operator)
cp "$from"/millrace-{ingest,transcode,delivery} "$to/"
cp "$CARGO_TARGET_DIR/debug/millrace-operator" "$to/"
# Of that name there is to be this version's.
cargo build --quiet --locked --workspace --bin millrace-operator
