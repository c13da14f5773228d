#!/bin/bash
# Plays against the parsers (tests/fuzz/parsers), a tree in this process (tests/fuzz/tree_player.cc) and a mounted one
# (tests/fuzz/mount.py) with what libFuzzer and chance make up. Needs clang; the mount needs root and FUSE. What made one
# fail stays in BUILD/fuzz/NAME; the exit status is 1 then.

set -uo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

usage() {
    cat <<EOT
usage: scripts/fuzz.sh [--minutes N | --seconds N] [--runs N] [--seed N] [--keep-corpus] [--junit DIR]
                       [KIND | PARSER...]
  --minutes N    for each kind (default: 10); the parsers share theirs
  --runs N       this many inputs for each parser, and a tenth of it for the tree, however long they take
  --seed N       the same draws again (default: new ones); with --runs the parsers see the same inputs each time
  --keep-corpus  adds what was new to BUILD/fuzz/NAME/corpus, and begins with what is there, too
  --junit DIR    leaves a file for each kind there
  KIND           parsers, tree, mount: only this one; or the names of parsers (default: all kinds)
The first two begin with the corpus in tests/fuzz/corpus. They are built in build-asan, or \$DAMONFS_FUZZ_BUILD; the daemon
is that of build, or \$DAMONFS_BUILD.
EOT
}

seconds=600 runs='' seed='' keep='' junit='' names=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) seconds=$((${2-x} * 60)) 2>/dev/null || seconds=x; shift ;;
        --seconds) seconds=${2-} && shift ;;
        --runs) runs=${2-} && shift ;;
        --seed) seed=${2-} && shift ;;
        --keep-corpus) keep=yes ;;
        --junit) junit=${2-} && mkdir -p "$junit" && shift ;;
        -h | --help) usage && exit ;;
        -*) usage >&2 && exit 2 ;;
        *) names+=("$1") ;;
    esac
    shift
done
[[ $seconds =~ ^[0-9]+$ && $runs =~ ^([1-9][0-9]*)?$ && $seed =~ ^[0-9]*$ ]] || { usage >&2 && exit 2; }
[ ${#names[@]} -gt 0 ] || names=(parsers tree mount)

build=$(realpath -m "${DAMONFS_FUZZ_BUILD:-build-asan}")
if [ "${names[*]}" != mount ]; then
    # The same as scripts/test.sh --sanitize has, so that nothing is built twice.
    scripts/build.sh --dir "$build" --only fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DDAMONFS_WHOLE=ON \
        -DDAMONFS_SANITIZE=address,undefined -DDAMONFS_FUZZ=ON || exit 2
fi

# What libFuzzer tries depends on addresses, and on when it reads its corpus again. A container may refuse to fix them.
fixed=(setarch --addr-no-randomize)
"${fixed[@]}" true 2>/dev/null || fixed=()

# feed NAME SECONDS RUNS PROGRAM...: has libFuzzer run PROGRAM for that time, or with so many inputs; adds what came of it
# to the file of results.
feed() {
    local name=$1 time=$2 runs=$3 place=$build/fuzz/$1 status=0
    shift 3
    mkdir -p "$place/corpus"
    [ -n "$keep" ] || find "$place/corpus" -type f -delete
    local end=(-max_total_time="$time")
    [ -z "$runs" ] || end=(-runs="$runs")
    "${fixed[@]}" "$@" ${seed:+-seed="$seed"} "${end[@]}" -reload=0 -max_len=8192 -rss_limit_mb=2048 \
        -timeout=120 -print_final_stats=1 -artifact_prefix="$place/" \
        "$place/corpus" "tests/fuzz/corpus/$name" >"$place/log" 2>&1 || status=$?
    echo "$name: $(grep -o 'number_of_executed_units: .*' "$place/log" | grep -o '[0-9]*') inputs, exit status $status"
    local failure=''
    if [ $status != 0 ]; then
        grep -vE '^#[0-9]+\s+(NEW|REDUCE|pulse)' "$place/log" | tail -40
        failure='<failure>see the log</failure>'
    fi
    echo "<testcase name=\"$name\">$failure</testcase>" >>"$cases"
    return $status
}

# report KIND: the file for scripts/test.sh.
report() {
    [ -z "$junit" ] || { echo '<testsuite name="fuzz">' && cat "$cases" && echo '</testsuite>'; } >"$junit/$1.xml"
}

fuzz_parsers() { # NAME...
    local status=0 name each cases=$build/fuzz/parsers.cases
    mkdir -p "$build/fuzz" && : >"$cases"
    each=$((seconds / $#))
    for name in "$@"; do
        feed "$name" $((each > 0 ? each : 1)) "$runs" "$build/tests/fuzz/fuzz_parsers" "$name" || status=1
    done
    report parsers
    return $status
}

fuzz_tree() {
    local status=0 cases=$build/fuzz/tree.cases
    mkdir -p "$build/fuzz" && : >"$cases"
    feed tree "$seconds" "${runs:+$((runs / 10 + 1))}" "$build/tests/fuzz/fuzz_tree" || status=1
    report tree
    return $status
}

fuzz_mount() {
    /usr/bin/python3 tests/fuzz/mount.py --seconds "$seconds" ${seed:+--seed "$seed"} ${junit:+--junit "$junit/mount.xml"}
}

# The first two use a processor each; the mount is for as many as there are.
status=0 jobs=() parsers=()
for name in "${names[@]}"; do
    case $name in
        parsers) mapfile -t parsers < <("$build/tests/fuzz/fuzz_parsers") ;;
        tree) fuzz_tree & jobs+=($!) ;;
        mount) ;;
        *) parsers+=("$name") ;;
    esac
done
[ ${#parsers[@]} = 0 ] || fuzz_parsers "${parsers[@]}" || status=1
for job in "${jobs[@]}"; do wait "$job" || status=1; done
[[ " ${names[*]} " != *" mount "* ]] || fuzz_mount || status=1
exit $status
