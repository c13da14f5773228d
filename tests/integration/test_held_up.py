"""One process cannot hold up the others: processes that are stuck, stopped or throttled, that have reserved all there is or have
very many mappings, beside one that is to be watched all the while. The backend is as in test_real_accesses.py."""

import contextlib
import errno
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import score
from conftest import PATIENCE, blocked, own_cgroup, real_daemon, wait_until
from toucher_client import Target

BACKEND = os.environ.get("DAMONFS_BACKEND", "auto")
MIB = 1 << 20
SECOND = 1 + 1.5  # on a machine that has much else to do
LONGEST = 0.5  # seconds that one sampling interval may take
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu")


@pytest.fixture
def daemon():
    with real_daemon(BACKEND) as started:
        yield started


@pytest.fixture
def cgroup():
    """Makes a cgroup that has one of those files; it is to be empty by the end."""
    made = []

    def make(*files):
        for file in files:
            group = own_cgroup(CGROUPS, file)
            if group is not None:
                made.append(group)
                return group
        pytest.skip("no cgroup with %s" % " or ".join(files))
    yield make
    for group in made:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "for the end of %s" % group)
        group.rmdir()


@contextlib.contextmanager
def within(seconds, what):
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, "%s took %.1f s" % (what, took)


def context_of(daemon):
    status = json.loads(pathlib.Path(daemon.directory, "damonfs/status.json").read_text())
    contexts = status["kdamonds"][0]["contexts"]
    assert contexts, "the kdamond does not answer"
    return contexts[0]


def assert_watched(daemon, target):
    """What becomes hot from now on is seen, and no sampling interval has taken long."""
    for offset in (8 * MIB, 40 * MIB):
        hot = target.hot(offset, 16 * MIB)

        def is_seen(hot=hot):
            found = score.hot_ranges(daemon.tree.snapshot(), within=target.range)
            return score.score([hot], found).recall > 0.5
        wait_until(is_seen, "for accesses")
    since_start = context_of(daemon)["sampling"]["since_start"]
    assert since_start["work_us"]["max"] < LONGEST * 1e6, since_start


def assert_ends(daemon):
    """`off` and SIGTERM, each within a second."""
    with within(SECOND, "off"):
        daemon.tree.command("off")
    daemon.tree.command("on")
    time.sleep(0.3)
    with within(SECOND, "SIGTERM"):
        daemon.process.terminate()
        assert daemon.process.wait(PATIENCE) == 0


def watch(daemon, *pids, **attrs):
    daemon.tree.set_up(list(pids), update_us=200000, **attrs)
    daemon.tree.command("on")


def test_beside_a_stuck_process(daemon, stuck):
    with Target(64 * MIB) as target:
        watch(daemon, stuck.pid, target.pid)
        assert_watched(daemon, target)
        stuck.tell("stick")
        assert_watched(daemon, target)
        stuck.tell("letgo")
        stuck.tell("stick")
        assert_watched(daemon, target)
        assert_ends(daemon)
        stuck.tell("letgo")


def test_a_process_that_is_stuck_at_the_start(daemon, stuck):
    with Target(64 * MIB) as target:
        stuck.tell("stick")
        watch(daemon, stuck.pid, target.pid)
        assert_watched(daemon, target)
        targets = context_of(daemon)["targets"]
        assert [t["nr_regions"] > 0 for t in targets] == [False, True]
        stuck.tell("letgo")
        wait_until(lambda: context_of(daemon)["targets"][0]["nr_regions"] > 0, "for regions of one that was let go")
        assert_ends(daemon)


def test_schemes_beside_a_stuck_process(daemon, stuck):
    with Target(64 * MIB) as target:
        watch(daemon, stuck.pid, target.pid)
        # The scheme has something to leave alone once the mappings were read.
        wait_until(lambda: context_of(daemon)["targets"][0]["nr_regions"] > 0, "for regions of the one that gets stuck")
        stuck.tell("stick")
        daemon.tree.set_scheme(0, "cold")
        daemon.tree.command("commit")
        assert_watched(daemon, target)

        def applied():
            return context_of(daemon)["schemes"][0]["stats"]["sz_applied"]
        wait_until(lambda: applied() > 0, "for the scheme")
        wait_until(lambda: "leave process %d alone" % stuck.pid in daemon.said(), "for the one that is stuck")
        assert_ends(daemon)
        stuck.tell("letgo")


def test_beside_a_stopped_process(daemon):
    with Target(64 * MIB) as target, Target(16 * MIB) as stopped:
        stopped.hot(0, 8 * MIB)
        watch(daemon, stopped.pid, target.pid)
        os.kill(stopped.pid, signal.SIGSTOP)
        assert_watched(daemon, target)
        assert_ends(daemon)


def test_beside_a_frozen_process(daemon, cgroup):
    group = cgroup("cgroup.freeze")
    with Target(64 * MIB) as target, Target(16 * MIB, cgroup=str(group / "cgroup.procs")) as frozen:
        frozen.tell("churn", 4 * MIB)
        watch(daemon, frozen.pid, target.pid)
        (group / "cgroup.freeze").write_text("1")
        try:
            assert_watched(daemon, target)
            assert_ends(daemon)
        finally:
            (group / "cgroup.freeze").write_text("0")


def test_beside_a_throttled_process(daemon, cgroup):
    """It may have its memory map locked for as long as it may not run."""
    group = cgroup("cpu.max", "cpu.cfs_quota_us")
    with Target(64 * MIB) as target, Target(16 * MIB, cgroup=str(group / "cgroup.procs")) as throttled:
        throttled.tell("churn", 16 * MIB)
        watch(daemon, throttled.pid, target.pid)
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text("5000 1000000")
        else:
            (group / "cpu.cfs_period_us").write_text("1000000")
            (group / "cpu.cfs_quota_us").write_text("5000")
        assert_watched(daemon, target)
        assert_ends(daemon)


def test_beside_64_tib(daemon):
    with Target(64 * MIB) as target, Target(16 * MIB) as vast:
        vast.tell("reserve", 64 << 40)
        watch(daemon, vast.pid, target.pid)
        daemon.tree.set_scheme(0, "cold")
        daemon.tree.command("commit")
        assert_watched(daemon, target)
        assert_ends(daemon)


def test_beside_very_many_mappings(daemon):
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(Target(64 * MIB))
        many = [stack.enter_context(Target(MIB)) for _ in range(8)]
        for each in many:
            each.tell("scatter", int(pathlib.Path("/proc/sys/vm/max_map_count").read_text()) - 1000)
        watch(daemon, *[each.pid for each in many], target.pid)
        assert_watched(daemon, target)
        assert_ends(daemon)


# Whatever a scheme is doing.


def busy_with(daemon, target, action, number):
    """Watches, with so many schemes that act on all of the memory, and returns in the middle of that."""
    tree = daemon.tree
    watch(daemon, target.pid)
    tree.write("0/contexts/0/schemes/nr_schemes", number)
    for scheme in range(number):
        tree.set_scheme(scheme, action)
    tree.command("commit")
    time.sleep(0.5)


@pytest.mark.parametrize("action", ["cold", "pageout"])
def test_off_and_sigterm_in_the_middle_of_schemes(daemon, action):
    with Target(1 << 30) as target:
        busy_with(daemon, target, action, 200)
        with within(SECOND, "off"):
            daemon.tree.command("off")
        assert not daemon.tree.running()
        busy_with(daemon, target, action, 200)
        with within(SECOND, "SIGTERM"):
            daemon.process.terminate()
            assert daemon.process.wait(PATIENCE) == 0
