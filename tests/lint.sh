#!/usr/bin/env bash
# Formatting, clippy, shell syntax, and (where cargo-deny is installed) dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

# Part of Rust's default profile; a minimal one lacks them.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt || { echo "error: rustfmt is not installed" >&2; exit 1; }
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy || { echo "error: clippy is not installed" >&2; exit 1; }

echo "fmt"
cargo fmt --all -- --check
echo "shell"
for script in .ci/run tests/*.sh tests/bench/*.sh tests/cluster/*.sh tests/services/*.sh; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then shellcheck -S warning -s bash .ci/run tests/*.sh tests/bench/*.sh tests/cluster/*.sh tests/services/*.sh; fi
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
