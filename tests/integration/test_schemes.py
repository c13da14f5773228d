"""Schemes act on real processes: memory goes, comes back and is spared as they say, and no byte is lost.

What is paged out needs swap: most of this is for the laboratory (scripts/lab/run idle --swap 512).
"""

import os
import pathlib
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from conftest import found_by_samples, has_swap, needs_swap, real_daemon  # noqa: E402
from damon_tree import comes_true  # noqa: E402
from toucher_client import resident, smaps_bytes  # noqa: E402

BACKEND = os.environ.get("DAMONFS_BACKEND", "auto")
MIB = 1 << 20
# Seconds within which what is cold is paged out; an emulated processor compresses for zram many times slower.
SOON = 30.0 if "DAMONFS_LAB" in os.environ else 10.0
# Long intervals, that leave an emulated processor to the work.
ATTRS = {"sample_us": 50000, "aggr_us": 500000}
NOT_ACCESSED = {"nr_accesses": (0, 0), "age": (1, 1 << 31)}  # for half a second


@pytest.fixture(scope="module")
def daemon():
    with real_daemon(BACKEND) as started:
        yield started


def test_the_targets_content_can_be_checked(make_target):
    target = make_target(4 * MIB)
    assert int(target.tell("check")["wrong"]) > 0
    target.tell("fill")
    target.hot(0, MIB)
    assert target.tell("check")["wrong"] == "0"


def wait_until(condition, seconds=SOON):
    return comes_true(condition, seconds)


def size(part):
    return part[1] - part[0]


def half(target, number):
    middle = target.range[0] + size(target.range) // 2
    return (target.range[0], middle) if number == 0 else (middle, target.range[1])


def start(tree, targets, *schemes, **attrs):
    """Watches the targets' memory, and nothing else of them, with these schemes."""
    tree.set_up([target.pid for target in targets], **ATTRS | attrs)
    tree.write("0/contexts/0/operations", "fvaddr")
    for i, target in enumerate(targets):
        tree.set_regions(i, [target.range])
    tree.write("0/contexts/0/schemes/nr_schemes", len(schemes))
    for number, scheme in enumerate(schemes):
        tree.set_scheme(number, **scheme)
    tree.command("on")


def stats(tree, scheme=0):
    tree.command("update_schemes_stats")
    return {name: int(tree.read("0/contexts/0/schemes/%d/stats/%s" % (scheme, name)))
            for name in ("nr_tried", "sz_tried", "nr_applied", "sz_applied", "qt_exceeds")}


@found_by_samples
@needs_swap
def test_pageout_takes_what_is_cold_and_willneed_brings_it_back(tree, make_target):
    target = make_target(256 * MIB)
    target.tell("fill")
    target.tell("rest", 20)
    hot = target.hot(0, 128 * MIB)
    cold = half(target, 1)
    start(tree, [target], {"action": "pageout", **NOT_ACCESSED})
    assert wait_until(lambda: resident(target, cold) <= 0.1 * size(cold)), resident(target, cold)
    assert resident(target, hot) >= 0.95 * size(hot)
    # What was applied is what went, and not once more each time.
    done = stats(tree)
    gone = size(cold) - resident(target, cold)
    assert 0.9 * gone <= done["sz_applied"] <= 1.2 * size(cold), (done, gone)
    assert done["sz_applied"] <= done["sz_tried"]

    tree.command("off")
    start(tree, [target], {"action": "willneed", "nr_accesses": (0, 0)})
    assert wait_until(lambda: swapped_in(target, cold) >= 0.95 * size(cold), 20)
    tree.command("off")
    assert target.tell("check")["wrong"] == "0"


def swapped_in(target, part):
    """Bytes of `part` that are mapped or wait in the swap cache: what reading them would not wait for."""
    in_swap = smaps_bytes(target.pid, "Swap", part)
    cached = [line.split()[1] for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
              if line.startswith("SwapCached:")]
    return size(part) - max(in_swap - int(cached[0]) * 1024, 0)


def huge(target):
    return smaps_bytes(target.pid, "AnonHugePages")


@pytest.mark.parametrize("action", ["collapse", "hugepage"])
def test_collapse_makes_huge_pages(tree, make_target, action):
    target = make_target(64 * MIB)
    target.tell("small")
    target.tell("fill")
    before = huge(target)
    assert before <= 32 * MIB  # khugepaged may have found some
    start(tree, [target], {"action": action})
    assert wait_until(lambda: huge(target) >= 56 * MIB), huge(target)
    # Counted when a batch is done; khugepaged may have been faster with some.
    assert wait_until(lambda: stats(tree)["sz_applied"] >= 40 * MIB - before), stats(tree)
    tree.command("off")
    assert target.tell("check")["wrong"] == "0"


# Filters: all is paged out but what they spare.


@needs_swap
def test_an_address_filter_spares_its_range_to_the_byte(tree, make_target):
    target = make_target(64 * MIB)
    spared = (target.range[0] + 16 * MIB, target.range[0] + 48 * MIB)
    start(tree, [target], {"action": "pageout", **NOT_ACCESSED,
                           "filters": [{"type": "addr", "matching": "Y", "allow": "N",
                                        "addr_start": spared[0], "addr_end": spared[1]}]})
    rest = [(target.range[0], spared[0]), (spared[1], target.range[1])]
    assert wait_until(lambda: sum(resident(target, part) for part in rest) <= 3 * MIB)
    assert resident(target, spared) == size(spared)


