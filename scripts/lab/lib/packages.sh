# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# Debian's packages: installing tools on this machine, fetching others unopened.

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 \
        -o APT::Sandbox::User=root "$@"
}

# Once a call at most: what is not found after it is not to be had.
updated=
update_lists() {
    local try
    [ -z "$updated" ] || return 0
    step "apt-get update"
    # Another apt-get update may be at it, which apt does not wait for.
    for try in 1 2 3; do
        apt update >/dev/null 2>&1 && updated=yes && return
        sleep "$((try * 5))"
    done
    apt update >/dev/null || die "apt-get update failed"
    updated=yes
}

# need_tool COMMAND PACKAGE
need_tool() {
    command -v "$1" >/dev/null && return
    step "installing $2"
    apt install -y --no-install-recommends "$2" >/dev/null 2>&1 && return
    update_lists
    apt install -y --no-install-recommends "$2" >/dev/null || die "cannot install $2"
}

# need_file FILE PACKAGE
need_file() {
    [ -e "$1" ] || need_tool "$1" "$2"
}

# newest REGEX: the newest package whose whole name matches.
newest() {
    local name try
    for try in 1 2; do
        name=$(apt-cache pkgnames | grep -xE "$1" | sort -V | tail -n 1) && [ -n "$name" ] &&
            echo "$name" && return
        [ "$try" = 2 ] || update_lists
    done
    die "no package matches $1"
}

# version_of PACKAGE: of the one that would be installed.
version_of() {
    local version try
    for try in 1 2; do
        version=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: *//p')
        [ -n "$version" ] && [ "$version" != '(none)' ] && echo "$version" && return
        [ "$try" = 2 ] || update_lists
    done
    die "no package $1"
}

# unpack_package PACKAGE DIRECTORY: fetches it and opens it there, not on this machine.
unpack_package() {
    local fetched
    fetched=$(mktemp -d "$work/deb.XXXXXX")
    step "fetching $1"
    # A list that is out of date names files that are gone.
    (cd "$fetched" && apt download "$1" >/dev/null 2>&1) || {
        update_lists
        (cd "$fetched" && apt download "$1" >/dev/null) || die "cannot fetch $1"
    }
    dpkg-deb -x "$fetched"/*.deb "$2"
    rm -rf "$fetched"
}
