#!/usr/bin/env bash
# Proves that the public documentation builds without a warning (a broken link is one), and that
# its examples compile, run and show what they say.
#
# Time: about 1 minute.
set -euo pipefail
cd "$(dirname "$0")/.."

RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features
cargo test --workspace --doc --all-features
