"""What files of the mount do, beside what they contain: all as in the kernel's sysfs."""

import ctypes
import errno
import fcntl
import mmap
import os
import select
import stat
import subprocess
import sys

import pytest

from conftest import PATIENCE, fails, opened

PAGE = 4096
NOBODY = 65534


def as_nobody(code, *arguments):
    """Runs Python `code` as another user; what it prints."""
    drop = "import os, sys; os.setgroups([]); os.setgid(%d); os.setuid(%d)\n" % (NOBODY, NOBODY)
    done = subprocess.run([sys.executable, "-c", drop + code, *map(str, arguments)],
                          capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip() or done.stderr


# What stat(2) says.


def test_attributes_of_files(mount):
    nr = os.stat(mount.kdamonds / "nr_kdamonds")
    assert stat.filemode(nr.st_mode) == "-rw-------"
    assert (nr.st_size, nr.st_blksize, nr.st_blocks, nr.st_nlink) == (PAGE, PAGE, 0, 1)
    assert (nr.st_uid, nr.st_gid) == (0, 0)
    mount.tree.write("nr_kdamonds", 1)
    assert stat.filemode(os.stat(mount.kdamonds / "0/pid").st_mode) == "-r--------"


def test_attributes_of_directories(mount):
    for path, mode in ((mount.path, "drwx------"), (mount.kdamonds, "drwxr-xr-x")):
        assert stat.filemode(os.stat(path).st_mode) == mode
        assert os.stat(path).st_size == 0


def test_links_of_a_directory_follow_its_sub_directories(mount):
    for count in (0, 3, 1, 1, 0, 2):
        mount.tree.write("nr_kdamonds", count)
        assert os.stat(mount.kdamonds).st_nlink == 2 + count
        with opened(mount.kdamonds) as fd:
            assert os.fstat(fd).st_nlink == 2 + count


def test_inode_numbers(mount):
    mount.tree.write("nr_kdamonds", 2)
    inodes = [os.stat(mount.path).st_ino]
    for directory, names, files in os.walk(mount.path):
        for entry in os.scandir(directory):
            assert entry.inode() == entry.stat().st_ino
            assert entry.is_dir() == stat.S_ISDIR(entry.stat().st_mode)
        inodes += [os.stat(os.path.join(directory, name)).st_ino for name in names + files]
    assert len(set(inodes)) == len(inodes)
    first = os.stat(mount.kdamonds / "0").st_ino
    mount.tree.write("nr_kdamonds", 2)
    assert os.stat(mount.kdamonds / "0").st_ino not in inodes
    assert os.stat(mount.kdamonds / "0").st_ino != first


def test_the_mount_itself(mount):
    line = next(line for line in open("/proc/self/mounts") if " %s " % mount.path in line)
    source, _, kind, options = line.split()[:4]
    assert (source, kind) == ("damonfs", "fuse.damonfs")
    assert {"nosuid", "nodev", "noexec", "default_permissions", "allow_other"} <= set(
        options.split(","))
    fs = os.statvfs(mount.path)
    assert (fs.f_bsize, fs.f_blocks, fs.f_namemax) == (PAGE, 0, 255)


# What users cannot do.


def test_nothing_can_be_made_or_removed(mount):
    k = mount.kdamonds
    with fails(errno.EPERM):
        os.mkdir(k / "new")
    with fails(errno.EPERM):
        os.rmdir(k)
    with fails(errno.EPERM):
        os.unlink(k / "nr_kdamonds")
    with fails(errno.EPERM):
        os.rename(k / "nr_kdamonds", k / "other")
    with fails(errno.EPERM):
        os.symlink("nr_kdamonds", k / "other")
    with fails(errno.EPERM):
        os.link(k / "nr_kdamonds", k / "other")
    with fails(errno.EPERM):
        os.mkfifo(k / "new")
    with fails(errno.EACCES):
        os.open(k / "new", os.O_WRONLY | os.O_CREAT)
    with fails(errno.EEXIST):
        os.open(k / "nr_kdamonds", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with opened(k / "nr_kdamonds", os.O_WRONLY | os.O_CREAT) as fd:
        assert os.write(fd, b"1") == 1
    assert sorted(os.listdir(k)) == ["0", "nr_kdamonds"]


def test_root_too_needs_a_permission_bit(mount):
    mount.tree.write("nr_kdamonds", 1)
    pid = mount.kdamonds / "0/pid"
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        with fails(errno.EACCES):
            os.open(pid, flags)
    os.chmod(pid, 0o600)
    with opened(pid, os.O_WRONLY) as fd, fails(errno.EIO):
        os.write(fd, b"1")
    os.chmod(pid, 0o200)
    with fails(errno.EACCES):
        os.open(pid, os.O_RDONLY)
    os.chmod(pid, 0o004)
    with opened(pid) as fd:
        assert os.read(fd, 10) == b"-1\n"


def test_other_users(mount):
    os.chmod(mount.path, 0o755)
    k = mount.kdamonds
    read = "print(open(sys.argv[1]).read())"
    assert sorted(eval(as_nobody("print(os.listdir(sys.argv[1]))", k))) == ["nr_kdamonds"]
    assert "PermissionError" in as_nobody(read, k / "nr_kdamonds")
    os.chmod(k / "nr_kdamonds", 0o644)
    assert as_nobody(read, k / "nr_kdamonds") == "0"
    assert "PermissionError" in as_nobody("open(sys.argv[1], 'w')", k / "nr_kdamonds")
    assert "PermissionError" in as_nobody("os.chmod(sys.argv[1], 0o666)", k / "nr_kdamonds")
    assert "PermissionError" in as_nobody("os.mkdir(sys.argv[1])", k / "new")
    os.chown(k / "nr_kdamonds", NOBODY, NOBODY)
    assert as_nobody("open(sys.argv[1], 'w').write('1')\nprint('ok')", k / "nr_kdamonds") == "ok"
    os.chmod(k, 0o700)
    assert "PermissionError" in as_nobody("os.listdir(sys.argv[1])", k)


def test_owners_modes_and_times_stay(mount):
    mount.tree.write("nr_kdamonds", 1)
    for path in (mount.kdamonds / "0/state", mount.kdamonds / "0"):
        os.chmod(path, 0o640)
        os.chown(path, 12, 34)
        os.utime(path, (1000, 2000))
        if path.is_file():
            mount.tree.write("0/refresh_ms", 0)
        now = os.stat(path)
        assert stat.S_IMODE(now.st_mode) == 0o640
        assert (now.st_uid, now.st_gid, now.st_atime, now.st_mtime) == (12, 34, 1000, 2000)
    # They are of that directory, not of its name.
    mount.tree.write("nr_kdamonds", 1)
    assert os.stat(mount.kdamonds / "0").st_uid == 0
    assert stat.S_IMODE(os.stat(mount.kdamonds / "0/state").st_mode) == 0o600


def test_truncating_is_accepted_and_does_nothing(mount):
    nr = mount.kdamonds / "nr_kdamonds"
    mount.tree.write("nr_kdamonds", 2)
    os.truncate(nr, 0)
    os.truncate(nr, 100000)
    with opened(nr, os.O_WRONLY | os.O_TRUNC) as fd:
        os.ftruncate(fd, 7)
        assert os.fstat(fd).st_size == PAGE
    assert os.stat(nr).st_size == PAGE
    assert mount.tree.read("nr_kdamonds") == "2"


# Writing.


@pytest.fixture
def path_file(mount):
    """A file that takes any text."""
    mount.tree.set_up([1])
    mount.tree.write("0/contexts/0/schemes/0/filters/nr_filters", 1)
    return mount.kdamonds / "0/contexts/0/schemes/0/filters/0/memcg_path"


def test_a_write_is_one_store_of_a_page_at_the_most(path_file):
    with opened(path_file, os.O_WRONLY) as fd:
        for size, taken in ((1, 1), (PAGE - 1, PAGE - 1), (PAGE, PAGE), (PAGE + 1, PAGE),
                            (5 * PAGE, PAGE), (3 << 20, PAGE)):
            assert os.write(fd, b"x" * size) == taken
            text = path_file.read_bytes()
            assert text == (b"x" * taken + b"\n")[:PAGE - 1]
        assert os.writev(fd, [b"ab", b"c" * 10, b"", b"d"]) == 13
        assert path_file.read_bytes() == b"ab" + b"c" * 10 + b"d\n"


def test_a_write_anywhere_is_a_whole_value(mount):
    nr = mount.kdamonds / "nr_kdamonds"
    with opened(nr, os.O_RDWR) as fd:
        assert os.pwrite(fd, b"2", 100) == 1
        assert nr.read_bytes() == b"2\n"
        assert os.write(fd, b"3\n") == 2
        assert os.lseek(fd, 0, os.SEEK_CUR) == 2
        assert os.write(fd, b"1") == 1
        assert nr.read_bytes() == b"1\n"
        assert os.pwrite(fd, b"4", 10 * PAGE) == 1
        assert nr.read_bytes() == b"4\n"
        assert os.stat(nr).st_size == PAGE
    with opened(nr, os.O_WRONLY | os.O_APPEND) as fd:
        assert os.write(fd, b"0") == 1
    assert nr.read_bytes() == b"0\n"


def test_a_write_of_nothing_stores_nothing(mount):
    mount.tree.write("nr_kdamonds", 1)
    with opened(mount.kdamonds / "nr_kdamonds", os.O_WRONLY) as fd:
        assert os.write(fd, b"") == 0
    assert mount.tree.read("nr_kdamonds") == "1"


def test_a_refused_write_changes_nothing_and_is_logged(mount):
    mount.tree.write("nr_kdamonds", 1)
    with fails(errno.EINVAL):
        mount.tree.write("nr_kdamonds", "no\tnumber\n")
    assert mount.tree.read("nr_kdamonds") == "1"
    line = next(line for line in mount.log().splitlines() if " refused: " in line)
    assert "kernel/mm/damon/admin/kdamonds/nr_kdamonds" in line and "EINVAL" in line
    assert r"no\x09number\n" in line


# Reading.


def test_an_open_file_reads_the_text_of_one_moment(mount):
    mount.tree.write("nr_kdamonds", 12)
    with opened(mount.kdamonds / "nr_kdamonds") as fd:
        assert os.read(fd, 1) == b"1"
        mount.tree.write("nr_kdamonds", 34)
        assert os.read(fd, 1) == b"2"
        assert os.read(fd, 100) == b"\n"
        assert os.read(fd, 100) == b""
        assert os.lseek(fd, 0, os.SEEK_SET) == 0
        assert os.read(fd, 100) == b"34\n"
        mount.tree.write("nr_kdamonds", 56)
        assert os.read(fd, 100) == b""
        assert os.pread(fd, 100, 0) == b"56\n"
        assert os.pread(fd, 1, 1) == b"6"
        assert os.pread(fd, 100, 50) == b""
        assert os.lseek(fd, 0, os.SEEK_END) == PAGE
        assert os.read(fd, 100) == b""


def test_other_ways_to_read(mount, tmp_path):
    mount.tree.write("nr_kdamonds", 12)
    nr = mount.kdamonds / "nr_kdamonds"
    out = tmp_path / "copy"
    with opened(nr) as fd, opened(out, os.O_RDWR | os.O_CREAT) as copy:
        assert os.sendfile(copy, fd, 0, PAGE) == 3
    assert out.read_bytes() == b"12\n"
    subprocess.run(["cp", nr, out], check=True)
    assert out.read_bytes() == b"12\n"
    with opened(nr) as fd:
        first, second = bytearray(1), bytearray(10)
        assert os.readv(fd, [first, second]) == 3
        assert first + second[:2] == b"12\n"


def fallocate(fd):
    """fallocate(2), which posix_fallocate(3) would make up for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(PAGE)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def test_what_files_cannot_do(mount):
    nr = mount.kdamonds / "nr_kdamonds"
    with fails(errno.EINVAL):
        os.open(nr, os.O_RDONLY | os.O_DIRECT)
    with fails(errno.EOPNOTSUPP):
        os.getxattr(nr, "user.name")
    with fails(errno.EOPNOTSUPP):
        os.setxattr(nr, "user.name", b"")
    with opened(nr, os.O_RDWR) as fd:
        with fails(errno.ENODEV):
            mmap.mmap(fd, PAGE)
        with fails(errno.ENOTTY):
            fcntl.ioctl(fd, 0x5401)
        with fails(errno.EOPNOTSUPP):
            fallocate(fd)
        os.fsync(fd)
        poller = select.poll()
        poller.register(fd, select.POLLIN | select.POLLOUT)
        assert poller.poll(0) == [(fd, select.POLLIN | select.POLLOUT)]
    with opened(mount.kdamonds) as fd:
        with fails(errno.EINVAL):
            os.fsync(fd)
        with fails(errno.EISDIR):
            os.read(fd, 1)
