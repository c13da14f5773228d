#!/bin/bash
# Tries the Debian packages as a stranger would, in a clean root of a release of Debian (debootstrap; kept in a cache): builds them there,
# checks them with lintian, installs, uses, upgrades, removes and purges them, and looks for what is left behind. Also installs
# without Debian (cmake --install --prefix). Run as root; needs the network the first time.
# usage: scripts/test-package.sh [--release bookworm|trixie]... [--packages DIR]
#   --packages  tries those that are there, in place of building (for one release)

set -euo pipefail
# What is mounted goes with this process.
[ -n "${DAMONFS_UNSHARED-}" ] || DAMONFS_UNSHARED=yes exec unshare -m "$(realpath "${BASH_SOURCE[0]}")" "$@"
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

releases=() packages=''
while [ $# -gt 0 ]; do
    case $1 in
        --release) releases+=("${2:?}") && shift ;;
        --packages) packages=$(realpath "${2:?}") && shift ;;
        *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done
[ ${#releases[@]} -gt 0 ] || releases=(bookworm trixie)
readonly mirror=${DAMONFS_MIRROR:-http://deb.debian.org/debian}
readonly cache=${DAMONFS_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/damonfs/roots}

root=''
cleanup() {
    [ -n "$root" ] || return 0
    local mount
    # Ours only: all mounts below the root, the deepest first.
    awk -v root="$root/" 'index($2, root) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
    rm -rf --one-file-system "$root"
}
trap cleanup EXIT

say() { printf '%s\n' "$*"; }
fail() { printf 'package: %s\n' "$*" >&2; exit 1; }

# A command in the root, with a mount namespace and /proc of its own machine.
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive TERM=dumb "$@"; }

# make_root RELEASE: a clean root at $root.
make_root() {
    local release=$1
    mkdir -p "$cache"
    if [ ! -f "$cache/$release.tar" ]; then
        command -v debootstrap >/dev/null || fail "no debootstrap; apt install debootstrap"
        debootstrap --variant=minbase --include=ca-certificates "$release" "$cache/$release.new" "$mirror" >"$cache/$release.log" 2>&1 ||
            fail "debootstrap of $release failed: $cache/$release.log"
        tar -C "$cache/$release.new" -cf "$cache/$release.tar" .
        rm -rf --one-file-system "$cache/$release.new"
    fi
    root=$(mktemp -d -t damonfs-root.XXXXXX)
    tar -C "$root" -xf "$cache/$release.tar"
    printf 'deb %s %s main\n' "$mirror" "$release" >"$root/etc/apt/sources.list"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    ! ls /etc/apt/apt.conf.d/*proxy* >/dev/null 2>&1 || cp /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/"
    # Nothing is started by a package.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys" && mount --make-rslave "$root/sys"
    mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"
    inside apt-get -q update >"$root/tmp/apt.log" 2>&1 || { tail "$root/tmp/apt.log"; fail "apt-get update"; }
}

# What a package may leave changed in the root: its lists and logs.
list_files() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/log -o -path ./var/cache \
        -o -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./root \) -prune -o -print | sort)
}

use_it() {
    local began=$SECONDS
    inside damonfs --version
    inside damonfs help >/dev/null
    inside damonfs doctor || say "  (no real backend here)"
    inside sh -c 'cd /usr/share/doc/damonfs/examples && damonfs simulate watch-only.yaml service.pattern --for 1min | tail -n 3'
    inside damonfs watch --for 2s --width 80 -- sleep 5
    say "  from install to heat map: $((SECONDS - installed_at)) s, $((SECONDS - began)) s of it here"
    # A terminal of 40 columns, no colours, a locale without UTF-8.
    inside env LC_ALL=C NO_COLOR=1 COLUMNS=40 damonfs watch --for 1s --width 40 -- sleep 3 >"$root/tmp/narrow"
    ! LC_ALL=C grep -q '[^ -~	]' "$root/tmp/narrow" || fail "a locale without UTF-8 got other characters"
    ! grep -nE '^ .{41,}' "$root/tmp/narrow" || fail "a row is longer than 40 columns"
    inside sh -c 'mkdir -p /mnt/tree && damonfs mount /mnt/tree && cat /mnt/tree/kernel/mm/damon/admin/kdamonds/nr_kdamonds'
}

try_release() {
    local release=$1 before=$SECONDS
    say "$release"
    make_root "$release"
    mkdir -p "$root/tmp/packages"
    if [ -n "$packages" ]; then
        cp "$packages"/*.deb "$packages"/*.changes "$packages"/*.buildinfo "$root/tmp/packages"
    else
        mkdir "$root/tmp/source"
        git archive HEAD | tar -x -C "$root/tmp/source"
        say "  build in the root"
        inside apt-get -q install -y --no-install-recommends build-essential dpkg-dev >>"$root/tmp/apt.log" 2>&1 || { tail "$root/tmp/apt.log"; fail "apt-get install"; }
        inside env DAMONFS_COMMIT="$(git rev-parse --short=12 HEAD)" SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
            sh -c 'cd /tmp/source && scripts/package.sh --deps --out /tmp/packages' || fail "the build"
        cp -r "$root/tmp/packages" "${KEEP_PACKAGES:-$root/tmp}" 2>/dev/null || true
        # What building took is not there where it is used.
        local built
        built=$(mktemp -d)
        cp "$root"/tmp/packages/* "$built"
        cleanup
        make_root "$release"
        mkdir -p "$root/tmp/packages"
        cp "$built"/* "$root/tmp/packages"
        rm -rf "$built"
    fi
    local deb
    deb=$(cd "$root/tmp/packages" && ls damonfs_*.deb)
    list_files >"$root/tmp/before"
    local installed_at=$SECONDS
    inside apt-get -q install -y --no-install-recommends "/tmp/packages/$deb" >>"$root/tmp/apt.log" 2>&1 || { tail -n 30 "$root/tmp/apt.log"; fail "apt-get install"; }
    say "  installed in $((SECONDS - installed_at)) s"
    inside sh -c 'test -x /usr/bin/damonfs && test -f /etc/damonfs.yaml && ls /usr/share/man/man1/damonfs-watch.1.gz /usr/share/man/man5/damonfs.yaml.5.gz /usr/share/bash-completion/completions/damonfs' >/dev/null ||
        grep -q path-exclude "$root"/etc/dpkg/dpkg.cfg.d/* 2>/dev/null || fail "a file is missing"
    use_it
    # Upgrade beside a daemon that runs: it serves on.
    inside dpkg -i "/tmp/packages/$deb" >>"$root/tmp/apt.log" 2>&1 || fail "dpkg -i a second time"
    inside cat /mnt/tree/kernel/mm/damon/admin/kdamonds/nr_kdamonds >/dev/null || fail "an upgrade ended a daemon that was running"
    # Purge while mounted.
    inside apt-get -q purge -y damonfs >>"$root/tmp/apt.log" 2>&1 || { tail -n 30 "$root/tmp/apt.log"; fail "purge"; }
    ! grep -q " $root/mnt/tree " /proc/self/mounts || fail "purge left a mount"
    inside rmdir /mnt/tree
    inside apt-get -q autoremove --purge -y >>"$root/tmp/apt.log" 2>&1
    list_files >"$root/tmp/after"
    diff <(grep -v -e damonfs-view "$root/tmp/before") "$root/tmp/after" | grep '^>' | grep -v -e '/etc/ld.so.cache' -e '/var/lib/systemd' -e '__pycache__' >"$root/tmp/left" || true
    [ ! -s "$root/tmp/left" ] || { cat "$root/tmp/left"; fail "purge left these behind"; }
    # Where neither FUSE nor BPF is: it installs all the same, and says what is missing.
    umount -l "$root/dev" "$root/sys"
    inside apt-get -q install -y --no-install-recommends "/tmp/packages/$deb" >>"$root/tmp/apt.log" 2>&1 || fail "install without /sys and /dev/fuse"
    ! inside damonfs doctor >"$root/tmp/doctor" || fail "doctor calls a machine without /sys well"
    inside apt-get -q purge -y damonfs >>"$root/tmp/apt.log" 2>&1 || fail "purge without /sys"
    cp -r "$root/tmp/packages" "$cache/packages-$release.new" && rm -rf "$cache/packages-$release" && mv "$cache/packages-$release.new" "$cache/packages-$release"
    say "  installed, used, upgraded, purged: $((SECONDS - before)) s"
    cleanup
    root=''
}

# Warnings count, too; what is knowingly otherwise is in debian/*.lintian-overrides.
check_lintian() {
    command -v lintian >/dev/null || fail "no lintian; apt install lintian"
    local found
    found=$(lintian --allow-root --fail-on none --suppress-tags bad-distribution-in-changes-file "$1"/*.changes 2>&1) || true
    [ -z "$found" ] || { printf '%s\n' "$found" >&2; fail "lintian is not content"; }
    say "lintian: clean"
}

for release in "${releases[@]}"; do try_release "$release"; done
check_lintian "$cache/packages-${releases[0]}"
