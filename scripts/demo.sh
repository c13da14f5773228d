#!/bin/bash
# Shows damonfs at work: mounts it, starts a workload with a known hot part that
# moves, watches it, draws what is found and says how true it is. Installs and
# builds first what is missing. Leaves nothing behind but the build.

set -uo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

readonly every=8 moves=2 # seconds between moves of the hot part, and how many
seconds=$((every * (moves + 1) - 1))
readonly build=${DAMONFS_BUILD:-build}
export PYTHONDONTWRITEBYTECODE=1
dir='' workload='' mounted=''

cleanup() {
    trap '' INT TERM HUP
    [ -z "$workload" ] || { kill "$workload" && wait "$workload"; } 2>/dev/null
    [ -z "$mounted" ] || "$build/damonfs" umount "$dir/mnt" 2>/dev/null
    [ -z "$dir" ] || rm -rf --one-file-system "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if [ "$(id -u)" != 0 ]; then
    echo "demo: please run it as root: mounting, and looking at accessed bits, need it" >&2
    exit 1
fi
scripts/install-deps.sh --demo || exit
if [ ! -x "$build/damonfs" ]; then echo "building (a few minutes the first time)..."; fi
scripts/build.sh --dir "$build" --only "damonfs workload" || exit

dir=$(mktemp -d -t damonfs-demo.XXXXXX)
mkdir "$dir/mnt"

# What is hot and since when, in the words of the workload, for one that only exists on paper.
describe_pattern() {
    local began_ns=$1 base=$((0x7f0000000000)) i=0 offset
    printf 'ready pid=1 start=%#x end=%#x\n' "$base" $((base + (256 << 20)))
    for offset in 32 160 96; do
        printf 'hot start=%#x end=%#x at=%s\n' $((base + (offset << 20))) \
            $((base + ((offset + 16) << 20))) $((began_ns + every * i++ * 1000000000))
    done
}

mount_with() {
    backend=$1
    "$build/damonfs" mount "$dir/mnt" --backend "$backend" --log-file "$dir/log" 2>"$dir/refusal" && mounted=yes
}

if ! mount_with auto; then
    echo "No real accesses can be watched on this machine:"
    cat "$dir/refusal"
    "$build/damonfs" doctor | sed 's/^/  /'
    echo
    echo "What follows is SYNTHETIC: accesses as scripts/demo.pattern describes them; no process is watched."
    mount_with synthetic:scripts/demo.pattern || { cat "$dir/refusal" >&2; exit 1; }
fi
echo "\$ damonfs mount $dir/mnt --backend $backend"
sed -n 's/^.*serving; /  /p' "$dir/log"

if [ "$backend" = auto ]; then
    "$build/tests/workload" --size 256M --hot 16M --move-every "${every}s" --moves $moves >"$dir/workload" &
    workload=$!
    pid=$workload
    for _ in $(seq 100); do
        grep -q '^hot' "$dir/workload" && break
        sleep 0.05
    done
else
    pid=1
    describe_pattern "$(/usr/bin/python3 -c 'import time; print(time.monotonic_ns())')" >"$dir/workload"
fi

echo "\$ damonfs watch --mount $dir/mnt --json --interval 0.5 --seconds $seconds $pid | scripts/demo_draw.py ..."
"$build/damonfs" watch --mount "$dir/mnt" --json --interval 0.5 --seconds "$seconds" "$pid" |
    /usr/bin/python3 scripts/demo_draw.py "$dir/workload"
status=${PIPESTATUS[0]}
[ "$backend" = auto ] || echo "(SYNTHETIC: none of this was a real process.)"
exit "$status"
