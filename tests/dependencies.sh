#!/usr/bin/env bash
# Gives a target folder the dependencies as another has compiled them; nothing of ours.
#   dependencies.sh FROM TO     two folders, each with debug/
set -euo pipefail
shared=$1 to=$2/debug
mkdir -p "$to"
cd "$shared/debug" 2>/dev/null || exit 0
exec 8>"$shared/.millrace-lock"; flock 8
dependencies() { # FIND'S TESTS : paths, each ended by a zero
  find .fingerprint build deps -name '*millrace*' -prune -o -type f "$@" -print0
}
# Libraries are never written twice; the rest is, in place.
libraries=(-path 'deps/*' '(' -name '*.rlib' -o -name '*.rmeta' -o -name '*.so' -o -name '*.a' ')')
dependencies "${libraries[@]}" | xargs -0r cp -ln --parents -t "$to"
dependencies '(' ! -path 'deps/*' -o -name '*.d' ')' | xargs -0r cp -n --preserve=timestamps,mode --parents -t "$to"
