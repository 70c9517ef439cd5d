#!/usr/bin/env bash
# Runs a command that builds in CARGO_TARGET_DIR, one clone at a time:   with-target.sh COMMAND...
# The folder is shared by all clones of this project, so that dependencies are built once. Cargo
# tells what is up to date by file times alone, which say nothing between two clones: when another
# clone built last, our own crates are built again.
set -euo pipefail
clone=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/millrace/target}
target=$CARGO_TARGET_DIR
mkdir -p "$target"
exec 9>"$target/.millrace-lock"
if ! flock -n 9; then
  echo "Another build or test run uses $target; waiting for it." >&2
  flock 9
fi
if [ "$(cat "$target/.millrace-clone" 2>/dev/null)" != "$clone" ]; then
  rm -rf "$target"/*/.fingerprint/millrace-*
  echo "$clone" >"$target/.millrace-clone"
fi
# The lock is ours, not that of servers the command may leave running.
"$@" 9>&-
