#!/bin/bash
# Feeds the parsers in fs/ and ops/ with what libFuzzer makes up (tests/fuzz), each for its share of the time. Needs clang.
# What made one fail stays in BUILD/fuzz/NAME; the exit status is 1 then.

set -uo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

usage() {
    cat <<EOT
usage: scripts/fuzz.sh [--minutes N] [NAME...]
  --minutes N  in all (default: 10)
  NAME         only these: $(cd tests/fuzz && echo *.cc | sed 's/\.cc//g')
EOT
}

minutes=10 names=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=${2-} && shift 2 ;;
        -h | --help) usage && exit ;;
        -*) usage >&2 && exit 2 ;;
        *) names+=("$1") && shift ;;
    esac
done
[[ $minutes =~ ^[0-9]+$ ]] || { usage >&2 && exit 2; }
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(cd tests/fuzz && ls ./*.cc | sed 's|\./||; s|\.cc$||')

build=${DAMONFS_FUZZ_BUILD:-build-fuzz}
cmake -S . -B "$build" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DDAMONFS_FUZZ=ON >/dev/null || exit 2
ninja -C "$build" "${names[@]/#/fuzz_}" || exit 2

# What the parsers read for real, to begin with.
seed() { # NAME
    local to=$build/fuzz/$1/corpus
    mkdir -p "$to"
    case $1 in
        pattern) cp scripts/*.pattern tests/integration/*.pattern "$to" ;;
        maps) cat /proc/self/maps >"$to/self" ;;
        iomem) cat /proc/iomem >"$to/own" ;;
        zoneinfo) { cat /proc/zoneinfo && printf '\0' && head -c 4000 /proc/cpuinfo; } >"$to/own" ;;
        mountinfo) cat /proc/self/mountinfo >"$to/own" ;;
        config) printf 'protect: [pid=1]\nkdamonds:\n  - state: on\n    contexts:\n      - operations: vaddr\n        targets: [{pid_target: 1}]\n' >"$to/one" ;;
        perf_options) printf -- '-e\ndamon:*\n-o\nfile\n--\nsleep\n1\n' >"$to/one" ;;
        trace_line) echo '       kdamond.0-1234    [001] ..... 12.345678901: damon_aggregated: target_id=0 nr_regions=12 4096-8192: 0 1' >"$to/one" ;;
    esac
}

status=0
for name in "${names[@]}"; do
    seed "$name"
    (
        cd "$build/fuzz/$name" || exit 2
        "../../tests/fuzz/fuzz_$name" -max_total_time=$((minutes * 60 / ${#names[@]})) -max_len=8192 -rss_limit_mb=1024 -timeout=10 \
            -print_final_stats=1 corpus >log 2>&1
    )
    result=$?
    echo "$name: $(grep -o 'number_of_executed_units: .*' "$build/fuzz/$name/log" | grep -o '[0-9]*') inputs, exit status $result"
    [ $result = 0 ] || { status=1 && tail -20 "$build/fuzz/$name/log"; }
done
exit $status
