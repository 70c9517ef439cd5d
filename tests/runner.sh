#!/usr/bin/env bash
# Runs a test program for cargo (CARGO_TARGET_…_RUNNER), with as many tests at once as suits it.
case ${1##*/} in
  # Each has servers' databases and topics of its own, and waits most of the time.
  ingest-*) export RUST_TEST_THREADS=${RUST_TEST_THREADS:-12} ;;
esac
exec "$@"
