"""Physical memory, watched and acted on as a whole: for the laboratory's guests only, as this acts on all processes.

The guest `idle` with swap has all of it (scripts/lab/run idle --swap 512), `damon` what needs no swap.
"""

import array
import contextlib
import mmap
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from conftest import found_by_samples, needs_swap  # noqa: E402
from damon_tree import DAMONFS, Daemon, biggest_system_ram, comes_true  # noqa: E402
from toucher_client import pagemap, resident  # noqa: E402

pytestmark = pytest.mark.skipif("DAMONFS_LAB" not in os.environ, reason="acts on the whole machine: in guests only")

BACKEND = os.environ.get("DAMONFS_BACKEND", "auto")
MIB = 1 << 20
PAGE = mmap.PAGESIZE
HUGE = 2 * MIB
SOON = 90.0
ATTRS = {"sample_us": 50000, "aggr_us": 500000, "update_us": 1000000}
NOT_ACCESSED = {"nr_accesses": (0, 0), "age": (1, 1 << 31)}


@pytest.fixture(autouse=True)
def memory_in_one_piece():
    """The tests before leave it scattered, and so many pieces no regions tell apart."""
    for name, value in (("drop_caches", "3"), ("compact_memory", "1")):
        with contextlib.suppress(OSError):
            (pathlib.Path("/proc/sys/vm") / name).write_text(value)


@pytest.fixture
def start_daemon():
    with contextlib.ExitStack() as stack:
        yield lambda *args: stack.enter_context(Daemon(BACKEND, *args))


def wait_until(condition, seconds=SOON):
    return comes_true(condition, seconds)


def frames(target, part=None):
    """The physical addresses of a target's memory, in as few ranges as can be."""
    ranges = []
    for frame in sorted(entry & (1 << 55) - 1 for entry in pagemap(target, part) if entry >> 63):
        if ranges and ranges[-1][1] == frame * PAGE:
            ranges[-1][1] += PAGE
        else:
            ranges.append([frame * PAGE, (frame + 1) * PAGE])
    return ranges


