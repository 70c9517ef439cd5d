#!/usr/bin/env bash
# Starts the servers that the tests need, runs every test, ends the servers, says how it went.
#   run.sh [ARGUMENTS of cargo test]     default: --workspace
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
if [ "${1:-}" != inside ]; then exec tests/with-target.sh "$0" inside "$@"; fi
shift; [ $# -gt 0 ] || set -- --workspace

. tests/services/lib.sh; set +e
mkdir -p target/test
# What a killed run left behind.
for old in target/test/run.*; do
  [ -d "$old" ] && ! alive "$old/owner" && tests/services/down.sh "$old/servers" drop && rm -rf "$old"
done
run=target/test/run.$$
mkdir -p "$run"; echo "$$ $(start_time $$)" >"$run/owner"
# shellcheck disable=SC2317
cleanup() { tests/services/down.sh "$run/servers" drop; rm -rf "$run"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

echo "Starting Postgres, Redis and Kafka for the tests"
variables=$(tests/services/up.sh "$run/servers") || exit 1
eval "$variables"
log=target/test/log
cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

# "test result: ok. 12 passed; 0 failed; 0 ignored; …" once per test program
awk -v seconds=$SECONDS '
  /^test result:/ { programs++; passed += $4; failed += $6; ignored += $8 }
  /^test .* \.\.\. FAILED$/ { names = names "\n  " $2 }
  END { printf "\n%d passed, %d failed, %d ignored in %d test programs, %d min %d s%s\n",
        passed, failed, ignored, programs, seconds / 60, seconds % 60, names }' "$log"
if [ "$status" = 0 ]; then echo "All tests passed."; else echo "TESTS FAILED (the whole output: $log)"; fi
exit "$status"
