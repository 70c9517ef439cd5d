#!/usr/bin/env bash
# Prints the path of the CRD of HTTPRoute, as the Gateway API publishes it (in its Go module).
. "$(dirname "$0")/../services/lib.sh"
VERSION=v1.6.3
CLUSTER_HOME=${MILLRACE_CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kubernetes}
file=$CLUSTER_HOME/httproutes-$VERSION.yaml
if [ ! -f "$file" ]; then
  command -v go >/dev/null || die "the Gateway API is fetched with Go, which is not installed"
  module=$(go mod download -json "sigs.k8s.io/gateway-api@$VERSION" | awk -F'"' '$2 == "Dir" { print $4 }')
  mkdir -p "$CLUSTER_HOME"
  new=$(mktemp "$CLUSTER_HOME/.httproutes.XXXXXX")
  cp "$module/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml" "$new"
  mv "$new" "$file"
fi
echo "$file"
