#!/usr/bin/env bash
# Ends what up.sh started in a folder:   down.sh DIR [drop]     drop: deletes the data too
. "$(dirname "$0")/lib.sh"
[ -n "${1:-}" ] || { sed -n '2s/^# \?//p' "$0"; exit 2; }
[ -d "$1" ] || exit 0
dir=$(cd "$1" && pwd)
# An up.sh that still starts some is waited for: else they would outlive us.
if [ "${MILLRACE_LOCKED:-0}" = 0 ]; then exec 9>"$dir/.lock"; flock 9; fi
fast=$([ "${2:-}" = drop ] && echo fast || true)
for name in postgres redis kafka s3; do
  [ -d "$dir/$name" ] && { "$HERE/$name.sh" stop "$dir/$name" $fast 9>&- & }
done
wait
if [ "${2:-}" = drop ]; then
  "$HERE/postgres.sh" drop "$dir/postgres"
  rm -rf "$dir"
fi
