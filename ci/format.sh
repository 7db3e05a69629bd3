#!/usr/bin/env bash
# Proves that every file is formatted as rustfmt.toml says.
#
# Time: 1 second.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
# A workspace of its own.
cargo fmt --manifest-path fuzz/Cargo.toml --check
