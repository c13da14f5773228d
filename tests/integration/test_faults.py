"""Every call, thread and allocation that the daemon asks for fails once, in turn: it never ends, never hangs, and leaves
no change behind (tests/faults/faults.c).

DAMONFS_FAULTS_EACH=1 has all of them fail, in place of some; that takes minutes.
"""

import contextlib
import mmap
import os
import random
import struct
import tempfile
import threading

import pytest

from conftest import PATIENCE, PATTERN, comes_true, mounts_below
from damon_tree import BUILD, Daemon

LIBRARY = BUILD / "tests" / "libfaults.so"
CALL, THREAD, MEMORY = 1, 2, 4
ANSWER = 10  # seconds for a request
MANY = 1 << 40
SOME = 6  # that are tried of those of one operation
CONTEXT = "0/contexts/0/"

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="not built with sanitizers")


class Faults:
    """What a daemon shares with us: which of its calls is to fail."""

    def __init__(self, path):
        path.write_bytes(struct.pack("qqq40s", -1, 0, 0, b""))
        self.environment = {"LD_PRELOAD": str(LIBRARY), "DAMONFS_FAULTS": str(path)}
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def arm(self, number, kinds):
        self.memory[0:24] = struct.pack("qqq", -1, kinds, 0)
        self.memory[0:8] = struct.pack("q", number)

    def disarm(self):
        """How many calls there were since, and the one that failed, if one did."""
        countdown, _, failed, name = struct.unpack("qqq40s", self.memory[0:64])
        self.memory[0:8] = struct.pack("q", -1)
        return MANY - countdown, name.rstrip(b"\0").decode() if failed else None

    @contextlib.contextmanager
    def inherited(self):
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name in self.environment:
                del os.environ[name]


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture(params=["synthetic", "real"])
def daemon(request, faults, tmp_path):
    (tmp_path / "pattern").write_text(PATTERN)
    backend = "synthetic:%s" % (tmp_path / "pattern") if request.param == "synthetic" else "auto"
    try:
        with faults.inherited():
            started = Daemon(backend)
    except RuntimeError as error:
        pytest.skip("no real backend here: %s" % error)
    with started:
        started.tree.set_up([os.getpid()])
        yield started
        assert started.process.poll() is None, started.said()
        started.tree.clear()
        assert started.close() == 0, started.said()


def numbers(count):
    """Which of so many calls are to fail."""
    if os.environ.get("DAMONFS_FAULTS_EACH") or count <= SOME:
        return range(count)
    return sorted(random.sample(range(count), SOME))


def answered(act):
    """Does it, and says whether it failed; nobody waits for longer than ANSWER."""
    outcome = []

    def run():
        try:
            act()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ANSWER)
    assert outcome, "no answer"
    return outcome[0]


def content(tree):
    """What the files of the configuration say."""
    found = {}
    for directory, _, names in os.walk(tree.kdamonds):
        if "tried_regions" in directory or "stats" in directory:
            continue
        for name in names:
            path = os.path.join(directory, name)
            if os.stat(path).st_mode & 0o600 == 0o600 and name != "state":
                found[path] = tree.read(path)
    return found


def held(daemon):
    """Descriptors and threads that it has."""
    return tuple(len(os.listdir("/proc/%d/%s" % (daemon.process.pid, what))) for what in ("fd", "task"))


def fail_in_turn(daemon, faults, kinds, act, undo, or_else=None):
    """`act` with its first, second, ... call failing; `undo` sets back what it does. One that fails leaves all as it was,
    or as `or_else` says. Returns how many failed."""
    act()
    undo()
    faults.arm(MANY, kinds)
    act()
    count, _ = faults.disarm()
    undo()
    before = content(daemon.tree)
    nr_failed = 0
    for number in numbers(count):
        faults.arm(number, kinds)
        error = answered(act)
        _, name = faults.disarm()
        nr_failed += name is not None
        what = "%d of %d, %s: %s" % (number, count, name, error)
        assert daemon.process.poll() is None, "%s\n%s" % (what, daemon.said())
        if error:
            assert answered(lambda: daemon.tree.read("nr_kdamonds")) is None, what
            left = content(daemon.tree)
            assert left == before or (or_else and or_else(left)), what
        undo()
    assert content(daemon.tree) == before
    return nr_failed


