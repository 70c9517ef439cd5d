#!/usr/bin/env bash
# Builds the programs as the tests have them (not optimised, in a tenth of the time) and their images,
# brings these to the cluster of KUBECONFIG (default: that of `make cluster`) and upgrades the release
# millrace in the namespace millrace to them. Where there is none yet, it is installed with all servers
# (quickstart).
# PROGRAMS: a folder with other programs
# LOAD: the command that brings an image's archive to the cluster's nodes; tests/cluster/load.sh
. "$(dirname "$0")/services/lib.sh"
cd "$HERE/../.." || exit 1
values=(--set quickstart.enabled=true)
if [ -z "${KUBECONFIG:-}" ] || [ "$KUBECONFIG" -ef /var/tmp/millrace-node/admin.kubeconfig ]; then
  values=(--values tests/cluster/node/values.yaml)
  variables=$(tests/cluster/node.sh up); eval "$variables"
fi
command -v helm >/dev/null || PATH=$(tests/cluster/build.sh helm):$PATH
load=${LOAD:-tests/cluster/load.sh}
# Pods are replaced when their image has another name: one made of what is in it.
release=(millrace charts/millrace --namespace millrace)
if helm status millrace --namespace millrace >/dev/null 2>&1; then
  targets=(operator transcode)
  # The servers of the quick start stay as they are.
  options=(--reset-then-reuse-values)
else
  targets=(operator transcode quickstart)
  options=(--create-namespace "${values[@]}")
fi
if [ -z "${PROGRAMS:-}" ]; then
  # The whole workspace's features, else half of it would be built twice.
  tests/with-target.sh cargo build --quiet --locked --workspace --bin millrace-operator --bin millrace-ingest --bin millrace-transcode --bin millrace-delivery
  export PROGRAMS=${CARGO_TARGET_DIR:-$HOME/.cache/millrace/target}/debug
  say "Compiled after $SECONDS s"
fi
images=$(TAG=content tests/images.sh "${targets[@]}")
echo "$images"
tag=${images%% *}; tag=${tag##*:}
for target in "${targets[@]}"; do options+=(--set "image.$target.tag=$tag"); done
say "Built after $SECONDS s"
for target in "${targets[@]}"; do $load "target/images/$target.tar"; done
say "Brought to the cluster after $SECONDS s"
helm upgrade --install "${release[@]}" "${options[@]}" --wait --timeout 10m >/dev/null
say "millrace $tag runs after $SECONDS s"
