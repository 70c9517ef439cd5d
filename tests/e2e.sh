#!/usr/bin/env bash
# What the README promises, on a cluster with nodes, from a helm install on (tests/harness/tests/deployed).
#   e2e.sh [ARGUMENTS of the test program]
# Without E2E_KUBECONFIG on the cluster of tests/cluster/node.sh, which it starts, and ends unless it
# was there or KEEP=1. With it on that one, whose namespaces millrace and events it takes; then also:
#   LOAD         command that brings an image's archive to its nodes
#   E2E_INGRESS  address:port of its Ingress controller     E2E_NODE  address of a node
#   E2E_PROXIES  networks of the Ingress controller
#   E2E_NODE_PROGRAMS  unless it is left out: a script that kills and starts containerd, kubelet,
#                kube-apiserver (`SCRIPT kill kubelet`), and with NODE=second in its environment makes
#                another node, cuts it off, and takes it away (up, cut, mend, down)
# PROGRAMS: a folder with other programs than those of the tests' build
. "$(dirname "$0")/services/lib.sh"
cd "$HERE/../.." || exit 1
if [ -n "${E2E_KUBECONFIG:-}" ]; then
  export KUBECONFIG=$E2E_KUBECONFIG
  : "${LOAD:?}" "${E2E_INGRESS:?}" "${E2E_NODE:?}" "${E2E_PROXIES:?}"
  command -v kubectl >/dev/null && command -v helm >/dev/null || PATH=$(tests/cluster/build.sh node):$PATH
else
  . tests/cluster/node/place.sh
  LOAD=tests/cluster/load.sh
  export E2E_INGRESS=$node_ip:80 E2E_NODE=$node_ip E2E_PROXIES=$pod_cidr,$node_net E2E_NODE_PROGRAMS=$PWD/tests/cluster/node.sh
  # One run at a time: there is one node.
  exec 8>/var/tmp/millrace-e2e.lock
  flock -n 8 || { say "Another run has the node; waiting for its end."; flock 8; }
  if [ "${KEEP:-0}" = 0 ] && ! alive "$work/node.pid"; then trap 'tests/cluster/node.sh down' EXIT; fi
  variables=$(tests/cluster/node.sh up 8>&-); eval "$variables"
fi
if [ -z "${PROGRAMS:-}" ]; then
  say "Building the programs as the tests have them"
  PROFILE=dev tests/build.sh target/e2e/bin >&2
  export PROGRAMS=$PWD/target/e2e/bin
fi
# Makes images, brings them to the nodes; leaves their tag in the variable VARIABLE.
bring() { # VARIABLE TARGET...
  local variable=$1 images target; shift
  images=$(TAG=content tests/images.sh "$@")
  echo "$images"
  for target in "$@"; do $LOAD "target/images/$target.tar"; done
  images=${images%% *}; export "$variable=${images##*:}"
}
bring E2E_TAG operator transcode quickstart
say "The programs of the next version, to upgrade to"
tests/next.sh "$PROGRAMS" target/next/bin
PROGRAMS=target/next/bin bring E2E_NEXT_TAG operator transcode
say "Images are there after $SECONDS s"
# A program of the node that a test starts again must not hold the lock.
tests/with-target.sh tests/again.sh target/e2e/log --workspace --test deployed -- --ignored --nocapture --test-threads=1 "$@" 8>&-