def start(tree, ranges, *schemes, unit=1, **attrs):
    tree.set_up([0], **ATTRS | attrs)
    context = "0/contexts/0/"
    tree.write(context + "operations", "paddr")
    tree.write(context + "addr_unit", unit)
    tree.set_regions(0, [(begin // unit, end // unit) for begin, end in ranges])
    tree.write(context + "schemes/nr_schemes", len(schemes))
    for number, scheme in enumerate(schemes):
        tree.set_scheme(number, **scheme)
    tree.command("on")


def stats(tree, scheme=0):
    tree.command("update_schemes_stats")
    names = ("nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed")
    return {name: int(tree.read("0/contexts/0/schemes/%d/stats/%s" % (scheme, name))) for name in names}


def heat(tree, ranges):
    """The mean share of samples that found the bytes of `ranges` accessed."""
    total = weighed = 0
    snapshot = tree.snapshot()
    for region in snapshot["regions"]:
        for begin, end in ranges:
            common = min(end, region["end"]) - max(begin, region["start"])
            if common > 0:
                total += common
                weighed += common * region["nr_accesses"] / snapshot["samples_per_aggregation"]
    return weighed / total if total else 0


def accessed(tree, ranges):
    """The share of the bytes of `ranges` that lie in regions with any access."""
    total = sum(end - begin for begin, end in ranges)
    found = 0
    for region in tree.snapshot()["regions"]:
        if region["nr_accesses"] > 0:
            found += sum(max(0, min(end, region["end"]) - max(begin, region["start"])) for begin, end in ranges)
    return found / total


def test_paddr_is_available_and_said(start_daemon):
    daemon = start_daemon("--protect", "comm=no such name")
    daemon.tree.set_up([0])
    assert daemon.tree.read("0/contexts/0/avail_operations").split() == ["vaddr", "fvaddr", "paddr"]
    assert wait_until(lambda: "paddr protects comm=no such name" in daemon.said(), 5), daemon.said()
    doctor = subprocess.run([DAMONFS, "doctor"], capture_output=True, text=True)
    assert "paddr, physical memory" in doctor.stdout


@found_by_samples
def test_what_is_hot_is_found_by_its_frames(start_daemon, make_target):
    target = make_target(64 * MIB)
    target.tell("huge")
    target.tell("fill")
    target.tell("rest", 20)
    hot_part = target.hot(0, 16 * MIB)
    daemon = start_daemon()
    hot = frames(target, hot_part)
    cold = frames(target, (hot_part[1], target.range[1]))
    ranges = sorted(hot + cold)
    assert len(ranges) < 400, "memory is too scattered to be told by regions"
    start(daemon.tree, ranges, {"action": "stat"}, max=2 * len(ranges) + 10)
    assert wait_until(lambda: heat(daemon.tree, hot) > 0.6 and heat(daemon.tree, cold) < 0.2), (
        heat(daemon.tree, hot), heat(daemon.tree, cold))
    daemon.tree.clear()


@found_by_samples
def test_a_spot_that_is_accessed_seldom_is_found_by_sweeps(start_daemon, make_target):
    """Of all the machine's memory 4 MiB are accessed three times a second: samples of 50 ms say nothing of that."""
    target = make_target(256 * MIB)
    target.tell("huge")
    target.tell("fill")
    target.tell("rest", 300)
    hot_part = target.hot(64 * MIB, 4 * MIB)
    daemon = start_daemon("--sweep", "5")
    hot = frames(target, hot_part)
    cold = frames(target, (hot_part[1] + 4 * MIB, target.range[1]))
    start(daemon.tree, [biggest_system_ram()], {"action": "stat"}, max=1000)
    assert wait_until(lambda: accessed(daemon.tree, hot) >= 0.9 and accessed(daemon.tree, cold) <= 0.1), (
        accessed(daemon.tree, hot), accessed(daemon.tree, cold))
    daemon.tree.clear()


def test_the_whole_machine_and_no_memory_at_all(start_daemon, make_target):
    daemon = start_daemon()
    start(daemon.tree, [(0, MIB), biggest_system_ram(), (1 << 42, (1 << 42) + (1 << 40))], {"action": "stat"})
    time.sleep(3)
    assert daemon.tree.running()
    assert heat(daemon.tree, [(1 << 42, (1 << 42) + (1 << 40))]) == 0
    daemon.tree.command("off")
    assert not daemon.tree.running()
    daemon.tree.clear()


@found_by_samples
@needs_swap
@pytest.mark.parametrize("unit", [1, 4096])
def test_pageout_takes_cold_frames_and_loses_no_byte(start_daemon, make_target, unit):
    target = make_target(128 * MIB)
    target.tell("fill")
    target.tell("rest", 20)
    hot = target.hot(0, 32 * MIB)
    cold = (hot[1], target.range[1])
    other = make_target(16 * MIB)
    daemon = start_daemon()
    start(daemon.tree, [biggest_system_ram()], {"action": "pageout", **NOT_ACCESSED,
                                        "filters": [{"type": "young", "matching": "Y", "allow": "N"}]}, unit=unit)
    assert wait_until(lambda: resident(target, cold) <= 0.2 * (cold[1] - cold[0])), (
        resident(target, cold), stats(daemon.tree), daemon.said())
    assert resident(target, hot) >= 0.8 * (hot[1] - hot[0])
    done = stats(daemon.tree)
    assert done["sz_applied"] * unit >= 0.8 * (cold[1] - cold[0])
    assert done["sz_applied"] <= done["sz_ops_filter_passed"]
    daemon.tree.clear()
    assert target.tell("check")["wrong"] == "0"
    assert other.process.poll() is None


def test_a_goal_of_what_a_node_has_of_the_memory(start_daemon, make_target):
    def quota(nid):
        return {"reset_interval_ms": 1000, "goal_tuner": "temporal", "goals/nr_goals": 1,
                "goals/0/target_metric": "node_eligible_mem_bp", "goals/0/nid": nid, "goals/0/target_value": 10000}

    target = make_target(32 * MIB)
    target.tell("fill")
    daemon = start_daemon()
    nodes = [int(path.name[4:]) for path in pathlib.Path("/sys/devices/system/node").glob("node[0-9]*")]
    # All of it is on one of the nodes, if only on that.
    start(daemon.tree, frames(target), *({"action": "stat", "quota": quota(nid)} for nid in [*nodes, 99]))
    assert wait_until(lambda: stats(daemon.tree, len(nodes))["nr_tried"] > 0), "none is on node 99: all is tried"
    reached = [stats(daemon.tree, number)["nr_tried"] == 0 for number in range(len(nodes))]
    assert sum(reached) == 1, reached


@needs_swap
def test_protected_processes_and_dry_runs_are_left_alone(start_daemon, make_target):
    spared, taken = make_target(24 * MIB), make_target(24 * MIB)
    scheme = {"action": "pageout"}
    dry = start_daemon("--dry-run")
    start(dry.tree, frames(taken)[:500], scheme)
    assert wait_until(lambda: stats(dry.tree)["sz_applied"] > 0)
    assert resident(taken) == taken.range[1] - taken.range[0]
    dry.close()
    daemon = start_daemon("--protect", "pid=%d" % spared.pid)
    start(daemon.tree, [biggest_system_ram()], scheme)
    assert wait_until(lambda: resident(taken) <= 4 * MIB), (resident(taken), stats(daemon.tree), daemon.said())
    assert resident(spared) == spared.range[1] - spared.range[0]
    daemon.tree.clear()


@needs_swap
def test_a_memcg_filter_by_frames(start_daemon, make_cgroup, make_target):
    inside = make_target(24 * MIB, None, str(make_cgroup("damonfs-paddr") / "cgroup.procs"))
    outside = make_target(24 * MIB)
    daemon = start_daemon()
    start(daemon.tree, [biggest_system_ram()],
          {"action": "pageout", "filters": [{"type": "memcg", "matching": "Y", "allow": "Y",
                                             "memcg_path": "/damonfs-paddr"}]})
    assert wait_until(lambda: resident(inside) <= 4 * MIB), (resident(inside), stats(daemon.tree), daemon.said())
    assert resident(outside) == outside.range[1] - outside.range[0]
    daemon.tree.clear()


def flags_of(target):
    """Flags of the frames of a target's memory, as many as are there."""
    found = []
    with open("/proc/kpageflags", "rb") as file:
        for begin, end in frames(target):
            file.seek(begin // PAGE * 8)
            part = array.array("Q")
            part.frombytes(file.read((end - begin) // PAGE * 8))
            found += part
    return found


@pytest.fixture
def no_huge_pages():
    """Nor khugepaged, which would move memory to other frames."""
    enabled = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    chosen = re.search(r"\[(\w+)\]", enabled.read_text()).group(1)
    enabled.write_text("never")
    yield
    enabled.write_text(chosen)


@pytest.mark.parametrize("action", ["lru_prio", "lru_deprio"])
def test_lru_actions_are_applied(start_daemon, make_target, no_huge_pages, action):
    target = make_target(16 * MIB)
    daemon = start_daemon()
    ranges = frames(target)[:900]  # of one page each, should memory be scattered so much
    half = sum(end - begin for begin, end in ranges) // 2
    start(daemon.tree, ranges, {"action": action}, max=2000)
    assert wait_until(lambda: stats(daemon.tree)["sz_applied"] >= half), (stats(daemon.tree), daemon.said())
    if action == "lru_prio":
        # For a moment: pte samples a page by calling it cold.
        def marked():
            return sum(1 for flags in flags_of(target) if flags & (1 << 6 | 1 << 2))
        assert wait_until(lambda: marked() >= half // PAGE), (marked(), half // PAGE)
    daemon.tree.clear()


def on_node(target, node):
    """Bytes of a target's memory that are on a node."""
    for line in pathlib.Path("/proc/%d/numa_maps" % target.pid).read_text().splitlines():
        words = line.split()
        if int(words[0], 16) <= target.range[0] and ("N%d=" % node) in line and "anon=" in line:
            found = sum(int(word.split("=")[1]) for word in words if word.startswith("N%d=" % node)) * PAGE
            size = next((int(word.split("=")[1]) for word in words if word.startswith("anon=")), 0) * PAGE
            if size >= target.range[1] - target.range[0]:
                return found
    return 0


@found_by_samples
@pytest.mark.skipif(not pathlib.Path("/sys/devices/system/node/node1").exists(), reason="wants two nodes (--numa 2)")
def test_migrate_moves_hot_and_cold_frames_to_a_node(start_daemon, make_target, no_huge_pages):
    hot, cold = make_target(16 * MIB), make_target(16 * MIB)
    hot.hot(0, 16 * MIB)
    cold.tell("fill")
    assert on_node(hot, 0) >= 16 * MIB and on_node(cold, 0) >= 16 * MIB  # all processors are there
    daemon = start_daemon()
    ranges = sorted(frames(hot)[:400] + frames(cold)[:400])
    # The cold go, the hot stay.
    start(daemon.tree, ranges, {"action": "migrate_cold", "target_nid": 1, **NOT_ACCESSED}, max=2000)
    assert wait_until(lambda: on_node(cold, 1) >= 14 * MIB), (on_node(cold, 1), stats(daemon.tree), daemon.said())
    assert on_node(hot, 1) <= 4 * MIB
    assert stats(daemon.tree)["sz_applied"] >= 14 * MIB
    daemon.tree.clear()
    assert cold.tell("check")["wrong"] == "0"
    # And the hot follow.
    start(daemon.tree, sorted(frames(hot)[:800]),
          {"action": "migrate_hot", "target_nid": 1, "nr_accesses": (1, (1 << 32) - 1)}, max=2000)
    assert wait_until(lambda: on_node(hot, 1) >= 14 * MIB), (on_node(hot, 1), stats(daemon.tree), daemon.said())
    daemon.tree.clear()
