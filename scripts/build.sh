#!/bin/bash
# Builds damonfs into build/, or elsewhere. Says nothing unless it fails, or how far
# it is where that is a terminal.
# usage: scripts/build.sh [--dir DIR] [--only "TARGET..."] [CMAKE-OPTION...]

set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

dir=build
targets=()
while [ $# -gt 0 ]; do
    case $1 in
        --dir) dir=$2 ;;
        --only) read -ra targets <<<"$2" ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' scripts/build.sh && exit ;;
        *) break ;;
    esac
    shift 2
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake -S . -B "$dir" -G Ninja "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
# Ninja's one line that changes needs a terminal; elsewhere only what failed matters.
if [ -t 1 ]; then
    ninja -C "$dir" -j "$(nproc)" "${targets[@]}"
elif ! ninja -C "$dir" -j "$(nproc)" "${targets[@]}" >"$log" 2>&1; then
    grep -v '^\[[0-9]*/[0-9]*\]' "$log" >&2 || true
    exit 1
fi
