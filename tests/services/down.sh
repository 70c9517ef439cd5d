#!/usr/bin/env bash
# Ends what up.sh started in a folder:   down.sh DIR [drop]     drop: deletes the data too
. "$(dirname "$0")/lib.sh"
[ -n "${1:-}" ] || { sed -n '2s/^# \?//p' "$0"; exit 2; }
[ -d "$1" ] || exit 0
dir=$(cd "$1" && pwd)
fast=$([ "${2:-}" = drop ] && echo fast || true)
for name in postgres redis kafka s3; do
  [ -d "$dir/$name" ] && { "$HERE/$name.sh" stop "$dir/$name" $fast & }
done
wait
if [ "${2:-}" = drop ]; then
  "$HERE/postgres.sh" drop "$dir/postgres"
  rm -rf "$dir"
fi
