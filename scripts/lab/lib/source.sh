# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# Debian's sources: of 6.12 for the guest `idle`; and what those of 6.12 and of the
# newest kernel have to say and to test about DAMON, for whoever wants it.

newest_source() { version_of linux-source-6.12; }

# Of the newest kernel; newer than the guest `newest` until that is refreshed, too.
newest_source_newest() { version_of "$(newest 'linux-source-[0-9]+[.][0-9]+')"; }

# unpack_sources WORK [PATH...]: those of 6.12 into WORK/linux, all or only these paths.
unpack_sources() { unpack_source_package linux-source-6.12 "$@"; }

# unpack_source_package PACKAGE WORK [PATH...]
unpack_source_package() {
    local package=$1 work=$2
    shift 2
    need_tool xz xz-utils
    unpack_package "$package" "$work/deb"
    step "unpacking sources"
    mkdir "$work/linux"
    tar -xf "$work/deb/usr/src/$package.tar.xz" -C "$work/linux" \
        --strip-components=1 --wildcards --no-wildcards-match-slash \
        "${@/#/$package/}"
    rm -rf "$work/deb"
}

# take_sources WORK PACKAGE VERSION: the entry.
take_sources() {
    unpack_source_package "$2" "$1" tools/testing/selftests/damon 'tools/testing/selftests/kselftest*' \
        tools/testing/selftests/lib.mk mm/damon include/linux/damon.h \
        Documentation/ABI/testing/sysfs-kernel-mm-damon Documentation/admin-guide/mm/damon \
        Documentation/mm/damon
    rmdir "$1/entry"
    mv "$1/linux" "$1/entry"
    echo "$3" >"$1/entry/version"
}

# make_source WORK VERSION
make_source() { take_sources "$1" linux-source-6.12 "$2"; }

# make_source_newest WORK VERSION
make_source_newest() { take_sources "$1" "$(newest 'linux-source-[0-9]+[.][0-9]+')" "$2"; }
