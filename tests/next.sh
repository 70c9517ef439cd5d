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

# Dependencies as they were built. Libraries are never written twice; the rest is, in place.
dependencies() { # FIND'S TESTS : paths, each ended by a zero
  find .fingerprint build deps -name '*millrace*' -prune -o -type f "$@" -print0
}
(
  cd "$shared/debug" 2>/dev/null || exit 0
  exec 8>"$shared/.millrace-lock"; flock 8
  libraries=(-path 'deps/*' '(' -name '*.rlib' -o -name '*.rmeta' -o -name '*.so' -o -name '*.a' ')')
  dependencies "${libraries[@]}" | xargs -0r cp -ln --parents -t "$next"
  dependencies '(' ! -path 'deps/*' -o -name '*.d' ')' | xargs -0r cp -n --preserve=timestamps,mode --parents -t "$next"
)
(cd "$sources" && cargo build --quiet --locked --workspace --bin millrace-operator)
cp "$from"/millrace-{ingest,transcode,delivery} "$next/millrace-operator" "$to/"
