# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# The guests `stock` and `damon`: Debian's own kernels, out of their packages.

newest_stock() { newest 'linux-image-6\.1\.0-[0-9]+-amd64' | sed s/^linux-image-//; }
newest_damon() { newest 'linux-image-6\.12\.[0-9]+[+]deb12-amd64' | sed s/^linux-image-//; }

# Of 4,000 modules those that a machine without devices could want.
wanted_modules=(arch block crypto fs lib mm net/9p drivers/block drivers/char drivers/dax
    drivers/nvdimm drivers/virtio)

# make_debian WORK VERSION
make_debian() {
    unpack_package "linux-image-$2" "$1/deb"
    take_kernel "$1" "$2"
}

# take_kernel WORK VERSION: the entry, from the packages unpacked in WORK/deb.
take_kernel() {
    local deb=$1/deb entry=$1/entry version=$2 modules subtree
    need_tool depmod kmod
    modules=$(echo "$deb"/lib/modules/* "$deb"/usr/lib/modules/* | tr ' ' '\n' | grep -v '\*')
    # Since 7.2 beside the modules.
    mv "$deb/boot/vmlinuz-$version" "$entry/kernel" 2>/dev/null || mv "$modules/vmlinuz" "$entry/kernel"
    mv "$deb/boot/config-$version" "$entry/config" 2>/dev/null || mv "$modules/config" "$entry/config"
    echo "$version" >"$entry/version"

    step "choosing modules of $version"
    # depmod wants them at their usual place below some root.
    mkdir -p "$deb/root/lib/modules/$version/kernel"
    cp "$modules"/modules.* "$deb/root/lib/modules/$version/"
    for subtree in "${wanted_modules[@]}"; do
        [ -d "$modules/kernel/$subtree" ] || continue
        mkdir -p "$deb/root/lib/modules/$version/kernel/$(dirname "$subtree")"
        mv "$modules/kernel/$subtree" "$deb/root/lib/modules/$version/kernel/$subtree"
    done
    # Those that need one left behind are of no use here; depmod warns of them.
    depmod -b "$deb/root" "$version" 2>/dev/null
    mv "$deb/root/lib/modules/$version" "$entry/modules"
}
