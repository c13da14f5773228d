#!/usr/bin/python3
"""Random operations of eight processes on one mount: every request is answered within five seconds, the daemon is alive
at the end, and all counts can be set back to 0.

usage: tests/fuzz/mount.py [--seconds N] [--writes N] [--seed N] [--junit FILE]
Ends with 1 when that is not so. A seed gives each process the same operations again; how they meet is chance.
"""

import argparse
import contextlib
import ctypes
import errno
import mmap
import multiprocessing
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import xml.sax.saxutils

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from damon_tree import Daemon, comes_true  # noqa: E402

PROCESSES = 8
ANSWER = 5  # seconds for a request, whatever else goes on
PATTERN = """\
process *
  map program 0x400000 2M
  map heap 0x10000000 64M
  map stack 0x7ff000000000 128K
  phase 1s
    access heap 0 16M always
"""
COUNTS = ["nr_kdamonds", "0/contexts/nr_contexts", "1/contexts/nr_contexts", "2/contexts/nr_contexts",
          "0/contexts/0/targets/nr_targets", "1/contexts/0/targets/nr_targets",
          "0/contexts/0/schemes/nr_schemes", "1/contexts/0/schemes/nr_schemes",
          "0/contexts/0/targets/0/regions/nr_regions", "0/contexts/0/schemes/0/filters/nr_filters",
          "0/contexts/0/schemes/0/quotas/goals/nr_goals", "0/contexts/0/schemes/0/dests/nr_dests",
          "0/contexts/0/monitoring_attrs/probes/nr_probes"]
COMMANDS = [b"on", b"off", b"commit", b"update_schemes_stats", b"update_schemes_tried_regions",
            b"update_schemes_tried_bytes", b"clear_schemes_tried_regions", b"update_schemes_effective_quotas",
            b"update_tuned_intervals", b"nonsense"]
TEXTS = [b"0", b"1", b"2", b"3", b"1\n", b"Y", b"N", b"vaddr", b"paddr", b"pageout", b"stat", b"-1", b"64", b"",
         b"18446744073709551615", b"99999999999999999999", b"\0", b"x" * 5000, b"/", b"anon", b"0x20"]


def files_below(root):
    found = []
    for directory, _, names in os.walk(root):
        found += [os.path.join(directory, name) for name in names]
    return found