@pytest.mark.parametrize("kinds", [CALL | THREAD, MEMORY], ids=["calls", "memory"])
def test_switching_on(daemon, faults, kinds):
    tree = daemon.tree

    def off():
        if tree.running():
            assert answered(lambda: tree.command("off")) is None
        assert tree.read("0/state") == "off" and tree.read("0/pid") == "-1"

    tree.command("on")
    off()
    comes_true(lambda: held(daemon)[1] <= 8, 1)
    before = held(daemon)
    assert fail_in_turn(daemon, faults, kinds, lambda: tree.command("on"), off) > 0
    # Nothing is held of those that failed.
    assert comes_true(lambda: all(now <= then + 2 for now, then in zip(held(daemon), before)), PATIENCE), (
        before, held(daemon))


@pytest.mark.parametrize("kinds", [CALL | THREAD, MEMORY], ids=["calls", "memory"])
def test_commands(daemon, faults, kinds):
    tree = daemon.tree
    for command in ("commit", "update_schemes_stats", "update_schemes_tried_regions", "update_tuned_intervals", "off"):
        def undo():
            if not tree.running():  # it may have run out of memory
                assert answered(lambda: tree.command("on")) is None

        undo()
        fail_in_turn(daemon, faults, kinds, lambda: tree.command(command), undo)


@pytest.mark.parametrize("kinds", [CALL | THREAD, MEMORY], ids=["calls", "memory"])
def test_directories_and_what_is_read(daemon, faults, kinds):
    tree, mount = daemon.tree, daemon.tree.kdamonds.parents[4]
    tree.command("on")

    def undo():
        tree.write(CONTEXT + "schemes/nr_schemes", 1)

    def none_left(left):
        """A number that there is no memory for leaves none, as in the kernel."""
        schemes = str(tree.kdamonds / CONTEXT / "schemes")
        return {path: text for path, text in left.items() if path.startswith(schemes)} == {schemes + "/nr_schemes": "0"}

    undo()
    fail_in_turn(daemon, faults, kinds, lambda: tree.write(CONTEXT + "schemes/nr_schemes", 3), undo, none_left)
    fail_in_turn(daemon, faults, kinds, lambda: tree.write(CONTEXT + "targets/0/pid_target", os.getpid()), undo)
    for name in ("damonfs/status.json", "damonfs/kdamonds/0/regions", "damonfs/kdamonds/0/regions.json"):
        fail_in_turn(daemon, faults, kinds, lambda: (mount / name).read_bytes(), lambda: None)


@pytest.mark.parametrize("kinds", [CALL, THREAD, MEMORY], ids=["calls", "threads", "memory"])
@pytest.mark.parametrize("backend", ["synthetic", "auto"])
def test_the_start(faults, tmp_path, monkeypatch, backend, kinds):
    """It serves, or says why not and leaves no mount."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the mount points are
    (tmp_path / "pattern").write_text(PATTERN)
    backend = "synthetic:%s" % (tmp_path / "pattern") if backend == "synthetic" else backend

    def start(number):
        faults.arm(number, kinds)
        with faults.inherited():
            return Daemon(backend)

    try:
        started = start(MANY)
    except RuntimeError as error:
        pytest.skip("no real backend here: %s" % error)
    count, _ = faults.disarm()
    assert started.close() == 0
    for number in numbers(count):
        try:
            started = start(number)
        except RuntimeError as error:
            _, name = faults.disarm()
            # Before main(), and in the library that reads arguments, memory is not for us to do without.
            nothing_began = kinds == MEMORY and "terminate called" in str(error)
            assert "damonfs: " in str(error) or nothing_began, "%d (%s): %s" % (number, name, error)
            assert mounts_below(tmp_path) == [], "%d (%s): %s" % (number, name, error)
            continue
        # It answers before all else is there.
        assert comes_true(lambda: "serving; " in started.said() or started.process.poll() is not None, PATIENCE, 0.005)
        _, name = faults.disarm()
        what = "%d (%s): " % (number, name)
        if started.process.poll() is None:
            started.tree.write("nr_kdamonds", 1)
            assert started.tree.read("nr_kdamonds") == "1"
            assert started.close() == 0, what + started.said()
        else:
            assert started.close() == 1 and "damonfs: " in started.said(), what + started.said()
        assert mounts_below(started.directory) == [], what
