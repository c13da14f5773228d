# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# Debian's packages: installing tools on this machine, fetching others unopened.

# Where packages are looked up and fetched: this machine's own sources while it is
# empty, else a suite of Debian that only the laboratory uses. In that case
# archive_options has apt's options for it.
archive='' archive_options=()

# use_archive SUITE[/ARCHITECTURE]: from now on; '' means this machine's sources. Those are not
# changed: the suite has a source list and package lists in the cache.
use_archive() {
    local own=$cache/apt.${1/\//.} suite=${1%/*} architecture=amd64 mirror
    [[ $1 != */* ]] || architecture=${1#*/}
    archive=$1 archive_options=()
    [ -n "$1" ] || return 0
    if [ ! -e "$own/archive.sources" ]; then
        mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
            sed -n 's/^Debian Debian //p' | head -n 1)
        [ -n "$mirror" ] || die "no source of Debian's packages is set up on this machine"
        mkdir -p "$own/lists/partial" "$own/archives/partial"
        printf '%s\n' "Types: deb" "URIs: $mirror" "Suites: $suite" "Components: main" "Architectures: $architecture" \
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" >"$own/new.sources"
        mv "$own/new.sources" "$own/archive.sources"
    fi
    archive_options=(-o "Dir::Etc::SourceList=$own/archive.sources" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$own/lists" -o "Dir::Cache=$own" -o Dir::State::Status=/dev/null
        -o Acquire::Languages=none
        -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture")
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 \
        -o APT::Sandbox::User=root "$@"
}

# Once a call and archive at most: what is not found after it is not to be had.
updated=' '
update_lists() {
    local try
    [[ $updated != *" ${archive:-own} "* ]] || return 0
    updated+="${archive:-own} "
    step "apt-get update${archive:+ of $archive}"
    # Another apt-get update may be at it, which apt does not wait for.
    for try in 1 2 3; do
        apt "${archive_options[@]}" update >/dev/null 2>&1 && return
        sleep "$((try * 5))"
    done
    apt "${archive_options[@]}" update >/dev/null || die "apt-get update failed"
}

# need_tool COMMAND PACKAGE: always from this machine's sources.
need_tool() {
    local suite=$archive
    command -v "$1" >/dev/null && return
    step "installing $2"
    apt install -y --no-install-recommends "$2" >/dev/null 2>&1 && return
    use_archive ''
    update_lists
    apt install -y --no-install-recommends "$2" >/dev/null || die "cannot install $2"
    use_archive "$suite"
}

# need_file FILE PACKAGE
need_file() {
    [ -e "$1" ] || need_tool "$1" "$2"
}

# available REGEX: the packages whose whole name matches, the newest last.
available() {
    apt-cache "${archive_options[@]}" pkgnames | grep -xE "$1" | sort -V
}

# package_field PACKAGE FIELD: of the newest version; nothing if there is no such package.
package_field() {
    apt-cache "${archive_options[@]}" --no-all-versions show "$1" 2>/dev/null | sed -n "s/^$2: //p"
}

# newest REGEX: the newest package whose whole name matches.
newest() {
    local name try
    for try in 1 2; do
        name=$(available "$1" | tail -n 1) && [ -n "$name" ] && echo "$name" && return
        [ "$try" = 2 ] || update_lists
    done
    die "no package matches $1"
}

# version_of PACKAGE: of the one that would be installed.
version_of() {
    local version try
    for try in 1 2; do
        version=$(apt-cache "${archive_options[@]}" policy "$1" | sed -n 's/^ *Candidate: *//p')
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
    (cd "$fetched" && apt "${archive_options[@]}" download "$1" >/dev/null 2>&1) || {
        update_lists
        (cd "$fetched" && apt "${archive_options[@]}" download "$1" >/dev/null) || die "cannot fetch $1"
    }
    dpkg-deb -x "$fetched"/*.deb "$2"
    rm -rf "$fetched"
}
