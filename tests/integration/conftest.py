"""A mounted damonfs for tests, on a described access pattern: nothing real is watched."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from damon_tree import DAMONFS, Daemon, Tree, comes_true  # noqa: E402
from toucher_client import Stuck, Target  # noqa: E402

SANITIZED = "asan" in os.environ.get("DAMONFS_BUILD", "") or "tsan" in os.environ.get("DAMONFS_BUILD", "")
PATTERN = """\
process *
  map heap 0x10000000 16M
  phase 1s
    access heap 0 1M always
"""
# Three mappings, as vaddr looks for the two biggest gaps between them.
THREE_MAPPINGS = """\
process *
  map program 0x400000 2M
  map heap 0x10000000 256M
  map stack 0x7ff000000000 128K
  phase 1s
    access heap 0 16M always
"""
NOBODY = 65534
PATIENCE = 20  # seconds for what takes a moment

has_swap = len(pathlib.Path("/proc/swaps").read_text().splitlines()) > 1
# For tests whose outcome depends on accesses that were measured, and no others: what is found is a matter of chance, too,
# the more so where a processor is emulated. A second try.
found_by_samples = pytest.mark.flaky(reruns=1)
needs_swap = pytest.mark.skipif(not has_swap, reason="this machine has no swap")


def skip_without_backend(backend, why):
    """Ends a test that needs a real backend: skipped if, by `why`, none works here and `auto` was to find one. Failed if
    one was asked for, or $DAMONFS_REQUIRE says that there is one."""
    why = str(why)
    required = {"pte", "idle"} & set(os.environ.get("DAMONFS_REQUIRE", "").split(","))
    if backend != "auto" or required or "no backend that sees all accesses works here" not in why:
        pytest.fail("no real backend: %s" % why)
    pytest.skip("no real backend here: %s" % why)


@contextlib.contextmanager
def real_daemon(backend, *options):
    """A daemon with a real backend, which must end well; skip_without_backend() where there is none."""
    try:
        daemon = Daemon(backend, *options)
    except RuntimeError as error:
        skip_without_backend(backend, error)
    try:
        yield daemon
    finally:
        status = daemon.close()
    assert status == 0


def mounts_below(directory):
    """Mount points at or below `directory`."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [p for p in points if p == str(directory) or p.startswith("%s/" % directory)]


def wait_until(condition, what):
    assert comes_true(condition, PATIENCE, 0.005), "waited in vain: " + what


@contextlib.contextmanager
def fails(*codes):
    with pytest.raises(OSError) as caught:
        yield
    assert errno.errorcode[caught.value.errno] in [errno.errorcode[c] for c in codes]


@contextlib.contextmanager
def opened(path, flags=os.O_RDONLY, **options):
    fd = os.open(path, flags, **options)
    try:
        yield fd
    finally:
        os.close(fd)


def open_as_nobody(path):
    """What came of a process of the user nobody that opened the file to read it."""
    code = "import os, sys; os.setgid(%d); os.setuid(%d); os.open(sys.argv[1], os.O_RDONLY)" % (NOBODY, NOBODY)
    return subprocess.run([sys.executable, "-c", code, path], text=True, stderr=subprocess.PIPE, check=False)


def own_cgroup(roots, file):
    """Makes a cgroup of the test's own where groups have that file; nothing where none can be made."""
    for root in roots:
        group = pathlib.Path(root) / ("damonfs-test-%d" % os.getpid())
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / file).exists():
                return group
            group.rmdir()
    return None


