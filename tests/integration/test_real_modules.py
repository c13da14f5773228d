"""The modules on real memory: for the laboratory's guests only, as they act on all processes. What damon_reclaim does
as a whole, beside the kernel's, is in tests/lab/reclaim_beside_kernel.py; all that a described machine can show is in
test_modules.py.

The guest `idle` with swap (scripts/lab/run idle --swap 512). The file of one test is made in $DAMONFS_FILES.
"""

import mmap
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from conftest import found_by_samples, needs_swap  # noqa: E402
from damon_tree import DAMONFS, Daemon, biggest_system_ram, comes_true  # noqa: E402
from toucher import labelled  # noqa: E402
from toucher_client import Target, pagemap, resident  # noqa: E402

pytestmark = [pytest.mark.skipif("DAMONFS_LAB" not in os.environ, reason="acts on the whole machine: in guests only"),
              needs_swap, found_by_samples]

BACKEND = os.environ.get("DAMONFS_BACKEND", "auto")
MIB = 1 << 20
PAGE = mmap.PAGESIZE
SIZE = 64 * MIB
SOON = 90.0
A_WHILE = 8.0  # seconds in which all of a target would be gone
HASTY = {"sample_interval": 20000, "aggr_interval": 200000, "min_age": 1000000, "quota_ms": 0, "quota_sz": 0,
         "wmarks_interval": 100000, "wmarks_high": 1000, "wmarks_mid": 999, "wmarks_low": 0}


class Module:
    """One of a daemon's."""

    def __init__(self, daemon, name):
        self.parameters = pathlib.Path(daemon.directory) / "module" / name / "parameters"

    def set(self, **values):
        for name, value in values.items():
            (self.parameters / name).write_text(str(value))

    def on(self, **values):
        self.set(**values, enabled="Y")

    def commit(self, **values):
        self.set(**values, commit_inputs="Y")
        assert comes_true(lambda: self.get("commit_inputs") == "N", 10)

    def get(self, name):
        return (self.parameters / name).read_text().strip()


@pytest.fixture
def daemon():
    with Daemon(BACKEND) as started:
        yield started


class Reclaim(Module):
    def on(self, **values):
        super().on(**HASTY | values)


@pytest.fixture
def reclaim(daemon):
    return Reclaim(daemon, "damon_reclaim")


@pytest.fixture
def cold():
    with Target(SIZE) as target:
        target.tell("label")
        target.tell("rest", 1000)
        yield target


def gone(target):
    """The share of its memory."""
    return 1 - resident(target) / (target.range[1] - target.range[0])


def goes(target):
    return comes_true(lambda: gone(target) > 0.8, SOON)


@pytest.mark.skipif("DAMONFS_FILES" not in os.environ, reason="no DAMONFS_FILES")
def test_skip_anon_leaves_anonymous_memory(reclaim, cold):
    with tempfile.NamedTemporaryFile(dir=os.environ["DAMONFS_FILES"]) as file:
        file.write(labelled(0, (SIZE + 2 * MIB) // PAGE))
        file.flush()
        os.fsync(file.fileno())
        with Target(SIZE, file.name) as mapped:
            mapped.tell("rest", 1000)
            reclaim.on(skip_anon="Y")
            assert goes(mapped), gone(mapped)
            time.sleep(A_WHILE)
            assert gone(cold) < 0.01
            reclaim.commit(skip_anon="N")
            assert goes(cold), gone(cold)
            assert mapped.tell("labels")["wrong"] == cold.tell("labels")["wrong"] == "0"


def test_quota_ms_bounds_what_is_reclaimed(reclaim, cold):
    reclaim.on(quota_ms=10, quota_reset_interval_ms=1000)
    time.sleep(A_WHILE)
    assert gone(cold) < 0.4
    assert int(reclaim.get("nr_quota_exceeds")) > 0
    reclaim.commit(quota_ms=0)
    assert goes(cold), gone(cold)


def test_what_is_outside_of_the_monitored_region_stays(reclaim, cold):
    frames = sorted(entry & (1 << 55) - 1 for entry in pagemap(cold))
    middle = frames[len(frames) // 2]
    before = pagemap(cold)

    def left(inside):
        """The share of the pages there that are in memory."""
        pages = [now >> 63 for was, now in zip(before, pagemap(cold)) if ((was & (1 << 55) - 1) < middle) == inside]
        return sum(pages) / len(pages)

    reclaim.on(monitor_region_start=biggest_system_ram()[0], monitor_region_end=middle * PAGE)
    assert comes_true(lambda: left(True) < 0.2, SOON), left(True)
    assert left(False) > 0.98


def test_nothing_changes_before_commit_inputs(reclaim, cold):
    reclaim.on(min_age=3600 * 1000000)
    time.sleep(A_WHILE)
    assert gone(cold) < 0.01
    reclaim.set(min_age=HASTY["min_age"])
    time.sleep(A_WHILE)
    assert gone(cold) < 0.01
    reclaim.commit()
    assert goes(cold), gone(cold)


def test_pressure_below_its_goal_lets_the_quota_grow(reclaim, cold):
    """It begins with next to nothing, and is tuned once a window."""
    reclaim.on(quota_mem_pressure_us=500000, quota_sz=1 << 40, quota_reset_interval_ms=200)
    assert goes(cold), gone(cold)


def test_a_daemon_killed_at_work_leaves_nothing_undone(daemon, reclaim, cold):
    reclaim.on()
    assert comes_true(lambda: gone(cold) > 0.05, SOON, 0.01)
    daemon.process.kill()
    daemon.process.wait()
    subprocess.run([DAMONFS, "umount", daemon.directory], check=True)
    assert cold.tell("labels")["wrong"] == "0"
    states = [path.read_text().rpartition(")")[2].split()[0] for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
    assert not {"T", "t"} & set(states)


def test_lru_sort_tells_hot_from_cold(daemon, cold):
    lru_sort = Module(daemon, "damon_lru_sort")
    with Target(SIZE) as hot:
        hot.tell("rest", 20)
        hot.hot(0, SIZE)
        lru_sort.on(sample_interval=20000, aggr_interval=200000, hot_thres_access_freq=300, cold_min_age=2000000,
                    wmarks_high=1000, wmarks_mid=999, wmarks_low=0, quota_ms=0)
        for kind in ("hot", "cold"):
            name = "bytes_lru_sorted_%s_regions" % kind
            assert comes_true(lambda: int(lru_sort.get(name)) > SIZE // 4, SOON), (name, lru_sort.get(name))  # noqa: B023


def test_stat_tells_of_idle_and_of_accessed_memory(daemon, cold):
    stat = Module(daemon, "damon_stat")
    with Target(SIZE) as hot:
        hot.tell("rest", 20)
        hot.hot(0, SIZE)
        stat.on()
        assert comes_true(lambda: int(stat.get("aggr_interval_us")) > 0, 30)

        def percentiles():
            return [int(ms) for ms in stat.get("memory_idle_ms_percentiles").split(",")]

        assert comes_true(lambda: percentiles()[50] > 10000, SOON)  # most of 2 GiB
        assert percentiles() == sorted(percentiles()) and len(percentiles()) == 101
        assert comes_true(lambda: int(stat.get("estimated_memory_bandwidth")) > 0, SOON)
