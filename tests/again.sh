#!/usr/bin/env bash
# Runs cargo test, and what failed once more, alone:   again.sh LOG ARGUMENTS of cargo test
# Two cores with four servers, browsers and encoders stand still for seconds now and then, and a test
# that waits in vain then says nothing about the change. Up to three may pass at the second try; each
# is named, so that who reads on sees it. What fails twice, and a program that died, fail the run.
set -uo pipefail
log=$1; shift
mkdir -p "$(dirname "$log")"
cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
# The last list of names after "failures:" in what each test program prints.
failed() {
  awk '/^failures:$/ { list = 1; names = ""; next }
       /^test result:/ { printf "%s", names; list = 0; names = "" }
       list && /^    [A-Za-z0-9_:]+$/ { names = names $1 "\n" }' "$log"
}
again() {
  [ "$status" != 0 ] || return
  local counted names
  counted=$(awk '/^test result:/ { failed += $6 } END { print failed + 0 }' "$log")
  mapfile -t names < <(failed)
  [ "$counted" = ${#names[@]} ] && [ "$counted" -ge 1 ] && [ "$counted" -le 3 ] || return
  ! grep -aq '(signal: ' "$log" || return
  echo "Once more, alone: ${names[*]}"
  case " $* " in *" -- "*) ;; *) set -- "$@" -- ;; esac
  cargo test --locked --no-fail-fast "$@" --exact "${names[@]}" >"$log.again" 2>&1
  status=$?
  if [ $status = 0 ]; then
    echo "PASSED ONLY AT THE SECOND TRY: ${names[*]} (why at first not: $log)"
  else cat "$log.again"; fi
}
again "$@"
exit "$status"
