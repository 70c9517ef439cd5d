#!/usr/bin/env bash
# Brings images to the node, where pods find them by their names:   load.sh ARCHIVE...
. "$(dirname "$0")/../services/lib.sh"
. "$(dirname "$0")/node/place.sh"
[ -n "${1:-}" ] || { sed -n '2s/^# \?//p' "$0"; exit 2; }
alive "$work/node.pid" || die "the cluster is not up: make cluster"
for archive in "$@"; do in_node ctr -n k8s.io images import "$(realpath "$archive")"; done
