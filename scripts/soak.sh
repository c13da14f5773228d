#!/bin/bash
# Uses one mount hard for a long time: targets that come and go, schemes that act on them, state commands, changes of directories,
# a fork storm, kills of the daemon. Prints a line each ten seconds: descriptors, threads and memory of the daemon; ends with 1 when a
# user of the mount met an error, lost a write or waited for more than a minute, or when one of the three grew without bound.
# usage: scripts/soak.sh [--minutes N]   (default: 60; needs a build in build/, or in $DAMONFS_BUILD)

set -euo pipefail
cd "$(dirname "$0")/.."
minutes=60
case ${1-} in
    '') ;;
    --minutes) minutes=${2:?a number of minutes} ;;
    *) echo "usage: scripts/soak.sh [--minutes N]" >&2; exit 2 ;;
esac
exec /usr/bin/python3 tests/soak.py "$minutes"
