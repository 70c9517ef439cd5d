#!/usr/bin/env bash
# Kills what a live stream needs, and prints the table of docs/faults.md.     faults.sh [ARGUMENTS of millrace-faults]
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install.sh
tests/build.sh target/faults/bin
exec target/faults/bin/millrace-faults "$@"
