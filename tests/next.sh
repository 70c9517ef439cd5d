#!/usr/bin/env bash
# Programs of the version after this one, for tests of upgrades: the same sources with one more
# migration. The other programs are those of FROM.
#   next.sh FROM TO     two folders
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$HOME/.cache/millrace/target}
# Of its own: cargo would take these sources for those of this folder.
next=$target/next
if [ "${1:-}" != inside ]; then
  mkdir -p "$2"
  exec env CARGO_TARGET_DIR="$next" tests/with-target.sh "$0" inside "$target/debug" "$(cd "$1" && pwd)" "$(cd "$2" && pwd)"
fi

built=$2 from=$3 to=$4 next=$CARGO_TARGET_DIR sources=$PWD/target/next/sources
rm -rf "$sources"; mkdir -p "$sources" "$next/debug"
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --preserve=timestamps -t "$sources"
cat >"$sources/migrations/9000_next.sql" <<'SQL'
ALTER TABLE livestreams ADD COLUMN next text NOT NULL DEFAULT 'a column of the next version';
CREATE INDEX livestreams_next ON livestreams (next);
SQL
touch -d @0 "$sources/migrations/9000_next.sql"
# Dependencies are the same: as they were built.
(cd "$built" && find .fingerprint build deps -name '*millrace*' -prune -o -type f \
  \( ! -path 'deps/*' -o -name '*.rlib' -o -name '*.rmeta' -o -name '*.so' -o -name '*.d' \) -print0 |
  xargs -0 cp -ln --parents -t "$next/debug")
(cd "$sources" && cargo build --quiet --locked --workspace --bin millrace-operator)
cp "$from"/millrace-{ingest,transcode,delivery} "$next/debug/millrace-operator" "$to/"