@needs_swap
def test_a_memcg_filter_spares_a_cgroup(tree, make_cgroup, make_target):
    spared, other = [make_target(64 * MIB, None, str(make_cgroup(name) / "cgroup.procs"))
                     for name in ("damonfs-spared", "damonfs-other")]
    start(tree, [spared, other], {"action": "pageout", **NOT_ACCESSED,
                                  "filters": [{"type": "memcg", "matching": "Y", "allow": "N",
                                               "memcg_path": "/damonfs-spared"}]})
    assert wait_until(lambda: resident(other) <= 6 * MIB)
    assert resident(spared) == size(spared.range)


@needs_swap
def test_an_anon_filter_spares_what_is_not_of_files(tree, make_target):
    file = pathlib.Path("/var/tmp/damonfs-test-file.%d" % os.getpid())
    try:
        file.write_bytes(os.urandom(MIB) * 34)
        os.sync()
        anon, mapped = make_target(32 * MIB), make_target(32 * MIB, file)
        if resident(mapped) < size(mapped.range):
            pytest.skip("a file's pages are not all mapped when they were read")
        start(tree, [anon, mapped], {"action": "pageout", **NOT_ACCESSED,
                                     "filters": [{"type": "anon", "matching": "Y", "allow": "N"}]})
        assert wait_until(lambda: resident(mapped) <= 3 * MIB), resident(mapped)
        assert resident(anon) == size(anon.range)
    finally:
        file.unlink()


@found_by_samples
@needs_swap
def test_a_young_filter_spares_what_was_accessed(tree, make_target):
    target = make_target(128 * MIB)
    target.tell("fill")
    target.tell("rest", 20)
    hot = target.hot(0, 64 * MIB)
    time.sleep(1)
    # Whatever monitoring thinks of them.
    start(tree, [target], {"action": "pageout", "age": (1, 1 << 31),
                           "filters": [{"type": "young", "matching": "Y", "allow": "N"}]})
    assert wait_until(lambda: resident(target, half(target, 1)) <= 7 * MIB, 3 * SOON), (resident(target, half(target, 1)), stats(tree))
    assert resident(target, hot) >= 0.9 * size(hot)
    tree.command("off")
    assert target.tell("check")["wrong"] == "0"


@needs_swap
def test_a_size_quota_holds_in_every_window(tree, make_target):
    target = make_target(128 * MIB)
    target.tell("fill")
    quota = 8 * MIB
    start(tree, [target], {"action": "pageout", **NOT_ACCESSED,
                           "quota": {"bytes": quota, "reset_interval_ms": 1000}})
    began, seen = time.monotonic(), []
    while time.monotonic() < began + 6:
        done = stats(tree)
        seen.append((time.monotonic() - began, done["sz_tried"]))
        time.sleep(0.1)
    for at, tried in seen:
        # A window may have ended just after the first and just before the last of them.
        assert tried <= quota * (int(at) + 2), (at, tried)
        for later, more in seen:
            if later > at:
                assert more - tried <= quota * (int(later - at) + 2), (at, later)
    assert seen[-1][1] >= 3 * quota
    assert stats(tree)["qt_exceeds"] > 0
    tree.command("off")
    assert target.tell("check")["wrong"] == "0"


def test_without_swap_nothing_that_was_not_paged_out_is_counted(tree, make_target):
    if has_swap:
        pytest.skip("this machine has swap")
    target = make_target(32 * MIB)
    start(tree, [target], {"action": "pageout", **NOT_ACCESSED})
    assert wait_until(lambda: stats(tree)["nr_tried"] > 0)
    time.sleep(0.5)
    done = stats(tree)
    assert done["sz_applied"] == 0 and done["nr_applied"] == 0, done
    assert resident(target) == size(target.range)


def test_watermarks_switch_schemes_off_and_on(tree, make_target):
    target = make_target(16 * MIB)
    marks = {"metric": "free_mem_rate", "interval_us": 100000, "high": 1, "mid": 1, "low": 0}
    start(tree, [target], {"action": "stat", "watermarks": marks})
    time.sleep(1)
    # More than a thousandth of this machine's memory is free: above the high mark, nothing is done.
    assert stats(tree)["nr_tried"] == 0
    for name, value in (("high", 1000), ("mid", 1000)):
        tree.write("0/contexts/0/schemes/0/watermarks/" + name, value)
    tree.command("commit")
    assert wait_until(lambda: stats(tree)["nr_tried"] > 0)


def test_a_target_that_dies_while_it_is_acted_on(tree, make_target):
    target, other = make_target(64 * MIB), make_target(64 * MIB)
    start(tree, [target, other], {"action": "cold"}, sample_us=5000, aggr_us=20000)
    assert wait_until(lambda: stats(tree)["nr_applied"] > 0)
    target.end()
    before = stats(tree)["sz_applied"]
    assert wait_until(lambda: stats(tree)["sz_applied"] > before + 128 * MIB)
    other.end()
    assert wait_until(lambda: not tree.running())
