# shellcheck shell=bash disable=SC2154 # lab, work: set by prepare
# Services that tests watch, which are not to run on this machine by themselves: out of their packages, not installed.

newest_services() { version_of nginx; }

# make_services WORK VERSION
make_services() {
    unpack_package nginx "$1/entry/root"
    echo "$2" >"$1/entry/version"
}