class Player:
    """One process that does one thing after the other to a tree."""

    def __init__(self, mount, number, seed, shared, doing):
        self.mount = str(mount)
        self.kdamonds = self.mount + "/kernel/mm/damon/admin/kdamonds/"
        self.chance = random.Random("%s %s" % (seed, number))
        self.shared = shared  # began, longest, writes, operations
        self.doing = doing
        self.files = files_below(mount)
        self.open = []
        self.use = ""
        self.memory = os.memfd_create("what was mapped")
        self.libc = ctypes.CDLL(None, use_errno=True)

    # What is done it to.

    def path(self):
        path = self.some_path()
        self.doing.value = ("%s %s" % (self.use, path[-100:])).encode()
        return path

    def some_path(self):
        where = self.chance.random()
        if where < 0.5:
            return self.kdamonds + self.chance.choice(COUNTS)
        if where < 0.6 and self.files:
            return os.path.dirname(self.chance.choice(self.files))
        if where < 0.95 and self.files:
            return self.chance.choice(self.files)
        return self.kdamonds + "no/such/%d" % self.chance.randrange(9)

    def value(self, path):
        if path.endswith("/state"):
            return self.chance.choice(COMMANDS)
        if "/nr_" in path and self.chance.random() < 0.9:
            return b"%d" % self.chance.choice((0, 1, 1, 2, 3))
        return self.chance.choice(TEXTS)

    def descriptor(self):
        if not self.open or self.chance.random() < 0.3:
            flags = self.chance.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
            for more in (os.O_APPEND, os.O_TRUNC, os.O_SYNC, os.O_DIRECT, os.O_CREAT):
                flags |= more if self.chance.random() < 0.1 else 0
            self.open.append((os.open(self.path(), flags | os.O_NONBLOCK), flags))
            if len(self.open) > 16:
                os.close(self.open.pop(self.chance.randrange(16))[0])
        return self.chance.choice(self.open)[0]

    # What is done.

    def write(self):
        path = self.path() if self.chance.random() < 0.8 else self.kdamonds + "%d/state" % self.chance.randrange(3)
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            self.shared[2] += 1
            os.write(fd, self.value(path))
        finally:
            os.close(fd)

    def write_anywhere(self):
        fd = self.descriptor()
        self.shared[2] += 1
        how = self.chance.randrange(3)
        if how == 0:
            os.pwrite(fd, self.chance.choice(TEXTS), self.chance.choice((0, 1, 4095, 4096, 1 << 40, (1 << 63) - 1)))
        elif how == 1:
            os.write(fd, self.chance.choice(TEXTS))
        else:
            os.writev(fd, [self.chance.choice(TEXTS), self.chance.choice(TEXTS)])

    def read_anywhere(self):
        fd = self.descriptor()
        os.pread(fd, self.chance.choice((0, 1, 100, 4096, 70000)),
                 self.chance.choice((0, 1, 5, 4095, 4096, 1 << 40, (1 << 63) - 1)))

    def read(self):
        fd = os.open(self.path(), os.O_RDONLY | os.O_NONBLOCK)
        try:
            while os.read(fd, self.chance.choice((1, 7, 4096, 100000))) and self.chance.random() < 0.9:
                pass
        finally:
            os.close(fd)

    def map(self):
        with mmap.mmap(self.descriptor(), 4096, self.chance.choice((mmap.MAP_SHARED, mmap.MAP_PRIVATE)),
                       self.chance.choice((mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE))) as mapped:
            # The kernel reads it: where nothing can be read we would get SIGBUS, it gets EFAULT.
            os.pwrite(self.memory, memoryview(mapped)[:10], 0)

    def xattr(self):
        path, name = self.path(), self.chance.choice(("user.x", "security.selinux", "system.posix_acl_access"))
        self.chance.choice((lambda: os.getxattr(path, name), lambda: os.setxattr(path, name, b"y"),
                            lambda: os.listxattr(path), lambda: os.removexattr(path, name)))()

    def walk(self):
        self.files = files_below(self.mount + self.chance.choice(("", "/kernel/mm/damon", "/module", "/damonfs")))

    def small(self):
        path, other, chance = self.path(), self.path(), self.chance
        chance.choice((lambda: os.rename(path, other), lambda: os.rename(path, path + "x"),
                       lambda: os.truncate(path, chance.choice((0, 1, 4096, 1 << 40))), lambda: os.unlink(path),
                       lambda: os.chmod(path, chance.choice((0o600, 0o644, 0o400, 0o666, 0))),
                       lambda: os.chown(path, chance.randrange(2), -1), lambda: os.mkdir(path + "d"),
                       lambda: os.rmdir(os.path.dirname(path)), lambda: os.link(path, other + "y"),
                       lambda: os.symlink("x", path + "z"), lambda: os.stat(path), lambda: os.statvfs(path),
                       lambda: os.utime(path, (1, 2)), lambda: os.listdir(os.path.dirname(path)),
                       lambda: os.access(path, os.W_OK), lambda: os.mknod(path + "n")))()

    def with_descriptor(self):
        fd, chance = self.descriptor(), self.chance
        chance.choice((lambda: os.ftruncate(fd, chance.randrange(5000)), lambda: os.fsync(fd), lambda: os.fstat(fd),
                       lambda: os.lseek(fd, chance.randrange(5000), os.SEEK_SET), lambda: os.fchmod(fd, 0o644),
                       lambda: os.posix_fallocate(fd, 0, 10), lambda: os.copy_file_range(fd, fd, 10),
                       lambda: os.lockf(fd, os.F_TLOCK, 0),
                       lambda: self.libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(10)),
                       lambda: os.sendfile(fd, fd, 0, 10)))()

    def run(self, until, most_writes):
        uses = [self.write] * 10 + [self.write_anywhere] * 4 + [self.read_anywhere, self.read] * 2 + [
            self.small] * 5 + [self.with_descriptor] * 2 + [self.map, self.xattr]
        while time.monotonic() < until and self.shared[2] < most_writes:
            use = self.walk if self.chance.random() < 0.002 else self.chance.choice(uses)
            requests = len(self.files) if use == self.walk else 1
            self.use = use.__name__
            self.doing.value = self.use.encode()
            began = time.monotonic()
            # A walk is many requests: what it takes is told by those beside it.
            self.shared[0] = began if requests == 1 else 0
            try:
                use()
            except (OSError, ValueError, OverflowError):
                pass
            if requests == 1:
                self.shared[1] = max(self.shared[1], time.monotonic() - began)
            self.shared[0] = 0
            self.shared[3] += 1


def play(mount, number, seed, shared, doing, until, most_writes):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Player(mount, number, seed, shared, doing).run(until, most_writes)


