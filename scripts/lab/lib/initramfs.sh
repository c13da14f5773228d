# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# The initramfs of a guest: busybox, guest/init, and the modules without which the
# host's root cannot be mounted (none if the kernel has them all built in).

boot_modules=(virtio_pci virtio_console 9p 9pnet_virtio overlay)

# make_initramfs WORK ENTRY FILE
make_initramfs() {
    local work=$1 entry=$2 file=$3 root=$1/root version module path name
    version=$(cat "$entry/version")
    step "initramfs for $version"
    need_tool modprobe kmod
    need_tool xz xz-utils
    need_tool cpio cpio
    mkdir -p "$root"/{bin,modules,proc,sys,dev,host,tmpfs,root} "$work/base/lib/modules"
    unpack_package busybox-static "$work/busybox"
    cp "$work"/busybox/bin/busybox "$root/bin/busybox" 2>/dev/null ||
        cp "$work"/busybox/usr/bin/busybox "$root/bin/busybox"
    cp "$lab/guest/init" "$root/init"
    chmod 755 "$root/init"

    # modprobe knows what needs what, and what is built in; init has only insmod,
    # which is quicker than looking things up in every boot.
    ln -s "$entry/modules" "$work/base/lib/modules/$version"
    for module in "${boot_modules[@]}"; do
        modprobe -d "$work/base" -S "$version" --show-depends "$module" ||
            die "kernel $version has no $module"
    done | while read -r kind path _; do
        [ "$kind" = insmod ] || continue
        name=$(basename "$path" .xz)
        [ ! -e "$root/modules/$name" ] || continue
        if [ "${path%.xz}" = "$path" ]; then cp "$path" "$root/modules/$name"; else
            xz -dc "$path" >"$root/modules/$name"
        fi
        echo "$name" >>"$root/modules/order"
    done
    touch "$root/modules/order"
    (cd "$root" && find . | cpio -o -H newc 2>/dev/null) >"$work/initrd"
    mv "$work/initrd" "$file"
}
