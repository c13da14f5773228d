"""damo's command lines for modules, on the physical memory of a described pattern: nothing real is reclaimed."""

import json

import pytest

from conftest import MIB, Damo, wait_until
from damon_tree import Daemon

# From 4 GiB on 2 MiB hot, 128 MiB cold.
PATTERN = """\
clock virtual
memory 256M
process 1
  map hot  0x400000   2M
  map cold 0x10000000 128M
  phase 60s
    access hot always
"""


@pytest.fixture
def damo(damo_program, tmp_path):
    pattern = tmp_path / "pattern"
    pattern.write_text(PATTERN)
    with Daemon("synthetic:%s" % pattern) as daemon:
        yield Damo(damo_program, daemon, tmp_path, 1)


@pytest.fixture
def unhurried(damo_program, tmp_path):
    """The same at the pace of the machine's clock: monitoring goes on for as long as somebody looks."""
    pattern = tmp_path / "pattern"
    pattern.write_text(PATTERN.removeprefix("clock virtual\n"))
    with Daemon("synthetic:%s" % pattern) as daemon:
        yield Damo(damo_program, daemon, tmp_path, 1)


def status(damo, module):
    """What `damo MODULE status` prints, as numbers where it is some."""
    done = damo("%s status" % module)
    assert done.returncode == 0, done.stdout
    pairs = (line.split(": ") for line in done.stdout.splitlines() if ": " in line)
    return {name: int(value) if value.lstrip("-").isdigit() else value for name, value in pairs}


def test_reclaim(damo):
    done = damo("reclaim enable --min_age 1000000 --quota 0 0 1000 --wmarks 100000 1000 1000 0")
    assert done.returncode == 0, done.stdout
    now = status(damo, "reclaim")
    assert (now["enabled"], now["min_age"], now["quota_sz"], now["skip_anon"]) == ("Y", 1000000, 0, "N")
    assert now["kdamond_pid"] > 0
    wait_until(lambda: status(damo, "reclaim")["bytes_reclaimed_regions"] >= 120 * MIB, "for cold memory to go")
    done = damo("reclaim commit --min_age 2000000 --skip_anon")
    assert done.returncode == 0, done.stdout
    now = status(damo, "reclaim")
    assert (now["enabled"], now["min_age"], now["skip_anon"]) == ("Y", 2000000, "Y")
    done = damo("reclaim disable")
    assert done.returncode == 0, done.stdout
    now = status(damo, "reclaim")
    assert (now["enabled"], now["kdamond_pid"]) == ("N", -1)


def test_lru_sort(damo):
    done = damo("lru_sort enable --cold_min_age 1000000 --quota 0 1000 --wmarks 100000 1000 1000 0")
    assert done.returncode == 0, done.stdout
    wait_until(lambda: status(damo, "lru_sort")["bytes_lru_sorted_cold_regions"] >= 120 * MIB, "for cold memory")
    now = status(damo, "lru_sort")
    assert now["bytes_lru_sorted_hot_regions"] >= 2 * MIB and now["enabled"] == "Y"
    done = damo("lru_sort disable")
    assert done.returncode == 0, done.stdout
    assert status(damo, "lru_sort")["kdamond_pid"] == -1


def test_stat(damo):
    done = damo("module stat write enabled Y")
    assert done.returncode == 0, done.stdout

    def read(what):
        done = damo("module stat read " + what)
        assert done.returncode == 0, done.stdout
        return done.stdout.split()

    assert read("enabled") == ["Y"]
    wait_until(lambda: int(read("aggr_interval_us")[0]) > 0, "for the first report")
    assert len(read("idle_time_percentiles --raw_number")) == 22
    done = damo("module stat write enabled N")
    assert done.returncode == 0, done.stdout


def test_stat_as_the_source(unhurried):
    """With no kdamond of the tree on, damo records and reports what DAMON_STAT finds."""
    damo = unhurried
    done = damo("module stat write enabled Y")
    assert done.returncode == 0, done.stdout
    done = damo("record --timeout 2 --do_record access -o stat.record ongoing")
    assert done.returncode == 0, done.stdout
    done = damo("report access --input stat.record")
    assert done.returncode == 0 and "\ntotal size: " in done.stdout, done.stdout
    wait_until(lambda: damo("module stat read aggr_interval_us").stdout.strip() not in ("", "0"), "for a report")
    done = damo("report access")
    assert done.returncode == 0 and "# data source: damon_stat" in done.stdout, done.stdout
    done = damo("record --snapshot 0.3s 2 --do_record access -o snapshot.record ongoing")
    assert done.returncode == 0, done.stdout
    done = damo("report access --input snapshot.record")
    assert done.returncode == 0 and "# data source: damon_stat" in done.stdout, done.stdout


def test_features(damo):
    done = damo("features json")
    assert done.returncode == 0, done.stdout
    features = json.loads(done.stdout[done.stdout.index("{"):])
    ours = {name: there for name, there in features.items()
            if name.split("/")[0] in ("reclaim", "lru_sort", "stat") or name.startswith("interface/damon_")}
    assert len(ours) >= 10
    assert {name for name, there in ours.items() if not there} <= {"interface/damon_debugfs"}
