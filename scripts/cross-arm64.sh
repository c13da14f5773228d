#!/bin/bash
# Builds damonfs for arm64 on this machine.
#
# usage: scripts/cross-arm64.sh [BUILD-DIRECTORY [TARGET...]]    default: build-arm64, all targets
#
# The libraries come from Debian's packages for arm64, which scripts/lab/prepare opens in the laboratory's cache
# (this machine's own packages stay as they are). $CMAKE_OPTIONS goes to cmake. To try what was built:
#   scripts/lab/run arm64 build-arm64/fs/damonfs doctor

set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

build=${1-build-arm64}
shift || true
for tool in clang++ ld.lld cmake ninja bpftool; do
    command -v "$tool" >/dev/null || { echo "cross-arm64: $tool is missing: run scripts/install-deps.sh" >&2 && exit 1; }
done
root=$(scripts/lab/prepare --root)
# By a name that stays when the packages change, or else all would be built anew.
mkdir -p "$build"
ln -sfn "$root" "$build/root"
# shellcheck disable=SC2086 # words
cmake -S . -B "$build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/scripts/arm64.cmake" \
    -DARM64_ROOT="$(realpath -s "$build/root")" -DDAMONFS_WHOLE=ON ${CMAKE_OPTIONS-}
cmake --build "$build" -- "$@"
