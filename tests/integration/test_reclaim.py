"""What the parameters of damon_reclaim change, on real memory: for the laboratory's guests only, as this reclaims from
all processes. What it does as a whole and beside the kernel's is in tests/lab/reclaim_beside_kernel.py; what needs no
memory, on a described machine in test_modules.py.

The guest `idle` with swap (scripts/lab/run idle --swap 512). The file of one test is made in $DAMONFS_FILES.
"""

import mmap
import os
import pathlib
import sys
import tempfile
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from conftest import found_by_samples, needs_swap  # noqa: E402
from damon_tree import Daemon, biggest_system_ram, comes_true  # noqa: E402
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


class Reclaim:
    """damon_reclaim of a daemon."""

    def __init__(self, daemon):
        self.parameters = pathlib.Path(daemon.directory) / "module/damon_reclaim/parameters"

    def set(self, **values):
        for name, value in values.items():
            (self.parameters / name).write_text(str(value))

    def on(self, **values):
        self.set(**HASTY | values, enabled="Y")

    def commit(self, **values):
        self.set(**values, commit_inputs="Y")
        assert comes_true(lambda: self.get("commit_inputs") == "N", 10)

    def get(self, name):
        return (self.parameters / name).read_text().strip()


@pytest.fixture
def reclaim():
    with Daemon(BACKEND) as daemon:
        yield Reclaim(daemon)


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
