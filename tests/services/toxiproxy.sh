#!/usr/bin/env bash
# A private fault proxy for tests: cuts, delays and stalls connections on command.
#   toxiproxy.sh install | start DIR PORT | stop DIR      its HTTP API is on 127.0.0.1:PORT
. "$(dirname "$0")/lib.sh"
VERSION=v2.5.0
PROXY=$SERVICES_HOME/bin/toxiproxy-$VERSION

case ${1:-} in
install)
  [ -x "$PROXY" ] && exit 0
  command -v go >/dev/null || die "the fault proxy is built with Go, which is not installed"
  mkdir -p "$SERVICES_HOME/bin"
  exec 9>"$SERVICES_HOME/.lock-go"; flock 9; [ -x "$PROXY" ] && exit 0
  say "toxiproxy $VERSION: building (once)"
  # Its command's folder is called "server", and so would be the binary: build aside, then rename.
  aside=$(mktemp -d)
  GOBIN=$aside GOFLAGS=-trimpath go install -ldflags='-s -w' "github.com/Shopify/toxiproxy/v2/cmd/server@$VERSION"
  mv "$aside/server" "$PROXY"; rmdir "$aside" ;;
start)
  "$0" install
  mkdir -p "$2"; dir=$(cd "$2" && pwd); port=$3
  alive "$dir/pid" && exit 0
  port_used "$port" && die "port $port is taken"
  spawn "$dir/pid" "$dir/log" "$PROXY" -host 127.0.0.1 -port "$port"
  wait_port "$port" "$dir/pid" "$dir/log" ;;
stop) halt "$2/pid" ;;
*) sed -n '2,3s/^# \?//p' "$0"; exit 2 ;;
esac
