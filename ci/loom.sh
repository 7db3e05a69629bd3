#!/usr/bin/env bash
# Proves by exhaustion that the shared types keep their promises under every interleaving and every
# memory order that C11 allows, up to LOOM_MAX_PREEMPTIONS (3) switches that no thread asked for:
# runs the models in the crates' tests/loom.rs.
#
#   ci/loom.sh [CRATE…]
#
# Time: 1 minute to compile, then what the models take; each further preemption multiplies it.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# The models that exist, so that none is lost unseen. Raise it with each new one.
MINIMUM=170

export LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS:-3}
export CARGO_TARGET_DIR=$target_dir/loom RUSTFLAGS="--cfg loom"
mkdir -p "$CARGO_TARGET_DIR"

all=0
for models in crates/*/tests/loom.rs; do
    [ -f "$models" ] || fail "no crate has models"
    crate=${models%/tests/loom.rs}
    [[ $# == 0 || " $* " == *" ${crate#crates/} "* ]] || continue
    log=$CARGO_TARGET_DIR/$(basename "$crate").log
    cargo test --release --manifest-path "$crate/Cargo.toml" --test loom 2>&1 | tee "$log"
    count=$(passed_tests "$log")
    ((count > 0)) || fail "$models: no model ran"
    echo "$models: $count models"
    all=$((all + count))
done
((all > 0)) || fail "no crate of these names has models: $*"
((all >= MINIMUM || $# > 0)) || fail "$all models ran, fewer than the $MINIMUM that there should be"
echo "$all models hold, with up to $LOOM_MAX_PREEMPTIONS preemptions"
