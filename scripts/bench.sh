#!/bin/bash
# Measures damonfs against the kernel's own DAMON in the guests that have one, and
# runs the benchmarks of tests/bench on this machine. Further arguments go to
# tests/bench/against_kernel.py: scripts/bench.sh --runs 3 --regions 1000

set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

scripts/install-deps.sh
scripts/build.sh
scripts/damo.sh build/damo >/dev/null

# against PROGRAM GUEST BACKEND ARGS...: in a guest with swap, which only what puts memory under pressure uses
against() {
    local program=$1 guest=$2 backend=$3
    shift 3
    echo "== $program in the guest $guest, backend $backend"
    scripts/lab/run "$guest" --no-stdin --timeout 3600 --swap 1024 --env PYTHONDONTWRITEBYTECODE=1 \
        --env "DAMONFS_BUILD=$PWD/build" \
        /usr/bin/python3 "tests/bench/$program.py" --backend "$backend" "$@"
}

against against_kernel damon pte "$@"
against against_kernel idle pte "$@"
against against_kernel idle idle "$@"
against against_kernel newest pte "$@"
against against_kernel newest soft-dirty "$@"
against against_kernel damon pte --paddr "$@"
against against_kernel idle idle --paddr "$@"
against against_kernel newest pte --paddr "$@"
against accuracy_against_kernel damon pte
against accuracy_against_kernel newest pte
against actions_against_kernel damon pte
against watched_under_pressure newest kernel
against watched_under_pressure newest pte
against damo_start_against_kernel damon pte

for program in build/tests/bench_*; do
    [ -x "$program" ] || continue
    echo "== $(basename "$program")"
    "$program"
done
