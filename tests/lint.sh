#!/usr/bin/env bash
# Formatting, clippy, shell syntax, and (where cargo-deny is installed) dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

# Part of Rust's default profile; a minimal one lacks them.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt || { echo "error: rustfmt is not installed" >&2; exit 1; }
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy || { echo "error: clippy is not installed" >&2; exit 1; }

echo "fmt"
cargo fmt --all -- --check
(cd tests/fuzz && cargo fmt -- --check)
echo "shell"
for script in .ci/run tests/*.sh tests/bench/*.sh tests/cluster/*.sh tests/cluster/node/*.sh tests/services/*.sh images/quickstart/*; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then shellcheck -S warning -s bash .ci/run tests/*.sh tests/bench/*.sh tests/cluster/*.sh tests/cluster/node/*.sh tests/services/*.sh images/quickstart/*; fi
echo "chart"
# Copies that people read or the chart holds, and their sources. make crd and make values write them.
for crd in crds/*; do cmp "$crd" "charts/millrace/files/$crd"; done
awk -f tests/chart/values.awk charts/millrace/values.yaml | diff docs/values.md - || { echo "error: docs/values.md is not of today's values.yaml: make values" >&2; exit 1; }
if command -v go >/dev/null; then
  helm=$(tests/cluster/build.sh helm)/helm
  for values in tests/chart/values/*.yaml; do
    "$helm" lint --quiet --strict --kube-version 1.35.0 --values "$values" charts/millrace
  done
else
  echo "helm lint: skipped, there is no go to build helm with"
fi
echo "clippy"
tests/with-target.sh cargo clippy --locked --workspace --all-targets -- -D warnings
if [ -x workers/delivery/web/node_modules/.bin/tsc ]; then
  echo "typescript"
  (cd workers/delivery/web && npm run --silent check)
fi
if cargo deny --version >/dev/null 2>&1; then
  echo "deny"
  cargo deny --locked check bans licenses sources
else
  echo "deny: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)"
fi
