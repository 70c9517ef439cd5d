#!/usr/bin/env bash
# MediaMTX, the peer of the benchmarks that also makes LL-HLS, built from its Go module once per
# machine. Prints where the program is, or why there is none; progress goes to stderr.
. "$(dirname "$0")/../services/lib.sh"
without() { echo "$*"; exit 1; }
VERSION=v1.20.1
MODULE=github.com/bluenviron/mediamtx@$VERSION
PROGRAM=$SERVICES_HOME/bin/mediamtx-$VERSION

if [ -x "$PROGRAM" ]; then echo "$PROGRAM"; exit 0; fi
command -v go >/dev/null || without "no go"
# A page of the server that nobody opens here wants it at build time; the player page has one.
page=$HERE/../../workers/delivery/web/node_modules/hls.js/dist/hls.min.js
[ -f "$page" ] || without "no hls.js (make web)"
mkdir -p "$SERVICES_HOME/bin"
exec 9>"$SERVICES_HOME/.lock-go"; flock 9
if [ -x "$PROGRAM" ]; then echo "$PROGRAM"; exit 0; fi

work=$(mktemp -d)
trap '[ -z "${pid:-}" ] || kill -- "-$pid" 2>/dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
build() {
  local source
  source=$(go mod download -json "$MODULE" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [ -n "$source" ] || return 1
  cp -r "$source" "$work/source" && chmod -R u+w "$work/source"
  # What its `go generate` would fetch.
  echo "$VERSION" >"$work/source/internal/core/VERSION"
  cp "$page" "$work/source/internal/servers/hls/hls.min.js"
  cd "$work/source" && go build -trimpath -ldflags='-s -w' -o "$work/mediamtx" .
}
say "MediaMTX $VERSION: building (3 to 5 minutes, once per machine)"
set -m # a process group of its own, so that the trap ends the compiler too
build >"$work/log" 2>&1 9>&- </dev/null & pid=$!
set +m
while kill -0 $pid 2>/dev/null; do
  sleep 1
  if [ $((SECONDS % 15)) = 0 ]; then say "  building MediaMTX … $SECONDS s"; fi
done
wait $pid || { tail -n 5 "$work/log" >&2; without "it could not be built"; }
pid=
mv "$work/mediamtx" "$PROGRAM"
say "  built in $SECONDS s"
echo "$PROGRAM"
