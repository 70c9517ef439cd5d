#!/usr/bin/env bash
# Programs of the version before this one, for tests that let both work on one stream.
#   previous.sh TO [REVISION]     a folder; the first parent of the last commit unless given
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then
  mkdir -p "$1"
  shared=$(realpath -m "${CARGO_TARGET_DIR:-$HOME/.cache/millrace/target}")
  # A folder of its own: cargo would take these sources for those of this version.
  CARGO_TARGET_DIR=$shared/previous exec tests/with-target.sh "$0" inside "$shared" "$(realpath "$1")" "${2:-HEAD^}"
fi

shared=$2 to=$3 revision=$4 sources=$PWD/target/previous/sources
commit=$(git rev-parse --verify --quiet "$revision^{commit}") ||
  { echo "There is no $revision: a clone with its history is needed (git fetch --unshallow)." >&2; exit 1; }
rm -rf "$sources"; mkdir -p "$sources"
git archive "$commit" | tar -x -C "$sources"
# Pages are a part of delivery; they are bundled by the script of that version.
(cd "$sources" && tests/web.sh)
tests/dependencies.sh "$shared" "$CARGO_TARGET_DIR"
programs=(millrace-operator millrace-ingest millrace-transcode millrace-delivery)
(cd "$sources" && cargo build --quiet --locked --workspace --bins)
for program in "${programs[@]}"; do cp "$CARGO_TARGET_DIR/debug/$program" "$to/"; done
git log -1 --format='%h %s' "$commit" >"$to/version"
echo "The programs of $(cat "$to/version") are in $to"
