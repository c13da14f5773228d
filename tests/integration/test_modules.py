"""The modules damon_reclaim, damon_lru_sort and damon_stat through a mount, on the physical memory of a described
pattern: nothing real is watched or reclaimed."""

import errno
import json
import subprocess
import time

import pytest

from conftest import PATIENCE, Mount, mounts_below, wait_until
from damon_tree import DAMONFS

MIB = 1 << 20
# 354 of 512 MiB are in use: 308 in 1,000 are free. Physical memory, from 4 GiB on: program, cold, hot, files.
PATTERN = """\
clock virtual
memory 512M
process 1
  map program 0x400000   2M
  map cold    0x10000000 256M
  map hot     0x40000000 32M
  map files   0x80000000 64M file
  phase 60s
    access program always
    access hot     always
"""
START = 4 << 30
COLD_START = START + 2 * MIB
END = START + 354 * MIB
COLD = 320 * MIB  # with the files
ALWAYS = {"wmarks_high": 1000, "wmarks_mid": 1000, "wmarks_low": 0}
NO_QUOTA = {"quota_ms": 0, "quota_sz": 0}
EAGER = ALWAYS | NO_QUOTA | {"min_age": 1000000}
NEVER = 3600 * 10**9


class Module:
    def __init__(self, mount, name):
        self.directory = mount.path / "module" / name / "parameters"

    def read(self, name):
        return (self.directory / name).read_text().removesuffix("\n")

    def number(self, name):
        return int(self.read(name))

    def write(self, **parameters):
        for name, value in parameters.items():
            (self.directory / name).write_text(str(value))

    def run(self, **parameters):
        self.write(**parameters)
        self.write(enabled="Y")
        assert self.read("enabled") == "Y"

    def refuses(self, name, value):
        """The number of the error that a write fails with."""
        with pytest.raises(OSError) as refused:
            self.write(**{name: value})
        return refused.value.errno

    def wait_for(self, name, least):
        wait_until(lambda: self.number(name) >= least, "for %s of %d" % (name, least))


@pytest.fixture
def mount(directory):
    mounted = Mount(directory, pattern=PATTERN)
    try:
        yield mounted
        assert mounted.end() == 0, mounted.log()
        assert mounts_below(directory) == []
    finally:
        mounted.close()


@pytest.fixture
def reclaim(mount):
    return Module(mount, "damon_reclaim")


def settled(module, name, least):
    """What the counter `name` has come to a while after it has reached `least`."""
    module.wait_for(name, least)
    time.sleep(1)
    return module.number(name)


def test_cold_memory_is_reclaimed_once_and_hot_memory_stays(reclaim):
    reclaim.run(**EAGER)
    # What is reclaimed of hot memory comes back at once, to be reclaimed again.
    assert settled(reclaim, "bytes_reclaimed_regions", 0.97 * COLD) <= 1.03 * COLD
    assert reclaim.number("nr_reclaimed_regions") > 0
    assert reclaim.number("bytes_reclaim_tried_regions") >= reclaim.number("bytes_reclaimed_regions")
    assert (reclaim.number("monitor_region_start"), reclaim.number("monitor_region_end")) == (START, END)
    assert reclaim.number("kdamond_pid") > 0
    reclaim.write(enabled="N")
    assert reclaim.read("enabled") == "N" and reclaim.read("kdamond_pid") == "-1"
    assert reclaim.number("bytes_reclaimed_regions") >= 0.97 * COLD, "counters stay"


def test_skip_anon_leaves_only_files(reclaim):
    reclaim.run(**EAGER, skip_anon="Y")
    assert settled(reclaim, "bytes_reclaimed_regions", 60 * MIB) <= 64 * MIB
    assert reclaim.number("bytes_reclaim_tried_regions") > 200 * MIB, "the rest was filtered out"


def test_quota_sz_bounds_each_window(reclaim):
    reclaim.run(**EAGER | {"quota_sz": MIB})
    # 60 s fly, a few more pass.
    assert 50 * MIB <= settled(reclaim, "bytes_reclaimed_regions", 50 * MIB) <= (60 + PATIENCE) * MIB
    assert reclaim.number("nr_quota_exceeds") >= 50


