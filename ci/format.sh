#!/usr/bin/env bash
# Proves that every file is formatted as rustfmt.toml says.
#
# Time: 1 second.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
# Workspaces of their own.
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo fmt --manifest-path tests/bare-metal/Cargo.toml --check
