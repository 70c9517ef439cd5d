#!/usr/bin/env bash
# The operator from source against a cluster, built and started again when a source changes.
#   dev.sh          against KUBECONFIG; Ctrl-C ends it
# Without KUBECONFIG: an API server of its own in target/cluster, where no Pod ever runs. Without
# DATABASE_URL, REDIS_URL and KAFKA_BROKERS: servers of its own in target/dev, whose data stays.
# Workers go into the namespace POD_NAMESPACE (millrace), which is made.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/services/lib.sh
operator='' builder='' ours=()
say() { echo "dev: $*" >&2; }
stop() { if [ -n "$operator" ]; then kill "$operator" 2>/dev/null || true; wait "$operator" || true; operator=''; fi; }
cleanup() {
  if [ -n "$builder" ]; then kill "$builder" 2>/dev/null || true; fi
  stop
  for end in "${ours[@]}"; do $end; done
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# In sessions of their own: the terminal's Ctrl-C is for this script, which ends them in order.
if [ -z "${KUBECONFIG:-}" ]; then
  ours+=("tests/cluster/lean.sh down target/cluster")
  tests/cluster/lean.sh up target/cluster >/dev/null
  export KUBECONFIG=$PWD/target/cluster/admin.kubeconfig
fi
if [ -z "${DATABASE_URL:-}${REDIS_URL:-}${KAFKA_BROKERS:-}" ]; then
  ours+=("tests/services/down.sh target/dev/servers")
  variables=$(DURABLE=1 tests/services/up.sh target/dev/servers)
  eval "$variables"
  export DATABASE_URL=$TEST_DATABASE_URL REDIS_URL=$TEST_REDIS_URL KAFKA_BROKERS=$TEST_KAFKA_BROKERS
fi
export POD_NAMESPACE=${POD_NAMESPACE:-millrace} MILLRACE_INSTALLATION=${MILLRACE_INSTALLATION:-dev}
export LISTEN_ADDRESS=${LISTEN_ADDRESS:-127.0.0.1} HEALTH_PORT=${HEALTH_PORT:-$(free_ports 1)}
export RUST_LOG=${RUST_LOG:-info,millrace_operator=debug}
kubectl=$(command -v kubectl || echo "$(tests/cluster/build.sh lean)/kubectl")
program=${CARGO_TARGET_DIR:-$HOME/.cache/millrace/target}/debug/millrace-operator
mkdir -p target/dev
copy=target/dev/millrace-operator

# What the chart makes.
"$kubectl" apply --server-side -f - >/dev/null <<END
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "$POD_NAMESPACE"}}
{"apiVersion": "v1", "kind": "ServiceAccount",
 "metadata": {"name": "${WORKER_SERVICE_ACCOUNT:-millrace-worker}", "namespace": "$POD_NAMESPACE"}}
END
say "kubectl --kubeconfig $KUBECONFIG apply -f examples/keynote.yaml"
while :; do
  touch target/dev/built
  # What runs goes on until the new one is built; a copy, which no build can replace under it.
  # Waited for in the background, so that a signal is heard meanwhile.
  tests/with-target.sh cargo build -q --locked --workspace --bin millrace-operator & builder=$!
  if wait "$builder"; then
    builder=''
    stop
    cp -f "$program" "$copy"
    if "$copy" crd | "$kubectl" apply --server-side --force-conflicts -f - >/dev/null && "$copy" migrate; then
      say "the operator starts"
      "$copy" run & operator=$!
    fi
  fi
  until find operator workers migrations Cargo.toml Cargo.lock -name node_modules -prune -o \
    -newer target/dev/built -type f -print -quit | grep -q .; do
    if [ -n "$operator" ] && ! kill -0 "$operator" 2>/dev/null; then
      wait "$operator" || say "the operator ended with status $?; the next change starts it again"
      operator=''
    fi
    sleep 0.5
  done
  say "a source changed"
done