def test_quota_ms_bounds_each_window(reclaim):
    # A millisecond counts as 4 MiB where actions take no time.
    reclaim.run(**EAGER | {"quota_ms": 1, "quota_reset_interval_ms": 10000})
    assert settled(reclaim, "bytes_reclaimed_regions", 20 * MIB) <= 4 * (6 + PATIENCE / 10 + 1) * MIB
    assert reclaim.number("nr_quota_exceeds") >= 4


def test_a_region_of_memory_can_be_chosen(reclaim):
    region = {"monitor_region_start": COLD_START, "monitor_region_end": COLD_START + 64 * MIB}
    reclaim.run(**EAGER, **region)
    assert settled(reclaim, "bytes_reclaimed_regions", 64 * MIB) == 64 * MIB
    assert reclaim.number("monitor_region_start") == COLD_START


def test_addr_unit_scales_addresses_and_bytes(reclaim):
    reclaim.run(**EAGER, addr_unit=1024, monitor_region_start=COLD_START // 1024,
                monitor_region_end=(COLD_START + 64 * MIB) // 1024)
    assert settled(reclaim, "bytes_reclaimed_regions", 64 * 1024) == 64 * 1024


def test_above_the_high_watermark_nothing_happens(reclaim):
    reclaim.run(**EAGER | {"wmarks_interval": 100000, "wmarks_high": 300, "wmarks_mid": 250, "wmarks_low": 100})
    time.sleep(1.5)
    assert reclaim.number("nr_reclaim_tried_regions") == 0
    reclaim.write(**ALWAYS, commit_inputs="Y")
    reclaim.wait_for("bytes_reclaimed_regions", 0.9 * COLD)


def test_reclaiming_ends_at_the_high_watermark(reclaim):
    reclaim.run(min_age=1000000, quota_ms=0, quota_sz=MIB, quota_reset_interval_ms=100)
    # 500 in 1,000 of 512 MiB are free when 98 MiB are gone.
    assert 98 * MIB <= settled(reclaim, "bytes_reclaimed_regions", 98 * MIB) <= 101 * MIB


def test_below_the_low_watermark_nothing_happens(reclaim):
    reclaim.run(**EAGER | {"wmarks_interval": 100000, "wmarks_high": 900, "wmarks_mid": 800, "wmarks_low": 400})
    time.sleep(1.5)
    assert reclaim.number("nr_reclaim_tried_regions") == 0


def test_feedback_tunes_the_quota(reclaim):
    # Far from what is wanted: the quota grows each window, from next to nothing.
    reclaim.run(**EAGER | {"quota_sz": 8 * MIB, "quota_autotune_feedback": 1})
    reclaim.wait_for("bytes_reclaimed_regions", 100 * MIB)
    # Far too much of it: the least there can be.
    reclaim.write(quota_autotune_feedback=20000, commit_inputs="Y")
    time.sleep(1.5)
    before = reclaim.number("bytes_reclaim_tried_regions")
    time.sleep(2)
    assert reclaim.number("bytes_reclaim_tried_regions") - before <= MIB


def test_commit_inputs_changes_what_happens(reclaim):
    reclaim.run(**EAGER | {"min_age": NEVER})
    pid = reclaim.read("kdamond_pid")
    reclaim.write(min_age=200000)
    time.sleep(0.5)
    assert reclaim.number("nr_reclaim_tried_regions") == 0, "not before it is told to"
    reclaim.write(commit_inputs="Y")
    assert reclaim.read("commit_inputs") == "N"
    reclaim.wait_for("bytes_reclaimed_regions", 0.97 * COLD)
    assert reclaim.read("kdamond_pid") == pid


def test_a_commit_keeps_what_the_quota_has_spent(reclaim):
    reclaim.run(**EAGER | {"quota_sz": 8 * MIB, "quota_reset_interval_ms": 10**9})
    assert settled(reclaim, "bytes_reclaim_tried_regions", 8 * MIB) == 8 * MIB
    reclaim.write(min_age=500000, commit_inputs="Y")
    time.sleep(1)
    assert reclaim.number("bytes_reclaim_tried_regions") == 8 * MIB


def test_wrong_values_are_refused(reclaim):
    wrong = {"min_nr_regions": 2, "max_nr_regions": 5, "sample_interval": 200000, "monitor_region_start": END + 1,
             "addr_unit": 3}
    for name, value in wrong.items():
        good = reclaim.read(name)
        reclaim.write(**{name: value})
        assert reclaim.refuses("enabled", "Y") == errno.EINVAL, name
        assert reclaim.read("enabled") == "N" and reclaim.read("kdamond_pid") == "-1"
        reclaim.write(**{name: good})
    reclaim.run(**EAGER)
    for name, value in wrong.items():
        good = reclaim.read(name)
        reclaim.write(**{name: value})
        assert reclaim.refuses("commit_inputs", "Y") == errno.EINVAL, name
        assert reclaim.read("enabled") == "Y"
        reclaim.write(**{name: good})
    reclaim.wait_for("bytes_reclaimed_regions", 0.9 * COLD)
    for name in ("kdamond_pid", "nr_quota_exceeds"):
        assert reclaim.refuses(name, 0) == errno.EACCES
    assert reclaim.refuses("addr_unit", 0) == errno.EINVAL, "at once, as the kernel"
    assert reclaim.read("addr_unit") == "1"


def test_lru_sort_sorts_hot_and_cold(mount):
    lru_sort = Module(mount, "damon_lru_sort")
    lru_sort.run(**ALWAYS, quota_ms=0, cold_min_age=1000000, hot_thres_access_freq=800)
    lru_sort.wait_for("bytes_lru_sorted_hot_regions", 34 * MIB)
    lru_sort.wait_for("bytes_lru_sorted_cold_regions", 0.9 * COLD)
    assert lru_sort.number("nr_lru_sorted_hot_regions") > 0 < lru_sort.number("nr_lru_sort_tried_cold_regions")
    cold = lru_sort.number("bytes_lru_sort_tried_cold_regions")
    lru_sort.write(cold_min_age=NEVER, hot_thres_access_freq=1100, commit_inputs="Y")
    settled(lru_sort, "bytes_lru_sort_tried_cold_regions", cold)
    names = ("bytes_lru_sort_tried_cold_regions", "bytes_lru_sort_tried_hot_regions")
    before = [lru_sort.number(name) for name in names]
    time.sleep(0.5)
    assert [lru_sort.number(name) for name in names] == before, "nothing is hot or cold any more"


def test_lru_sort_may_ask_pages_whether_they_are_young(mount):
    lru_sort = Module(mount, "damon_lru_sort")
    lru_sort.run(**ALWAYS, quota_ms=0, cold_min_age=1000000, filter_young_pages="Y")
    lru_sort.wait_for("bytes_lru_sorted_hot_regions", 34 * MIB)
    lru_sort.wait_for("bytes_lru_sorted_cold_regions", 0.9 * COLD)


def test_stat_tells_how_long_memory_is_idle(mount):
    stat = Module(mount, "damon_stat")
    stat.run()
    stat.wait_for("aggr_interval_us", 1)

    def percentiles():
        return [int(ms) for ms in stat.read("memory_idle_ms_percentiles").split(",")]

    # All but 34 of 354 MiB are idle.
    wait_until(lambda: percentiles()[50] > 30000, "for memory to be idle for half a minute")
    idle = percentiles()
    assert len(idle) == 101 and idle == sorted(idle)
    assert idle[0] < 0 and idle[5] < 0 and idle[20] > 0
    # Accessed memory is seen once a sample, of which there are 20 an aggregation.
    expected = 34 * MIB * 20 * 10**6 / stat.number("aggr_interval_us")
    assert 0.5 * expected < stat.number("estimated_memory_bandwidth") < 2 * expected
    assert stat.refuses("aggr_interval_us", 1) == errno.EACCES


def test_modules_and_kdamonds_keep_apart(mount, reclaim):
    mount.tree.set_up([1])
    stat = Module(mount, "damon_stat")
    reclaim.run()
    assert stat.refuses("enabled", "Y") == errno.EBUSY
    with pytest.raises(OSError) as refused:
        mount.tree.command("on")
    assert refused.value.errno == errno.EBUSY
    reclaim.write(enabled="N")
    mount.tree.command("on")
    assert reclaim.refuses("enabled", "Y") == errno.EBUSY
    assert reclaim.read("enabled") == "N"
    mount.tree.command("off")
    stat.run()


def test_the_tree_watches_physical_memory_too(mount):
    tree = mount.tree
    tree.set_up([0])
    assert "paddr" in tree.read("0/contexts/0/avail_operations").split()
    tree.write("0/contexts/0/operations", "paddr")
    tree.set_regions(0, [(START, END)])
    tree.command("on")
    time.sleep(0.5)

    def hot_bytes():
        regions = tree.snapshot()["regions"]
        return sum(r["end"] - r["start"] for r in regions if r["nr_accesses"] >= 10)

    wait_until(lambda: abs(hot_bytes() - 34 * MIB) < 4 * MIB, "for the hot part to be found")


def test_pgrep_and_pidof_find_a_module_at_work(mount):
    # As the kernel's selftests reclaim.sh and lru_sort.sh look for it. The kernel itself may have kdamonds, too, and so may
    # other daemons: they are none of this tree's.
    look = "pgrep kdamond | wc -l; pidof kdamond.0 | wc -w;"
    parameters = "cd /sys/module/damon_reclaim/parameters;"
    done = subprocess.run([DAMONFS, "exec", "--mount", str(mount.path), "--", "sh", "-c",
                           parameters + look + "echo Y >enabled;" + look + "cat kdamond_pid; pgrep kdamond;"
                           "echo end; echo N >enabled;" + look], check=True, capture_output=True, text=True,
                          timeout=PATIENCE)
    words = done.stdout.split()
    before, running, pid, after = words[:2], words[2:4], words[4], words[-2:]
    assert (before, running, after) == (["0", "0"], ["1", "1"], ["0", "0"])
    assert words[5:words.index("end")] == [pid], done.stdout


def dump(mount):
    return subprocess.run([DAMONFS, "dump", str(mount.path)], capture_output=True, text=True, check=True,
                          timeout=PATIENCE).stdout


def test_a_dump_carries_modules(directory):
    first = Mount(directory, pattern=PATTERN)
    try:
        reclaim, lru_sort = Module(first, "damon_reclaim"), Module(first, "damon_lru_sort")
        lru_sort.write(cold_min_age=42, filter_young_pages="Y")
        reclaim.run(**EAGER | {"min_age": 1234567, "skip_anon": "Y"})
        dumped = dump(first)
        assert first.end() == 0
    finally:
        first.close()
    (directory / "config.yaml").write_text(dumped)
    again = Mount(directory, "--config", str(directory / "config.yaml"), pattern=PATTERN)
    try:
        wait_until(lambda: again.log().count(": serving; ") == 2, "for the configuration")
        assert reclaim.read("min_age") == "1234567" and reclaim.read("skip_anon") == "Y"
        assert reclaim.read("enabled") == "Y" and reclaim.read("kdamond_pid") != "-1"
        assert lru_sort.read("cold_min_age") == "42" and lru_sort.read("filter_young_pages") == "Y"
        assert lru_sort.read("enabled") == "N"
        assert dump(again) == dumped
        assert again.end() == 0, again.log()
    finally:
        again.close()


def test_simulate_says_what_reclaim_would_do(directory):
    config = "module/damon_reclaim/parameters:\n  enabled: Y\n" + "".join(
        "  %s: %s\n" % setting for setting in EAGER.items())
    (directory / "config.yaml").write_text(config)
    (directory / "pattern").write_text(PATTERN)
    said = subprocess.run([DAMONFS, "simulate", "config.yaml", "pattern", "--json"], cwd=directory, check=True,
                          capture_output=True, text=True, timeout=PATIENCE).stdout
    end = json.loads(said.splitlines()[-1])
    assert end["action"] == "pageout"
    assert 0.97 * COLD <= end["sz_applied"] <= 1.03 * COLD
    assert end["mapped_bytes"] == 354 * MIB and end["resident_bytes"] < 40 * MIB
    shown = subprocess.run([DAMONFS, "simulate", "config.yaml", "pattern"], cwd=directory, check=True,
                           capture_output=True, text=True, timeout=PATIENCE).stdout
    assert "physical memory" in shown
    (directory / "config.yaml").write_text(config + "module/damon_stat/parameters: {enabled: Y}\n")
    refused = subprocess.run([DAMONFS, "simulate", "config.yaml", "pattern"], cwd=directory, capture_output=True,
                             text=True, timeout=PATIENCE)
    assert refused.returncode != 0 and "EBUSY" in refused.stderr
