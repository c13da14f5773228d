"""What becomes of directories of the mount that go away, and how they are listed: all as in the kernel's sysfs."""

import ctypes
import errno
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE, SANITIZED, fails, opened, wait_until
from damon_tree import resident_bytes

# Directories that go away.


def test_open_files_of_a_removed_directory(mount):
    mount.tree.write("nr_kdamonds", 1)
    state = mount.kdamonds / "0/state"
    with opened(state, os.O_RDWR) as unread, opened(state) as read:
        assert os.read(read, 1) == b"o"
        mount.tree.write("nr_kdamonds", 1)
        for fd in (unread, read):
            with fails(errno.ENODEV):
                os.pread(fd, 100, 0)
        with fails(errno.ENODEV):
            os.read(unread, 100)
        with fails(errno.ENODEV):
            os.write(unread, b"off")
        assert os.fstat(unread).st_nlink == 1
        assert mount.tree.read("0/state") == "off"


@pytest.mark.skipif(SANITIZED, reason="sanitizers have memory of their own")
def test_removed_directories_go_with_their_last_open_file(mount):
    def use(times):
        for _ in range(times):
            mount.tree.write("nr_kdamonds", 1)
            mount.tree.write("0/contexts/nr_contexts", 1)
            with opened(mount.kdamonds / "0/contexts/0/monitoring_attrs/intervals/sample_us"):
                mount.tree.write("nr_kdamonds", 0)

    use(1000)
    before = resident_bytes(mount.process.pid)
    use(6000)  # 1.5 KiB each
    wait_until(lambda: resident_bytes(mount.process.pid) < before + (4 << 20), "for the directories to go")


SEARCH = """
import os, sys
while True:
    for name in ("", "/targets", "/targets/0", "/schemes/0"):
        try:
            os.stat(sys.argv[1] + name)
        except OSError:
            pass
"""


def nr_inodes():
    """How many inodes of FUSE the kernel has, of all mounts."""
    found = re.search(r"^fuse_inode +(\d+)", pathlib.Path("/proc/slabinfo").read_text(), re.MULTILINE)
    return int(found[1])


@pytest.mark.skipif(not os.path.exists("/proc/slabinfo"), reason="this kernel does not count inodes")
def test_names_that_were_not_found_go_with_their_directory(mount):
    """Who looks for a file while its directory is removed has the kernel keep that name, and with it all above it."""
    before = nr_inodes()
    searchers = [subprocess.Popen([sys.executable, "-c", SEARCH, mount.kdamonds / "0/contexts/0"]) for _ in range(3)]
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            mount.tree.write("nr_kdamonds", 1)
            mount.tree.write("0/contexts/nr_contexts", 1)
            mount.tree.write("nr_kdamonds", 0)
    finally:
        for searcher in searchers:
            searcher.kill()
            searcher.wait()
    wait_until(lambda: nr_inodes() < before + 500, "for the inodes to go")


def test_a_read_goes_on_where_it_was_when_its_directory_went(mount):
    mount.tree.write("nr_kdamonds", 1)
    with opened(mount.kdamonds / "0/state") as fd:
        assert os.read(fd, 1) == b"o"
        mount.tree.write("nr_kdamonds", 0)
        assert os.read(fd, 100) == b"ff\n"
        with fails(errno.ENODEV):
            os.read(fd, 100)


def test_paths_below_a_removed_directory(mount):
    for _ in range(50):
        mount.tree.write("nr_kdamonds", 2)
        mount.tree.write("1/contexts/nr_contexts", 1)
        subprocess.run(["find", mount.path], check=True, stdout=subprocess.DEVNULL)
        context = mount.kdamonds / "1/contexts/0"
        assert (context / "operations").read_text() == "vaddr\n"
        mount.tree.write("nr_kdamonds", 1)
        for path in (context / "operations", context, mount.kdamonds / "1"):
            with fails(errno.ENOENT):
                os.stat(path)
            with fails(errno.ENOENT):
                os.open(path, os.O_RDONLY)
        assert os.listdir(mount.kdamonds / "0/contexts") == ["nr_contexts"]


