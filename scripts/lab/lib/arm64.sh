# shellcheck shell=bash disable=SC2154 # lab, cache, archive_options: set by prepare
# The guest `arm64`: Debian 12's kernel for arm64, and files of that architecture, which this
# machine does not have. The cross build (scripts/cross-arm64.sh) links against the same files.

arm64_suite=bookworm/arm64

newest_arm64() { newest 'linux-image-6\.1\.0-[0-9]+-arm64' | sed s/^linux-image-//; }

# What the tests in the guest need beside the libraries that damonfs is linked with.
arm64_programs=(base-files base-passwd bash coreutils dash diffutils findutils grep hostname kmod libc-bin
    mount ncurses-base netbase procps sed util-linux fuse3 attr file
    python3 python3-pytest python3-pytest-rerunfailures)

# The development packages of scripts/install-deps.sh, and a compiler's own libraries.
arm64_libraries() {
    "$lab/../install-deps.sh" --list | grep -E -- '-dev$' | grep -v '^libclang-rt'
    printf '%s\n' libc6-dev libstdc++-12-dev libgcc-12-dev
}

# Named after the C library, which all else depends on.
newest_root_arm64() { version_of libc6; }

# make_root_arm64 WORK VERSION: the packages and what they depend on, opened side by side. None of
# their scripts runs: they are for another processor.
make_root_arm64() {
    local root=$1/entry/root debs=$1/archives deb link target packages
    mkdir -p "$root"/usr/{bin,sbin,lib} "$root"/{proc,sys,dev,run,tmp,root,etc} "$debs/partial"
    for link in bin sbin lib; do ln -s "usr/$link" "$root/$link"; done
    mapfile -t packages < <(arm64_libraries)
    step "fetching packages for arm64"
    apt "${archive_options[@]}" -o "Dir::Cache::archives=$debs" install --download-only -y \
        --no-install-recommends "${packages[@]}" "${arm64_programs[@]}" >"$1/apt.log" 2>&1 ||
        { update_lists && apt "${archive_options[@]}" -o "Dir::Cache::archives=$debs" install --download-only -y \
            --no-install-recommends "${packages[@]}" "${arm64_programs[@]}" >"$1/apt.log" 2>&1; } ||
        { tail -n 20 "$1/apt.log" >&2 && die "cannot fetch packages for arm64"; }
    step "unpacking them"
    for deb in "$debs"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
    done
    # What the scripts of base-passwd and base-files would do.
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    # Absolute links would lead into this machine when seen from here.
    find "$root" -type l -lname '/*' -printf '%p %l\n' | while read -r link target; do
        ln -sfnr "$root$target" "$link"
    done
    echo "$2" >"$1/entry/version"
}
