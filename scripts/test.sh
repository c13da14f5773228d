#!/bin/bash
# Installs what is missing, builds, and runs the tests. Every step says how long it
# took; one that fails does not keep later ones from running, unless they need it.
# Ends with the names of the tests that failed, and one line that counts all tests of all steps.

set -uo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

usage() {
    cat <<EOT
usage: scripts/test.sh [--lab | --lab-smoke] [--sanitize | --sanitize-units] [--accuracy] [--tidy | --tidy-quick] [--package] [--require BACKEND[,BACKEND]]
  (nothing)    units, the scripted tests on this machine's kernel, and a minute of random operations on a mount
  --lab        ... and in the four guests (scripts/lab)
  --lab-smoke  ... of these only: they boot, doctor, accesses are seen, our tree beside the kernel's; without the guest
               idle where its kernel is not in the cache yet, for it takes minutes to build, and without one whose
               kernel cannot be fetched
  --sanitize   ... and all but the lab's again under ASan+UBSan and under TSan; a minute of fuzzing of parsers and tree
  --sanitize-units  ... of these the units only
  --accuracy   ... and how right it is about programs with known accesses (5 minutes, a quiet machine)
  --tidy       clang-tidy over our sources, too (an hour)
  --tidy-quick ... without what clang's analyzer finds (5 minutes)
  --package    Debian packages: built, installed, used and purged in clean roots of Debian 12 and 13, and lintian
  --require    backends that this machine is known to have (pte, idle, soft-dirty):
               a test that would be skipped for want of one fails instead
Set KEEP_LOGS=DIR to find the whole output of every step there.
EOT
}

lab='' sanitize='' accuracy='' tidy='' package=''
while [ $# != 0 ]; do
    case $1 in
        --lab) lab=whole ;;
        --lab-smoke) lab=smoke ;;
        --sanitize) sanitize=whole ;;
        --sanitize-units) sanitize=units ;;
        --accuracy) accuracy=yes ;;
        --tidy) tidy=whole ;;
        --tidy-quick) tidy=quick ;;
        --package) package=yes ;;
        --require) [ -n "${2-}" ] && export DAMONFS_REQUIRE=$2 && shift ;;
        -h | --help) usage && exit ;;
        *) false ;;
    esac || { usage >&2 && exit 2; }
    shift
done

export PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=quarantine_size_mb=1 # for the test that nothing piles up
python=/usr/bin/python3 # Debian's, which has Debian's pytest
results=$(mktemp -d)
logs=${KEEP_LOGS:-$results/logs}
mkdir -p "$logs"
trap 'rm -rf "$results"' EXIT
passed=0 failed=0 skipped=0

# step NAME COMMAND...: runs it with its output in a log, which is shown when it
# fails. A command that runs tests leaves JUnit files in $results/NAME; any other
# counts only when it fails.
step() {
    local name=$1 began=$SECONDS log status=0 p=0 f=0 s=0
    shift
    log=$logs/$name.log
    mkdir -p "$results/$name"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    read -r p f s < <($python tests/junit_count.py "$results/$name")
    if [ $status != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" = 0 ]; then
        printf '%-22s ok      %4d s' "$name" $((SECONDS - began))
    else
        printf '%-22s FAILED  %4d s' "$name" $((SECONDS - began))
    fi
    [ $((p + f + s)) = 0 ] || printf '  %d passed, %d failed, %d skipped' "$p" "$f" "$s"
    echo
    if [ "$f" != 0 ]; then
        # Of units those that passed are not what is looked for.
        grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test.* Passed )|\[ *(RUN|OK) *\]' "$log" | tail -n 120 | cut -c1-300 | sed 's/^/  | /'
        return 1
    fi
}

