#!/usr/bin/env bash
# What takes longer than a change can wait for, with the release build. What each stage found goes into
# docs/nightly/STAGE.txt, to be committed.
#   nightly.sh [STAGE...]     images, e2e, faults, random, steady, versions, fuzz, properties,
#                             bench, operator, crd; all by default
. "$(dirname "$0")/services/lib.sh"
cd "$HERE/../.." || exit 1
[[ ${1:-} != -* ]] || { sed -n '2,5s/^# \?//p' "$0"; exit 2; }

# The images twice, from the base on: their digests are the same.
images() {
  local first second
  first=$(images_from_nothing) && second=$(images_from_nothing) || return
  echo "$first"
  if [ "$first" = "$second" ]; then echo "Built again, base and all: the same."; else
    echo "Built again, base and all: NOT the same."; echo "$second"; return 1
  fi
}
images_from_nothing() (
  MILLRACE_IMAGES_HOME=$(mktemp -d); export MILLRACE_IMAGES_HOME
  trap 'rm -rf "$MILLRACE_IMAGES_HOME"' EXIT
  tests/images.sh
)
e2e() { tests/build.sh target/nightly/bin && PROGRAMS=$PWD/target/nightly/bin tests/e2e.sh; }
faults() { tests/faults.sh && tests/faults.sh --plant reset drop byte; }
# Another seed each day; what it was stands in the report.
random() {
  tests/faults.sh --random 900 --seed "$(date -u +%Y%m%d)" --out target/faults/random &&
    tests/faults.sh --kills 20 --seed "$(date -u +%Y%m%d)" --out target/faults/kills
}
# Half an hour without a fault: memory stays, and sound beside its pictures.
steady() { tests/faults.sh --steady 1800 --out target/faults/steady; }
# Each worker replaced by the version before and back.
versions() { tests/previous.sh target/faults/previous && tests/faults.sh --versions target/faults/previous; }
fuzz() { FUZZ_SEED=$(date -u +%Y%m%d) tests/fuzz.sh 600; }
# The tests of properties with another seed each day, and twenty times as many cases.
properties() {
  export PROPTEST_RNG_SEED PROPTEST_CASES=5000
  PROPTEST_RNG_SEED=$(date -u +%Y%m%d)
  echo "seed $PROPTEST_RNG_SEED"
  CLUSTER=0 tests/run.sh -p millrace-media -p millrace-transcode
}
bench() { tests/bench.sh; }
operator() { make --no-print-directory bench-operator; }
# On the oldest API server that the chart allows and the newest to be had: CI has the one of the module.
crd() {
  local version dir variables status=0
  for version in v1.30.14 v1.37.2; do
    dir=$(mktemp -d)
    if variables=$(tests/cluster/lean.sh up "$dir" "$version"); then
      eval "$variables"
      echo "Kubernetes $version"
      cargo test --locked --workspace --test crd || status=1
    else
      status=1
    fi
    tests/cluster/lean.sh down "$dir" drop
  done
  return $status
}

# Of what a stage printed, what is to be kept.
found() { # STAGE
  case $1 in
    images) grep -a '^docker.io\|^Built again' ;;
    e2e) sed -E '/ \.\.\. (ok|FAILED|ignored)/!s/ \.\.\. .*/ .../' |
      grep -a '^test \|^ok$\|^FAILED$\|goes on\|frames from\|panicked' ;;
    operator) grep -a '^test \|stream\|RSS' ;;
    properties) grep -a '^seed\|passed,' ;;
    crd) grep -a '^test \|^Kubernetes' ;;
    *) cat ;;
  esac
}

stages=("$@"); [ $# -gt 0 ] || stages=(images e2e faults random steady versions fuzz properties bench operator crd)
mkdir -p target/nightly docs/nightly
failed=()
for stage in "${stages[@]}"; do
  say "=== $stage"
  begun=$SECONDS
  if "$stage" 2>&1 </dev/null | tee target/nightly/"$stage".log; then outcome=passed; else
    outcome=FAILED; failed+=("$stage")
  fi
  {
    echo "$stage: $outcome in $(((SECONDS - begun + 59) / 60)) minutes, $(date -u +%F), commit $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- ':!docs/nightly' || echo ' and changes'), $(nproc) cores"
    echo
    found "$stage" <target/nightly/"$stage".log || true
  } >docs/nightly/"$stage".txt
done
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]} (target/nightly/STAGE.log)"
