# shellcheck shell=bash disable=SC2154 # lab, work, kernel: set by prepare
# The guest `newest`: the newest kernel that Debian has packaged for its present release.

newest_suite=trixie-backports

# newest_newest: of the suite's kernels, or of those whose version begins with $kernel
# (7.2, 7.2.9), the newest that can be put together.
newest_newest() {
    local version try found
    for try in 1 2; do
        found=''
        for version in $(available 'linux-image-[0-9.]+[+]deb[0-9]+-amd64' | sed s/^linux-image-// | tac); do
            [ -n "$(parts_of "$version")" ] || continue
            case $version in
                "${kernel:-$version}" | "$kernel".* | "$kernel"+*) echo "$version" && return ;;
            esac
            found="$version $found"
        done
        [ "$try" = 2 ] || update_lists
    done
    die "$newest_suite has no kernel ${kernel:-at all} together with its modules; it has: ${found:-none}"
}

# parts_of VERSION: the packages that hold a kernel; none if not all of them are there. Up to
# 6.18 linux-image holds everything. Since then it depends on packages with the parts, of which
# the suite keeps those with the modules for a shorter time.
parts_of() {
    local image=linux-image-$1 depends
    depends=$(package_field "$image" Depends)
    if [[ $depends != *"linux-modules-$1 "* ]]; then
        echo "$image"
    elif [ -n "$(package_field "linux-modules-$1" Package)" ]; then
        echo "linux-binary-$1" "linux-modules-$1" "linux-base-$1"
    fi
}

# make_newest WORK VERSION
make_newest() {
    local part
    for part in $(parts_of "$2"); do unpack_package "$part" "$1/deb"; done
    take_kernel "$1" "$2"
}
