#!/usr/bin/env bash
# Programs of the version after this one, for tests of upgrades: the same sources with one more
# migration. The other programs are those of FROM.
#   next.sh FROM TO     two folders
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then
  mkdir -p "$2"
  shared=$(realpath -m "${CARGO_TARGET_DIR:-$HOME/.cache/millrace/target}")
  # A folder of its own: cargo would take these sources for those of this one.
  CARGO_TARGET_DIR=$shared/next exec tests/with-target.sh "$0" inside "$shared" "$(realpath "$1")" "$(realpath "$2")"
fi

shared=$2 from=$3 to=$4 next=$CARGO_TARGET_DIR/debug sources=$PWD/target/next/sources
rm -rf "$sources"; mkdir -p "$sources" "$next"
git ls-files --cached --others --exclude-standard -z |
  while IFS= read -rd '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
  xargs -0 cp --parents --preserve=timestamps -t "$sources"
cat >"$sources/migrations/9000_next.sql" <<'SQL'
ALTER TABLE livestreams ADD COLUMN next text NOT NULL DEFAULT 'a column of the next version';
CREATE INDEX livestreams_next ON livestreams (next);
SQL
touch -d @0 "$sources/migrations/9000_next.sql"

tests/dependencies.sh "$shared" "$CARGO_TARGET_DIR"
(cd "$sources" && cargo build --quiet --locked --workspace --bin millrace-operator)
cp "$from"/millrace-{ingest,transcode,delivery} "$next/millrace-operator" "$to/"
