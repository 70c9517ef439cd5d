#!/usr/bin/env bash
# Measures and prints the figures of docs/benchmarks.md.     bench.sh [ARGUMENTS of millrace-bench]
# Peers that cannot be had here are left out, and the tables say why.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install.sh bench || echo "Going on without what could not be installed."
tests/build.sh target/bench/bin
mediamtx=$(tests/bench/mediamtx.sh) && status=0 || status=$?
case $status in
0) set -- --mediamtx "$mediamtx" "$@" ;;
1) set -- --without-mediamtx "$mediamtx" "$@" ;;
*) exit $status ;; # interrupted
esac
exec target/bench/bin/millrace-bench "$@"
