#!/usr/bin/env bash
# Tries everything that reads strangers' bytes with bytes that libFuzzer finds: led by which code they
# reach, from those in tests/fuzz/corpus on. Stable Rust does; no sanitizer is needed where there is no
# unsafe code.
#   fuzz.sh [SECONDS [TARGET...]]     60 s each, all of them; two at a time
# FUZZ_SEED: 1 unless given
# What it finds is in target/fuzz: NAME-crash-..., and ends it with 1; `fuzz.sh NAME-crash-FILE` tries that
# again. New inputs of a run stay in target/fuzz/NAME and are where the next one begins.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then exec tests/with-target.sh "$0" inside "$@"; fi
shift

host=$(rustc -vV | sed -n 's/^host: //p')
# What `cargo fuzz` gives rustc, without a sanitizer. With --target, so that build scripts go without.
coverage=(-Cpasses=sancov-module -Ccodegen-units=1)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  coverage+=("-Cllvm-args=-sanitizer-coverage-$option")
done
build=$CARGO_TARGET_DIR/fuzz
(cd tests/fuzz && RUSTFLAGS=${coverage[*]} CARGO_TARGET_DIR=$build \
  cargo build --quiet --release --locked --target "$host")
program=$build/$host/release/millrace-fuzz
out=target/fuzz
mkdir -p "$out"

if [ -f "${1:-}" ]; then
  name=$(basename "$1"); name=${name%%-*}
  FUZZ_TARGET=$name exec "$program" "$1"
fi
seconds=${1:-60}; [ $# = 0 ] || shift
targets=("$@")
if [ $# = 0 ]; then for folder in tests/fuzz/corpus/*; do targets+=("${folder##*/}"); done; fi

try() { # SECONDS TARGET
  mkdir -p "$out/$2"
  FUZZ_TARGET=$2 "$program" -seed="${FUZZ_SEED:-1}" -max_total_time="$1" -timeout=10 \
    -rss_limit_mb=1024 -max_len=32768 \
    -use_value_profile=1 -print_final_stats=1 -artifact_prefix="$out/$2-" \
    "$out/$2" "tests/fuzz/corpus/$2" >"$out/$2.log" 2>&1 || {
      echo "$2: FOUND something"; tail -n 25 "$out/$2.log"; return 1; }
  awk -v name="$2" '/^stat::number_of_executed_units/ { runs = $2 } / cov: / { cov = $4 }
    END { printf "%-10s %10d inputs, %5s places reached\n", name, runs, cov }' "$out/$2.log"
}
export -f try; export program out
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'try "$1" "$2"' try "$seconds" {}
