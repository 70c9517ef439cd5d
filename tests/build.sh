#!/usr/bin/env bash
# Builds the programs and copies them into a folder:   build.sh FOLDER
# PROFILE: another than cargo's release; dev is what the tests have
# A running demo uses copies, so that a later build cannot replace its programs under it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then exec tests/with-target.sh "$0" inside "$(mkdir -p "$1" && cd "$1" && pwd)"; fi

folder=$2
echo "Building (the first time takes several minutes)"
profile=${PROFILE:-release}
cargo build --profile "$profile" --locked --workspace --bins
for program in millrace-operator millrace-ingest millrace-transcode millrace-delivery millrace-demo millrace-bench millrace-faults; do
  from=$CARGO_TARGET_DIR/${profile/#dev/debug}/$program
  cmp -s "$from" "$folder/$program" && continue
  # Renamed into place: a running program cannot be written over, but its name can be taken.
  cp "$from" "$folder/.$program.new" && mv "$folder/.$program.new" "$folder/$program"
done
