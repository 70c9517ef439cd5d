#!/usr/bin/env bash
# Starts the servers that the tests need, runs every test, ends the servers, says how it went.
#   run.sh [ARGUMENTS of cargo test]     default: --workspace
# CLUSTER=0: without the Kubernetes API server, for tests that ask for none.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
if [ "${1:-}" != inside ]; then exec tests/with-target.sh "$0" inside "$@"; fi
shift; [ $# -gt 0 ] || set -- --workspace

. tests/services/lib.sh; set +e
# Ends everything of a run and forgets it. Operators and publishers that an interrupted test left
# carry the run's name in their environment; an operator ends its own workers.
finish() { # RUN
  local environment pid cluster
  for environment in $(grep -lzxF "MILLRACE_TEST_RUN=$PWD/$1" /proc/[0-9]*/environ 2>/dev/null); do
    pid=${environment#/proc/}; pid=${pid%/environ}
    [ "$pid" = $$ ] || kill "$pid" 2>/dev/null
  done
  tests/services/down.sh "$1/servers" drop
  # The shared one, and those of tests that end or restart theirs.
  for cluster in "$1"/cluster "$1"/clusters/*; do tests/cluster/lean.sh down "$cluster" drop; done
  rm -rf "$1"
}
mkdir -p target/test
for old in target/test/run.*; do
  if [ -d "$old" ] && ! alive "$old/owner"; then finish "$old"; fi
done
run=target/test/run.$$
mkdir -p "$run"; echo "$$ $(start_time $$)" >"$run/owner"
# shellcheck disable=SC2317
cleanup() {
  if [ -n "$builder" ]; then kill -- "-$builder" 2>/dev/null; fi
  finish "$run"
}
builder=
trap cleanup EXIT
trap 'exit 130' INT TERM

# The S3 server is built with Go. Where there is none, a directory is the only store that is tested.
if command -v go >/dev/null; then export S3=1; else
  export CLUSTER=0
  echo "No go to build them with: S3, the Kubernetes API server and helm, and their tests, are left out"
fi
export TEST_KUBECONFIG=none TEST_HELM=none
# Minutes of Go, the first time: beside those of Rust. In a group of its own, so that all of it ends.
if [ "${CLUSTER:-1}" = 1 ]; then
  set -m
  { tests/cluster/build.sh lean && tests/cluster/build.sh helm; } >"$run/cluster.log" 2>&1 </dev/null & builder=$!
  set +m
fi
echo "Starting the servers of the tests"
variables=$(tests/services/up.sh "$run/servers") || exit 1
eval "$variables"
log=target/test/log
echo "Checking .sqlx/ against the migrations"
tests/sqlx-prepare.sh --check || exit 1
# The end-to-end tests run the programs themselves, which cargo test alone does not build.
cargo build --locked --workspace --bins || exit 1
cargo test --locked --no-run "$@" || exit 1
if [ -n "$builder" ]; then
  echo "Starting the Kubernetes API server"
  wait "$builder" || { tail -n 20 "$run/cluster.log"; exit 1; }
  builder=
  variables=$(tests/cluster/lean.sh up "$PWD/$run/cluster") || exit 1
  eval "$variables"
  TEST_HELM=$(tests/cluster/build.sh helm)/helm || exit 1
fi
# Property tests try the same inputs each time, so that a change is judged by what it changes; other
# ones, and more, are for the night.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${host}_RUNNER=$PWD/tests/runner.sh"
MILLRACE_TEST_RUN=$PWD/$run tests/again.sh "$log" "$@"
status=$?

# "test result: ok. 12 passed; 0 failed; 0 ignored; …" once per test program
awk -v seconds=$SECONDS '
  /^test result:/ { programs++; passed += $4; failed += $6; ignored += $8 }
  /^test .* \.\.\. FAILED$/ { names = names "\n  " $2 }
  END { printf "\n%d passed, %d failed, %d ignored in %d test programs, %d min %d s%s\n",
        passed, failed, ignored, programs, seconds / 60, seconds % 60, names }' "$log"
if [ "$status" = 0 ]; then echo "All tests passed."; else echo "TESTS FAILED (the whole output: $log)"; fi
exit "$status"