# Documents and the texts of --help, by a list of usual slips; words that only look like one are in scripts/spelling/words.
check_spelling() {
    codespell -q 3 -I scripts/spelling/words ./*.md docs scripts/lab/README.md tests/*.md fs/main.cc fs/cli examples debian scripts/completion
}

check_format() {
    find core ops reclaim services recording fs tests -name '*.cc' -o -name '*.h' -o -name '*.c' |
        xargs clang-format --dry-run --Werror
}

# units NAME DIR: one after the other, as some measure time. Those that measure accesses (tests/CMakeLists.txt) may have
# a second try, no others.
units() {
    local status=0
    all_units "$1" "$2" rest -LE measures || status=1
    all_units "$1" "$2" measuring -L measures --repeat until-pass:2 || status=1
    return $status
}

# all_units NAME DIR PART CTEST-ARGS...
all_units() {
    local name=$1 dir=$2 part=$3
    shift 3
    ctest --test-dir "$dir" --no-tests=error --output-on-failure --timeout 300 --output-junit "$results/$name/$part.xml" "$@"
}

# scripted NAME DIR: the tests in Python.
scripted() {
    DAMONFS_BUILD=$PWD/$2 $python -m pytest -p no:cacheprovider -q -rs tests/integration \
        --junitxml "$results/$1/junit.xml"
}

# damo's command lines; they take minutes, and damo comes from PyPI.
damo() {
    DAMONFS_BUILD=$PWD/build $python -m pytest -p no:cacheprovider -q -rs tests/damo --junitxml "$results/damo/junit.xml"
}

# Prints what was found against what was true.
accuracy() {
    scripts/install-deps.sh --accuracy || return
    DAMONFS_BUILD=$PWD/build $python -m pytest -p no:cacheprovider -q -rA tests/accuracy --junitxml "$results/accuracy/junit.xml"
}

# A minute or so of each kind that is built. Parsers see the same inputs each time, on a slow machine, too: so a change is
# to blame for what they find. For new ones, and more of them, there is scripts/fuzz.sh.
fuzz() {
    scripts/fuzz.sh --runs 20000 --seconds 50 --seed 1 --junit "$results/fuzz" ${sanitize:+parsers tree} mount
}

demo() {
    $python -m pytest -p no:cacheprovider -q -rA tests/test_demo.py --junitxml "$results/demo/junit.xml"
}

# build_and_test SUFFIX DIR CMAKE-ARGS...
build_and_test() {
    local suffix=$1 dir=$2
    shift 2
    step "build$suffix" scripts/build.sh --dir "$dir" "$@" || return 1
    step "units$suffix" units "units$suffix" "$dir"
    [ -n "$suffix" ] && [ "$sanitize" = units ] || step "scripted$suffix" scripted "scripted$suffix" "$dir"
}

step install scripts/install-deps.sh || { echo "0 passed, 1 failed"; exit 1; }
step format check_format
step spelling check_spelling
built=''
# Not with sanitizers: instrumented, GCC warns of what is not so.
# Where nobody builds twice, what makes one build quick.
if build_and_test '' build -DDAMONFS_WERROR=ON ${CI:+-DDAMONFS_WHOLE=ON}; then built=yes; elif [ -x build/damonfs ]; then built=yes; fi
if [ -n "$built" ]; then step demo demo; fi
if [ -n "$built" ]; then step damo damo; fi
if [ -n "$built" ] && [ -n "$accuracy" ]; then step accuracy accuracy; fi
if [ "$tidy" = quick ]; then step tidy-quick scripts/tidy --quick; fi
if [ "$tidy" = whole ] && [ -n "$built" ]; then step tidy scripts/tidy build; fi
if [ -n "$package" ]; then step package scripts/test-package.sh; fi
if [ -n "$sanitize" ]; then
    # clang, which takes half of GCC's time for it, and has another mind about the language.
    clang=(-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DDAMONFS_WHOLE=ON)
    build_and_test -asan build-asan "${clang[@]}" -DDAMONFS_SANITIZE=address,undefined -DDAMONFS_FUZZ=ON
    build_and_test -tsan build-tsan "${clang[@]}" -DDAMONFS_SANITIZE=thread
fi
if [ -n "$built" ]; then step fuzz fuzz; fi
if [ -n "$lab" ] && [ -n "$built" ]; then
    if [ "$lab" = smoke ]; then
        step lab-smoke tests/lab/run-all --smoke "$results/lab-smoke"
    else
        step lab-kernels scripts/lab/prepare
        step lab tests/lab/run-all "$results/lab"
    fi
fi

[ $failed = 0 ] || $python tests/junit_count.py --failed "$results" | sed 's/^/failed: /'
summary="$passed passed, $failed failed"
[ $skipped = 0 ] || summary="$summary, $skipped skipped"
echo "$summary"
[ $failed = 0 ]