def set_back(daemon):
    """Sets all counts to 0, as one who uses the tree would; what was in the way."""
    tree = daemon.tree
    os.chmod(tree.kdamonds / "nr_kdamonds", 0o600)
    for name in os.listdir(tree.kdamonds):
        if name.isdigit():
            for file in ("state", "contexts/nr_contexts"):
                os.chmod(tree.kdamonds / name / file, 0o600)
            if tree.read("%s/state" % name) == "on":
                try:
                    tree.command("off", int(name))
                except OSError as error:
                    if error.errno != errno.EPERM:  # it has ended by itself
                        return "kdamond %s is not to be switched off: %s" % (name, error)
            tree.write("%s/contexts/nr_contexts" % name, 0)
    tree.write("nr_kdamonds", 0)
    left = sorted(os.listdir(tree.kdamonds))
    return None if left == ["nr_kdamonds"] else "left are %s" % left


def told(player, doing):
    """What a process that waits is at."""
    return "%s: %s" % (doing.value.decode(), pathlib.Path("/proc/%d/wchan" % player.pid).read_text())


def starved(pid):
    """Seconds for which threads of a process were ready and had no processor."""
    delay = 0
    for path in pathlib.Path("/proc/%d/task" % pid).glob("*/schedstat"):
        with contextlib.suppress(OSError):  # it has ended
            delay += int(path.read_text().split()[1])
    return delay / 1e9


class Patience:
    """Who waits for longer than ANSWER, apart from the time in which a busy machine let the daemon do nothing."""

    def __init__(self, daemon, players, shared):
        self.daemon, self.players, self.shared = daemon, players, shared
        self.since = {}  # by player: what it is at, and how long the daemon had been starved when that was seen first

    def late(self):
        now, delay = time.monotonic(), starved(self.daemon.process.pid)
        found = []
        for n, each in enumerate(self.shared):
            began = each[0]
            if n not in self.since or self.since[n][0] != began:
                self.since[n] = began, delay
            # A process that runs waits for nobody.
            state = "R"
            with contextlib.suppress(OSError):  # it has ended
                state = pathlib.Path("/proc/%d/stat" % self.players[n].pid).read_text().rpartition(")")[2].split()[0]
            waited = now - began - max(delay - self.since[n][1], 0)
            if began and waited > ANSWER and state != "R":
                found.append(n)
        return found


def watch_over(daemon, players, shared, doing, until):
    """Waits for the players; what was wrong."""
    patience = Patience(daemon, players, shared)
    while any(player.is_alive() for player in players):
        if daemon.process.poll() is not None:
            return "the daemon has ended with %s: %s" % (daemon.process.returncode, daemon.said()[-2000:])
        late = patience.late()
        if late:
            return "nobody answers %s" % ", ".join(
                "process %d (%s)" % (n, told(players[n], doing[n])) for n in late)
        if time.monotonic() > until + 60:
            return "the processes do not end"
        time.sleep(0.2)
    died = [player.exitcode for player in players if player.exitcode != 0]
    if died:
        return "processes ended with %s" % died
    return None


def fuzz(seconds, writes, seed):
    """What was wrong, or nothing; prints what was done."""
    with tempfile.NamedTemporaryFile("w", suffix=".pattern") as pattern:
        pattern.write(PATTERN)
        pattern.flush()
        with Daemon("synthetic:" + pattern.name, "--log-level", "error") as daemon:
            until = time.monotonic() + seconds
            shared = [multiprocessing.Array("d", 4, lock=False) for _ in range(PROCESSES)]
            doing = [multiprocessing.Array("c", 128, lock=False) for _ in range(PROCESSES)]
            players = [multiprocessing.Process(
                target=play, args=(daemon.directory, n, seed, shared[n], doing[n], until, writes / PROCESSES), daemon=True)
                for n in range(PROCESSES)]
            for player in players:
                player.start()
            wrong = watch_over(daemon, players, shared, doing, until)
            for player in players:
                player.kill()
            ended = comes_true(lambda: not any(player.is_alive() for player in players), 20)
            wrong = wrong or (None if ended else "a process cannot be killed")
            wrong = wrong or set_back(daemon)
            print("mount: %d operations, %d of them writes; the longest answer took %.2f s" % (
                sum(each[3] for each in shared), sum(each[2] for each in shared), max(each[1] for each in shared)))
            status = daemon.close()
            return wrong or (None if status == 0 else "the daemon ended with %s" % status)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--writes", type=float, default=float("inf"))
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--junit")
    options = parser.parse_args()
    print("mount: seed %s" % options.seed, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("mount: told to end"))
    wrong = fuzz(options.seconds, options.writes, options.seed)
    if wrong:
        print("mount: %s" % wrong)
    if options.junit:
        failure = "<failure>%s</failure>" % xml.sax.saxutils.escape(wrong) if wrong else ""
        pathlib.Path(options.junit).write_text(
            '<testsuite name="fuzz"><testcase name="mount">%s</testcase></testsuite>' % failure)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
