# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# The guest `idle`: a kernel built from Debian's sources of 6.12 and idle.config.

# check_config FRAGMENT CONFIG: each line of FRAGMENT must hold in CONFIG. Options
# vanish silently where what they depend on is missing, or when they are renamed.
check_config() {
    local line name wrong=0
    while IFS= read -r line; do
        case $line in
            CONFIG_*) grep -qxF -- "$line" "$2" && continue ;;
            '# CONFIG_'*' is not set')
                name=${line#'# '}
                grep -q "^${name%% *}=" "$2" || continue
                ;;
            *) continue ;;
        esac
        step "does not hold: $line"
        wrong=$((wrong + 1))
    done <"$1"
    [ "$wrong" = 0 ] || die "$wrong lines of $(basename "$1") do not hold in this kernel"
}

# build_kernel DIRECTORY: minutes, so it says every now and then how far it is.
build_kernel() {
    local log=$1/build.log pid files=0 said=0
    nice make -C "$1" -j"$(nproc)" bzImage >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        said=$((said + 1))
        [ $((said % 20)) = 0 ] || continue
        files=$(grep -c '^ *\(CC\|AS\) ' "$log") || true
        step "building: $files files compiled, now $(tail -n 1 "$log" | tr -s ' ')"
    done
    wait "$pid" && return
    grep -B 2 -A 6 -m 5 -E '(error|\*\*\*)' "$log" >&2 || tail -n 20 "$log" >&2
    die "the kernel does not build"
}

# make_idle WORK VERSION
make_idle() {
    local linux=$1/linux entry=$1/entry release modules
    need_tool gcc gcc
    need_tool make make
    need_tool flex flex
    need_tool bison bison
    need_tool bc bc
    need_tool pahole dwarves
    need_tool lz4 lz4
    need_tool depmod kmod
    need_file /usr/include/libelf.h libelf-dev
    need_file /usr/include/stdlib.h libc6-dev
    unpack_sources "$1"

    step "configuring"
    # Like `make tinyconfig`, but what the fragment does not name stays off even if
    # it would be on by default.
    make -s -C "$linux" KCONFIG_ALLCONFIG="$lab/idle.config" allnoconfig >/dev/null
    make -s -C "$linux" olddefconfig >/dev/null
    check_config "$lab/idle.config" "$linux/.config"

    step "building the kernel (about 5 minutes on two idle processors)"
    build_kernel "$linux"

    release=$(make -s -C "$linux" kernelrelease)
    modules=$1/root/lib/modules/$release
    mkdir -p "$modules"
    # No modules, but modprobe shall know that it finds all it needs built in.
    cp "$linux/modules.builtin" "$linux/modules.builtin.modinfo" "$modules/"
    touch "$modules/modules.order"
    depmod -b "$1/root" "$release"
    mv "$modules" "$entry/modules"
    cp "$linux/arch/x86/boot/bzImage" "$entry/kernel"
    cp "$linux/.config" "$entry/config"
    cp "$linux/System.map" "$entry/System.map"
    echo "$release" >"$entry/version"
    step "kernel $release built"
}