def test_open_directories_that_are_removed(mount):
    mount.tree.set_up([1])
    kept = []
    for path in ("0", "0/contexts", "0/contexts/0", "0/contexts/0/targets/0"):
        kept.append(os.open(mount.kdamonds / path, os.O_RDONLY))
        os.listdir(kept[-1])
    held = os.open(mount.kdamonds / "0/contexts/0/targets/0/pid_target", os.O_RDONLY)
    mount.tree.write("nr_kdamonds", 1)
    try:
        for fd in kept:
            assert os.listdir(fd) == []
            assert os.fstat(fd).st_nlink == 2
            for name in ("nr_contexts", "state", "contexts", "pid_target", "0", "operations"):
                with fails(errno.ENOENT):
                    os.stat(name, dir_fd=fd)
                with fails(errno.ENOENT):
                    os.open(name, os.O_RDONLY, dir_fd=fd)
            with fails(errno.EPERM, errno.ENOENT):
                os.mkdir("new", dir_fd=fd)
    finally:
        for fd in [*kept, held]:
            os.close(fd)


def test_a_process_within_a_removed_directory(mount, children):
    mount.tree.set_up([1])
    code = """
import os, sys
os.chdir(sys.argv[1])
held = open("pid_target")
os.listdir("regions")
print("there", flush=True)
sys.stdin.readline()
for name in ("pid_target", "regions", "regions/nr_regions", sys.argv[1]):
    for use in (os.stat, lambda path: os.open(path, os.O_RDONLY)):
        try:
            use(name)
            print("still there:", name)
        except FileNotFoundError:
            pass
try:
    os.getcwd()
    print("still somewhere")
except FileNotFoundError:
    print("gone")
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(mount.kdamonds / "0/contexts/0/targets/0")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert child.stdout.readline() == "there\n"
    mount.tree.write("0/contexts/0/targets/nr_targets", 0)
    assert child.communicate("\n", timeout=PATIENCE)[0] == "gone\n"


def test_names_that_come_back_are_seen_at_once(mount):
    for count in (0, 1, 0, 1):
        mount.tree.write("nr_kdamonds", count)
        assert (mount.kdamonds / "0").exists() == bool(count)
        assert os.path.exists(mount.kdamonds / "0/state") == bool(count)


# Listing.


def test_listing_while_the_directory_changes(mount):
    mount.tree.set_up([1])
    regions = mount.kdamonds / "0/contexts/0/targets/0/regions"
    count = 3000  # takes several calls
    mount.tree.write("0/contexts/0/targets/0/regions/nr_regions", count)
    assert sorted(os.listdir(regions)) == sorted(["nr_regions", *map(str, range(count))])
    with os.scandir(regions) as entries:
        names = [next(entries).name for _ in range(10)]
        mount.tree.write("0/contexts/0/targets/0/regions/nr_regions", count)
        names += [entry.name for entry in entries]
    assert len(names) == len(set(names))
    assert "nr_regions" in names
    with opened(regions) as fd:
        assert len(os.listdir(fd)) == count + 1
        mount.tree.write("0/contexts/0/targets/0/regions/nr_regions", 5)
        assert len(os.listdir(fd)) == 6


def test_a_place_in_a_listing(mount):
    """telldir(3) and seekdir(3)."""
    mount.tree.write("nr_kdamonds", 100)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.restype = ctypes.POINTER(ctypes.c_char * 280)
    for call in (libc.readdir, libc.telldir, libc.closedir):
        call.argtypes = [ctypes.c_void_p]
    libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
    libc.telldir.restype = ctypes.c_long

    def rest(directory):
        names = []
        while entry := libc.readdir(directory):
            names.append(entry.contents.raw[19:].split(b"\0")[0])
        return names

    directory = libc.opendir(str(mount.kdamonds).encode())
    for _ in range(30):
        libc.readdir(directory)
    place = libc.telldir(directory)
    names = rest(directory)
    assert len(names) == 103 - 30
    libc.seekdir(directory, place)
    assert rest(directory) == names
    libc.closedir(directory)
