#!/bin/bash
# Installs damo, the tool that drives DAMON, unmodified and of the version that the tests know, into a virtual
# environment, and prints where it is. Mind: run it only behind `damonfs exec`; by itself it drives the kernel's DAMON.
# usage: scripts/damo.sh DIRECTORY [VERSION]

set -euo pipefail
[ $# = 1 ] || [ $# = 2 ] || { echo "usage: scripts/damo.sh DIRECTORY [VERSION]" >&2; exit 2; }
version=${2:-3.4.3}
directory=$(realpath -m "$1")
damo=$directory/bin/damo
if ! [ -x "$damo" ] || [ "$(cat "$directory/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$directory"
    mkdir -p "$(dirname "$directory")"
    python3 -m venv "$directory" >&2
    "$directory/bin/pip" install --quiet --disable-pip-version-check "damo==$version" >&2
    echo "$version" >"$directory/version"
fi
echo "$damo"