class Mount:
    """A daemon in the foreground, below `directory`, and the tree that it serves."""

    def __init__(self, directory, *options, pattern=PATTERN):
        self.path = pathlib.Path(directory) / "mnt"
        self.path.mkdir(exist_ok=True)
        self.log_path = pathlib.Path(directory) / "log"
        self.pattern = pathlib.Path(directory) / "pattern"
        self.pattern.write_text(pattern)
        self.tree = Tree(self.path)
        self.kdamonds = self.tree.kdamonds
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                [DAMONFS, "mount", str(self.path), "--foreground",
                 "--backend", "synthetic:%s" % self.pattern, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.process.poll() is not None or self.kdamonds.exists(), "for the tree")
        assert self.process.poll() is None, self.log()

    def mounted(self):
        return str(self.path) in mounts_below(self.path)

    def log(self):
        return self.log_path.read_text()

    def end(self, how=signal.SIGTERM):
        """Signals the daemon; its exit status."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def close(self):
        """Ends the daemon however that may be."""
        if self.process.poll() is None:
            try:
                self.process.send_signal(signal.SIGCONT)
                self.end()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for point in mounts_below(self.path):
            subprocess.run(["umount", "-l", point], check=False)

    def set_up_blocking(self, count=1):
        """Kdamonds, switched on, of which update_schemes_tried_regions takes a quarter of an hour."""
        self.tree.set_up(*[[1]] * count)
        for k in range(count):
            self.tree.write("%d/contexts/0/schemes/0/apply_interval_us" % k, 1000 * 10**6)
            self.tree.command("on", k)


@pytest.fixture
def directory():
    """A directory that every user can reach; nothing may stay mounted below it."""
    with tempfile.TemporaryDirectory(prefix="damonfs-test.") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)
        left = mounts_below(name)
        for point in left:
            subprocess.run(["umount", "-l", point], check=False)
        assert left == []


@contextlib.contextmanager
def mounted_well(directory, *options):
    """A mount whose daemon must end well when the test is over, and leave nothing."""
    mounted = Mount(directory, *options)
    try:
        yield mounted
        if mounted.process.poll() is None:
            assert mounted.end() == 0, mounted.log()
        assert mounts_below(directory) == []
        # Sanitizers say what they find there.
        assert "ERROR:" not in mounted.log() and "WARNING: Thread" not in mounted.log(), mounted.log()
    finally:
        mounted.close()


@pytest.fixture
def mount(directory):
    with mounted_well(directory) as mounted:
        yield mounted


@pytest.fixture
def running(mount):
    """The mount, with a kdamond that is on."""
    mount.tree.set_up([1])
    mount.tree.command("on")
    yield mount
    if mount.process.poll() is None:
        mount.tree.clear()


@pytest.fixture
def tree(daemon):
    """The tree of the module's daemon, for one test."""
    yield daemon.tree
    assert daemon.process.poll() is None, daemon.said()
    daemon.tree.clear()


@pytest.fixture
def children():
    """A list for processes that must not outlive the test."""
    processes = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def stuck():
    """A process whose memory map can be locked for as long as one likes."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("needs root and FUSE")
    with Stuck(16 << 20) as process:
        yield process


@pytest.fixture
def make_target():
    """Starts touchers, which end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args: stack.enter_context(Target(*args))


@pytest.fixture
def make_cgroup():
    """Makes memory cgroups by their names, and removes them. Wanted before make_target, so that none is in use by then."""
    root = pathlib.Path("/sys/fs/cgroup")
    if "memory" not in (root / "cgroup.controllers").read_text():
        pytest.skip("no memory controller")
    (root / "cgroup.subtree_control").write_text("+memory")
    made = []

    def make(name):
        made.append(root / name)
        made[-1].mkdir()
        return made[-1]

    yield make
    for group in made:
        with contextlib.suppress(OSError):
            group.rmdir()


# A process that writes argv[2] to the file argv[1] and prints the name of the error, if any. With argv[3], a signal handler
# for SIGUSR1 that does nothing but end the write.
WRITER = """\
import errno, os, signal, sys
class Interrupted(Exception): pass
def interrupted(*_): raise Interrupted
signal.signal(signal.SIGUSR1, interrupted)
fd = os.open(sys.argv[1], os.O_WRONLY)
print("open", flush=True)
try:
    os.write(fd, sys.argv[2].encode())
    print("done")
except Interrupted:
    print("EINTR")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.fixture
def start_writer(children):
    """Starts a process that writes to a file; it has opened the file when this returns."""

    def start(path, text):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), text],
                                   stdout=subprocess.PIPE, text=True)
        children.append(process)
        assert process.stdout.readline() == "open\n"
        return process

    return start


def blocked(process):
    """Whether `process` waits for an answer of a FUSE daemon to a write."""
    try:
        call = pathlib.Path("/proc/%d/syscall" % process.pid).read_text().split()[0]
    except OSError:
        return False
    return call == str({"x86_64": 1, "aarch64": 64}[os.uname().machine])
