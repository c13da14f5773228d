#!/bin/bash
# Measures damonfs against the kernel's own DAMON in the guests that have one, and
# runs the benchmarks of tests/bench on this machine. Further arguments go to
# tests/bench/against_kernel.py: scripts/bench.sh --runs 3 --regions 1000

set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

scripts/install-deps.sh
scripts/build.sh

against() {
    local guest=$1 backend=$2
    shift 2
    echo "== guest $guest, backend $backend"
    scripts/lab/run "$guest" --no-stdin --timeout 1800 --env PYTHONDONTWRITEBYTECODE=1 \
        --env "DAMONFS_BUILD=$PWD/build" \
        /usr/bin/python3 tests/bench/against_kernel.py --backend "$backend" "$@"
}

against damon pte "$@"
against idle pte "$@"
against idle idle "$@"

for program in build/tests/bench_*; do
    [ -x "$program" ] || continue
    echo "== $(basename "$program")"
    "$program"
done
