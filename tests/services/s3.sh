#!/usr/bin/env bash
# A private S3 server (versitygw over a directory; its conditional writes are exact).
#   s3.sh install | start DIR PORT | stop DIR [fast]
# S3_CERTIFICATE, S3_KEY: PEM files; with them it speaks TLS.
# Bucket millrace; keys millrace / millrace-secret, region us-east-1. The first install needs Go and some minutes.
. "$(dirname "$0")/lib.sh"
VERSION=v1.8.0
GATEWAY=$SERVICES_HOME/bin/versitygw-$VERSION

case ${1:-} in
install)
  [ -x "$GATEWAY" ] && exit 0
  command -v go >/dev/null || die "the S3 server is built with Go, which is not installed"
  mkdir -p "$SERVICES_HOME/bin"
  exec 9>"$SERVICES_HOME/.lock-go"; flock 9; [ -x "$GATEWAY" ] && exit 0
  say "versitygw $VERSION: building (2 to 3 minutes, once)"
  GOBIN=$SERVICES_HOME/bin GOFLAGS=-trimpath go install -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$VERSION"
  mv "$SERVICES_HOME/bin/versitygw" "$GATEWAY" ;;
start)
  "$0" install
  mkdir -p "$2/data/millrace" "$2/meta"; dir=$(cd "$2" && pwd); port=$3
  alive "$dir/pid" && exit 0
  port_used "$port" && die "port $port is taken"
  tls=(); [ -n "${S3_CERTIFICATE:-}" ] && tls=(--cert "$S3_CERTIFICATE" --key "$S3_KEY")
  ROOT_ACCESS_KEY=millrace ROOT_SECRET_KEY=millrace-secret spawn "$dir/pid" "$dir/log" "$GATEWAY" \
    --port "127.0.0.1:$port" --region us-east-1 --keep-alive --health /health --quiet "${tls[@]}" posix --sidecar "$dir/meta" "$dir/data"
  wait_port "$port" "$dir/pid" "$dir/log" ;;
stop) halt "$2/pid" "$([ "${3:-}" = fast ] && echo KILL || echo TERM)" ;;
*) sed -n '2,5s/^# \?//p' "$0"; exit 2 ;;
esac
