#!/usr/bin/env bash
# What `make bench-operator` measures, with a release build (docs/benchmarks.md):
#   500 LiveStreams, and a bare client beside the operator, all of it on all cores
#   the same, API server and etcd on a core of their own, as where they have a machine of their own
#   10,000 suspended LiveStreams; their topics on three brokers
set -euo pipefail
cd "$(dirname "$0")/.."
measure() { # TEST [PREFIX...]
  "${@:2}" tests/run.sh --release --workspace --test controller -- --ignored --nocapture --test-threads 1 "$1"
}
export KAFKA_HEAP=1g
last=$(($(nproc) - 1))
echo "=== 500 streams, everything on cores 0 to $last"
measure five_hundred
if [ "$last" -gt 0 ]; then
  echo "=== 500 streams, API server and etcd on core 0, everything else on the others"
  API_SERVER_CPUS=0 measure five_hundred taskset -c "1-$last"
fi
echo "=== 10,000 suspended streams"
KAFKA_NODES=3 KAFKA_REPLICAS=1 measure ten_thousand
