#!/bin/bash
# Builds the Debian packages damonfs and damonfs-dbgsym of the commit that is checked out, with dpkg-buildpackage, into
# build-package/. Needs the build dependencies in debian/control; with --deps they are installed first (as root).
# usage: scripts/package.sh [--deps] [--twice | --built DIR] [--out DIR]
#   --twice  builds it once more in another folder, and fails unless both packages are the same, byte for byte
#   --built  packs what is built in DIR already: to try the packaging, not to give it to anybody
#   --out    where packages go (default: build-package)

set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

out=build-package deps='' twice=''
while [ $# -gt 0 ]; do
    case $1 in
        --deps) deps=yes ;;
        --twice) twice=yes ;;
        --built) DAMONFS_BUILT=$(realpath "${2:?--built takes a folder}") && export DAMONFS_BUILT && shift ;;
        --out) out=${2:?--out takes a folder} && shift ;;
        *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done

work=$(mktemp -d -t damonfs-package.XXXXXX)
trap 'rm -rf "$work"' EXIT

if [ -n "$deps" ]; then
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 build-dep -y --no-install-recommends . >"$work/deps.log" 2>&1 </dev/null ||
        { cat "$work/deps.log" >&2; exit 1; }
fi

# The commit and its time are all that the packages depend on. $DAMONFS_COMMIT: in a tree without git, or where git is not installed.
tracked=''
if git rev-parse HEAD >/dev/null 2>&1; then
    tracked=yes
    DAMONFS_COMMIT=$(git rev-parse --short=12 HEAD)
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
fi
export DAMONFS_COMMIT=${DAMONFS_COMMIT-} SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH-}
[ -n "$SOURCE_DATE_EPOCH" ] || unset SOURCE_DATE_EPOCH
export DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)${DEB_BUILD_OPTIONS:+ $DEB_BUILD_OPTIONS}"
if [ -z "$twice" ] && command -v ccache >/dev/null; then export DAMONFS_LAUNCHER=ccache; fi

# build FOLDER: leaves the packages beside it.
build() {
    mkdir -p "$1"
    if [ -n "$tracked" ]; then git archive HEAD | tar -x -C "$1"; else tar -c --exclude='./build*' --exclude=./.git . | tar -x -C "$1"; fi
    (cd "$1" && nice -n 12 dpkg-buildpackage -b -us -uc ${DAMONFS_BUILT:+-d}) >"$1.log" 2>&1 || { tail -n 60 "$1.log" >&2; return 1; }
}

[ -z "${DAMONFS_BUILT-}" ] || cmake --build "$DAMONFS_BUILT" --target damonfs manual >"$work/built.log" || { cat "$work/built.log" >&2; exit 1; }
build "$work/one/damonfs"
if [ -n "$twice" ]; then
    build "$work/two-elsewhere/damonfs"
    for package in "$work"/one/*.deb; do
        cmp "$package" "$work/two-elsewhere/$(basename "$package")"
    done
    echo "both builds gave the same packages"
fi
mkdir -p "$out"
cp "$work"/one/*.deb "$work"/one/*.changes "$work"/one/*.buildinfo "$out"
(cd "$out" && sha256sum ./*.deb)
