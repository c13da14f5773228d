# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# Debian's sources of 6.12: for the guest `idle`; and what they have to say and to
# test about DAMON, for whoever wants it.

newest_source() { version_of linux-source-6.12; }

# unpack_sources WORK [PATH...]: into WORK/linux, all or only these paths.
unpack_sources() {
    local work=$1
    shift
    need_tool xz xz-utils
    unpack_package linux-source-6.12 "$work/deb"
    step "unpacking sources"
    mkdir "$work/linux"
    tar -xf "$work/deb/usr/src/linux-source-6.12.tar.xz" -C "$work/linux" \
        --strip-components=1 --wildcards --no-wildcards-match-slash \
        "${@/#/linux-source-6.12/}"
    rm -rf "$work/deb"
}

# make_source WORK VERSION
make_source() {
    unpack_sources "$1" tools/testing/selftests/damon 'tools/testing/selftests/kselftest*' \
        tools/testing/selftests/lib.mk mm/damon include/linux/damon.h \
        Documentation/ABI/testing/sysfs-kernel-mm-damon Documentation/admin-guide/mm/damon \
        Documentation/mm/damon
    rmdir "$1/entry"
    mv "$1/linux" "$1/entry"
}
