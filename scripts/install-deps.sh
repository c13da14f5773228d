#!/bin/bash
# Installs the Debian packages that building and testing damonfs takes; those of
# the laboratory are installed by scripts/lab/prepare. Does nothing, and needs no
# network, where all are there. Run as root.
# usage: scripts/install-deps.sh [--demo | --accuracy] [--list]: --list prints their names only
#   --accuracy  also the services that tests/accuracy watches

set -euo pipefail

# The one list of them: to build and run, to test, to check. With --demo: those that scripts/demo.sh takes, and no more.
packages=(
    build-essential cmake ninja-build ccache pkg-config
    clang libclang-rt-dev lld llvm bpftool libbpf-dev libelf-dev libdw-dev zlib1g-dev
    libfuse3-dev fuse3 libspdlog-dev libfmt-dev libboost-dev libexpected-dev
    libcli11-dev nlohmann-json3-dev libyaml-cpp-dev libsystemd-dev libzstd-dev prometheus-cpp-dev libncurses-dev
    python3
)
[ "${1-}" = --demo ] || packages+=(
    libgtest-dev libgmock-dev libbenchmark-dev python3-pytest python3-pytest-rerunfailures python3-venv
    python3-prometheus-client python3-yaml python3-jsonschema tmux
    attr util-linux procps file linux-perf gnuplot-nox  # the last three for damo
    redis-tools  # has the program redis-server, too, and starts no service
    zstd chromium chromium-driver  # to read records, and to look at their pages
    lowdown man-db codespell zsh fish bash-completion  # manual pages; spelling; completion
    clang-format clang-tidy
)

if [ "${1-}" = --accuracy ]; then
    packages+=(postgresql default-jre-headless python3-numpy gcc)
    shift
fi
if [ "${1-}" = --list ]; then
    printf '%s\n' "${packages[@]}"
    exit
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    [[ $status == ii* ]] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "install-deps: only root can install: ${missing[*]}" >&2
    exit 1
fi

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@" </dev/null
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing ${missing[*]}" >&2
# Lists that are out of date name files that are gone: then once more with new ones.
if ! apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    apt update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
fi
