"""System calls on the tree that are not plain reads and writes of whole files."""

import ctypes
import mmap
import os
import stat

from steps_values import CONTEXT, KDAMOND, SCHEME, TARGET, make_all
from transcript import LIBC

FILE = CONTEXT + "monitoring_attrs/intervals/sample_us"
READ_ONLY = SCHEME + "stats/nr_tried"


def opening(t):
    t.begin("open")
    make_all(t)
    ways = [("r", os.O_RDONLY), ("w", os.O_WRONLY), ("rw", os.O_RDWR),
            ("w trunc", os.O_WRONLY | os.O_TRUNC), ("w append", os.O_WRONLY | os.O_APPEND),
            ("w creat", os.O_WRONLY | os.O_CREAT), ("w excl", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
            ("dir", os.O_RDONLY | os.O_DIRECTORY), ("nofollow", os.O_RDONLY | os.O_NOFOLLOW)]
    for path in (FILE, READ_ONLY, KDAMOND + "pid", KDAMOND + "state", CONTEXT + "nothing",
                 "kdamonds", "kdamonds/1/state", FILE + "/x"):
        for label, flags in ways:
            t.open(path, flags, label).close()


def reading(t):
    t.begin("reading in pieces")
    make_all(t)
    t.prepare(FILE, 123456)
    f = t.open(FILE)
    f.read(3)
    f.read(100)
    f.read(100)
    f.seek(0, os.SEEK_SET, "set")
    f.read(0)
    f.read(100)
    for count, offset in ((100, 0), (2, 2), (100, 6), (100, 7), (100, 8), (100, 5000), (100, 1)):
        f.pread(count, offset)
    f.seek(2, os.SEEK_SET, "set")
    f.read(2)
    f.seek(-1, os.SEEK_CUR, "cur")
    f.read(2)
    f.seek(-100, os.SEEK_CUR, "cur")
    f.seek(10, os.SEEK_SET, "set")
    f.read(2)
    f.seek(-1, os.SEEK_SET, "set")
    f.seek(0, os.SEEK_END, "end")
    f.seek(0, os.SEEK_SET, "set")
    f.close()

    t.begin("reading while it changes")
    f = t.open(FILE, os.O_RDONLY, "r")
    f.read(2)
    t.write(FILE, "987654321")
    f.read(100)
    f.seek(0, os.SEEK_SET, "set")
    f.read(100)
    t.write(FILE, "5")
    f.pread(100, 0)
    f.close()


def writing(t):
    t.begin("writing")
    make_all(t)
    f = t.open(FILE)
    f.write(b"111")
    f.seek(0, os.SEEK_CUR, "cur")
    f.write(b"222")
    f.seek(0, os.SEEK_CUR, "cur")
    f.pread(100, 0)
    f.write(b"bad")
    f.seek(0, os.SEEK_CUR, "cur")
    f.write(b"")
    f.pread(100, 0)
    for data, offset in ((b"333", 0), (b"444", 1), (b"555", 4096), (b"666", 1 << 40), (b"x", 7)):
        f.pwrite(data, offset)
        f.pread(100, 0)
    f.writev([b"77", b"7\n"])
    f.pread(100, 0)
    f.writev([b"88\n", b"9\n"])
    f.pread(100, 0)
    f.close()
    f = t.open(FILE, os.O_WRONLY | os.O_APPEND, "append")
    f.write(b"4242")
    f.read(10)
    f.close()
    t.read(FILE)
    f = t.open(FILE, os.O_RDONLY, "r")
    f.write(b"1")
    f.close()
    f = t.open(FILE, os.O_WRONLY | os.O_TRUNC, "trunc")
    f.close()
    t.read(FILE)

    t.begin("long writes")
    for size in (100, 4094, 4095, 4096, 4097, 8192, 100000):
        f = t.open(FILE)
        f.write(b"0" * (size - 1) + b"7")
        f.seek(0, os.SEEK_CUR, "cur")
        f.pread(100, 0)
        f.write(b"9" + b"\0" * (size - 1))
        f.pread(100, 0)
        f.close()


def naming(t):
    t.begin("making and removing")
    make_all(t)
    for path in ("x", "kdamonds/x", "kdamonds/0/x", CONTEXT + "targets/x", SCHEME + "x"):
        t.attempt("mkdir", path, "", lambda: os.mkdir(t.full(path)))
        t.attempt("creat", path, "", lambda: os.close(os.open(t.full(path), os.O_CREAT | os.O_RDWR)))
        t.attempt("mknod", path, "file", lambda: os.mknod(t.full(path), 0o600 | stat.S_IFREG))
        t.attempt("mknod", path, "fifo", lambda: os.mknod(t.full(path), 0o600 | stat.S_IFIFO))
        t.attempt("symlink", path, "", lambda: os.symlink("y", t.full(path)))
        t.attempt("link", path, "", lambda: os.link(t.full(FILE), t.full(path)))
        t.attempt("unlink", path, "", lambda: os.unlink(t.full(path)))
        t.attempt("rmdir", path, "", lambda: os.rmdir(t.full(path)))
    for path in ("kdamonds", "kdamonds/0", CONTEXT + "targets/0", SCHEME + "quotas/weights"):
        t.attempt("rmdir", path, "", lambda: os.rmdir(t.full(path)))
        t.attempt("mkdir", path, "", lambda: os.mkdir(t.full(path)))
        t.attempt("unlink", path, "", lambda: os.unlink(t.full(path)))
        t.attempt("rename", path, "", lambda: os.rename(t.full(path), t.full(path + "x")))
    for path in (FILE, READ_ONLY, KDAMOND + "state"):
        t.attempt("unlink", path, "", lambda: os.unlink(t.full(path)))
        t.attempt("rmdir", path, "", lambda: os.rmdir(t.full(path)))
        t.attempt("rename", path, "", lambda: os.rename(t.full(path), t.full(path + "x")))
        t.attempt("rename over", path, "", lambda: os.rename(t.full(path), t.full(FILE)))
    t.walk("kdamonds/0/contexts/0/targets")


def attributes(t):
    t.begin("permissions")
    make_all(t)
    directory = CONTEXT + "targets"
    for path in (FILE, READ_ONLY, directory):
        t.attempt("chmod", path, "0644", lambda: os.chmod(t.full(path), 0o644))
        t.entry(path)
        t.attempt("chown", path, "1:2", lambda: os.chown(t.full(path), 1, 2))
        t.entry(path)
        t.attempt("chmod", path, "0755", lambda: os.chmod(t.full(path), 0o755))
        t.attempt("utime", path, "1", lambda: os.utime(t.full(path), (1, 1)))
        t.entry(path)
    t.write(READ_ONLY, "1")
    t.attempt("chmod", FILE, "0000", lambda: os.chmod(t.full(FILE), 0))
    t.set(FILE, "5000")
    t.attempt("chmod", FILE, "0400", lambda: os.chmod(t.full(FILE), 0o400))
    t.set(FILE, "5001")
    make_all(t)
    t.entry(FILE)
    t.begin("truncate")
    for path in (FILE, READ_ONLY):
        for length in (0, 1, 4096, 1 << 30):
            t.attempt("truncate", path, str(length), lambda: os.truncate(t.full(path), length))
        t.entry(path)
        t.read(path)
    f = t.open(FILE)
    f.truncate(0)
    f.close()
    t.begin("directories")
    t.attempt("truncate", "kdamonds", "0", lambda: os.truncate(t.full("kdamonds"), 0))
    t.read("kdamonds")
    t.write("kdamonds", "1")
    for path in ("", "kdamonds", "kdamonds/0/contexts", CONTEXT + "targets", TARGET + "regions",
                 "kdamonds/0/contexts/0/targets/0/regions/0/.."):
        t.attempt("listdir", path, "", lambda: sorted(os.listdir(t.full(path))))
        t.attempt("links", path, "", lambda: os.stat(t.full(path)).st_nlink)
    t.begin("other calls")
    f = t.open(FILE)
    t.errno_of("fallocate", FILE, "4096", LIBC.fallocate, f.fd, 0, ctypes.c_long(0),
               ctypes.c_long(4096))
    t.attempt("fsync", FILE, "", lambda: os.fsync(f.fd))
    for label, kind in (("shared", mmap.MAP_SHARED), ("private", mmap.MAP_PRIVATE)):
        t.attempt("mmap", FILE, label,
                  lambda: len(mmap.mmap(f.fd, 4096, kind, mmap.PROT_READ)))
    t.attempt("isatty", FILE, "", lambda: os.get_terminal_size(f.fd))
    f.close()
    for path in (FILE, "kdamonds"):
        t.attempt("getxattr", path, "user.x", lambda: os.getxattr(t.full(path), "user.x"))
        t.attempt("setxattr", path, "user.x", lambda: os.setxattr(t.full(path), "user.x", b"1"))
        t.attempt("listxattr", path, "", lambda: os.listxattr(t.full(path)))
        t.attempt("readlink", path, "", lambda: os.readlink(t.full(path)))
    for path, rights in ((FILE, os.W_OK), (READ_ONLY, os.W_OK), (FILE, os.X_OK)):
        t.attempt("access", path, str(rights), lambda: os.access(t.full(path), rights))
    t.open(FILE, os.O_RDONLY | os.O_DIRECT, "direct").close()
    t.open("kdamonds", os.O_RDWR | os.O_TMPFILE, "tmpfile").close()
    t.attempt("exec", FILE, "", lambda: os.execv(t.full(FILE), ["x"]))


def removed(t):
    t.begin("open files of removed directories")
    for what, count, path in (("kdamond", "kdamonds/nr_kdamonds", KDAMOND + "state"),
                              ("context", KDAMOND + "contexts/nr_contexts", FILE),
                              ("target", CONTEXT + "targets/nr_targets", TARGET + "pid_target"),
                              ("scheme", CONTEXT + "schemes/nr_schemes", SCHEME + "action"),
                              ("scheme's", CONTEXT + "schemes/nr_schemes",
                               SCHEME + "quotas/weights/sz_permil"),
                              ("filter", SCHEME + "filters/nr_filters", SCHEME + "filters/0/type")):
        make_all(t)
        unread = t.open(path)
        halfway = t.open(path)
        halfway.read(1)
        directory = os.open(os.path.dirname(t.full(path)), os.O_RDONLY | os.O_DIRECTORY)
        t.write(count, "1", "1 again: " + what)
        for f in (unread, halfway):
            f.read(100)
            f.pread(100, 0)
            f.write(b"1")
            f.seek(0, os.SEEK_SET, "set")
            f.read(100)
            t.attempt("fstat", path, what, lambda: os.fstat(f.fd).st_size)
            f.close()
        t.attempt("listdir removed", os.path.dirname(path), what, lambda: os.listdir(directory))
        t.attempt("openat removed", path, what, lambda: os.close(
            os.open(os.path.basename(path), os.O_RDONLY, dir_fd=directory)))
        os.close(directory)
        t.entry(path)
    t.write("kdamonds/nr_kdamonds", "0")
    t.read(KDAMOND + "state")
    t.entry("kdamonds/0")


def as_nobody(t):
    """The same tree for a user without rights."""
    t.begin("another user")
    make_all(t)
    open_to_all = SCHEME + "action"
    os.chmod(t.full(open_to_all), 0o666)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            t.steps = []
            t.attempt("listdir", "kdamonds", "", lambda: sorted(os.listdir(t.full("kdamonds"))))
            t.entry(FILE)
            for path in (FILE, READ_ONLY, KDAMOND + "state", "kdamonds/nr_kdamonds"):
                t.read(path)
                t.write(path, "1")
            t.set(open_to_all, "pageout")
            t.attempt("mkdir", "x", "", lambda: os.mkdir(t.full("x")))
            t.attempt("rmdir", "kdamonds", "", lambda: os.rmdir(t.full("kdamonds")))
            t.attempt("chmod", FILE, "0666", lambda: os.chmod(t.full(FILE), 0o666))
            with os.fdopen(writer, "w") as pipe:
                t.print(pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        t.take(pipe)
    os.waitpid(pid, 0)


SECTIONS = [opening, reading, writing, naming, attributes, removed, as_nobody]
