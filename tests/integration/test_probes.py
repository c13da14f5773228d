"""Probes through the tree, on a described access pattern: half of the memory is of a file, a part of the rest hot."""

import os
import subprocess
import time

import pytest

from conftest import PATIENCE, wait_until
from damon_tree import DAMONFS, Daemon

PATTERN = """\
process *
  map heap 0x10000000 8M
  map file 0x10800000 8M file
  phase 60s
    access heap 0 2M always
"""
MIB = 1 << 20
START = 0x10000000
HOT, HEAP, FILE = (START, START + 2 * MIB), (START, START + 8 * MIB), (START + 8 * MIB, START + 16 * MIB)
SAMPLES = 10
CONTEXT = "0/contexts/0/"
PROBES = CONTEXT + "monitoring_attrs/probes/"
TRIED = CONTEXT + "schemes/0/tried_regions/"


@pytest.fixture
def tree(directory):
    (directory / "pattern").write_text(PATTERN)
    with Daemon("synthetic:%s" % (directory / "pattern")) as daemon:
        daemon.tree.set_up([1], sample_us=5000, aggr_us=5000 * SAMPLES)
        daemon.tree.write(CONTEXT + "operations", "fvaddr")
        daemon.tree.set_regions(0, [(START, START + 16 * MIB)])
        yield daemon.tree


def set_probes(tree, *probes):
    """Each (weight, preparations, filters of (type, allow))."""
    tree.write(PROBES + "nr_probes", len(probes))
    for number, (weight, nr_preps, filters) in enumerate(probes):
        probe = PROBES + "%d/" % number
        tree.write(probe + "weight", weight)
        tree.write(probe + "preps/nr_preps", nr_preps)
        tree.write(probe + "filters/nr_filters", len(filters))
        for i, (kind, allow) in enumerate(filters):
            for name, value in (("type", kind), ("matching", "Y"), ("allow", allow)):
                tree.write(probe + "filters/%d/%s" % (i, name), value)


def snapshot(tree):
    """[(start, end, nr_accesses, [hits])] of all regions."""
    tree.command("update_schemes_tried_regions")
    regions = []
    for number, region in enumerate(tree.regions()):
        probes = TRIED + "%d/probes" % number
        names = sorted(os.listdir(tree.kdamonds / probes), key=int)
        hits = [int(tree.read("%s/%s/hits" % (probes, name))) for name in names]
        regions.append((region["start"], region["end"], region["nr_accesses"], hits))
    return regions


def within(regions, part):
    return [region for region in regions if part[0] <= region[0] and region[1] <= part[1]]


def test_hits_of_each_probe(tree):
    set_probes(tree, (0, 0, [("anon", "Y")]), (0, 0, [("anon", "N")]), (0, 0, [("pgidle_unset", "Y")]))
    tree.command("on")

    def settled():
        regions = snapshot(tree)
        return (within(regions, HOT) and within(regions, FILE)
                and all(hits == [SAMPLES, 0, n] for _, _, n, hits in within(regions, HEAP))
                and all(hits == [0, SAMPLES, n] for _, _, n, hits in within(regions, FILE)))

    wait_until(settled, "for hits that are as the memory is")


def test_weights_find_the_border(tree):
    """Accesses are not monitored, and regions meet where the kind of memory changes."""
    set_probes(tree, (100, 0, [("anon", "Y")]))
    tree.command("on")

    def close():
        regions = snapshot(tree)
        assert all(region[2] == 0 for region in regions)
        mixed = [end - start for start, end, _, hits in regions if 0 < hits[0] < SAMPLES]
        return within(regions, HEAP) and within(regions, FILE) and sum(mixed) < MIB

    wait_until(close, "for the border")


def test_accesses_as_an_attribute(tree):
    """Pages are made idle by the probe, as nobody monitors accesses."""
    set_probes(tree, (1, 1, [("pgidle_unset", "Y")]))
    tree.command("on")

    def hot():
        regions = snapshot(tree)
        full = [end - start for start, end, n, hits in regions if hits == [SAMPLES] and n == 0]
        none = [end - start for start, end, _, hits in regions if hits == [0]]
        return 1.5 * MIB < sum(full) <= 2 * MIB and sum(none) > 13 * MIB

    wait_until(hot, "for the hot part to be found by probe hits")


def test_schemes_are_for_regions_with_hits(tree):
    set_probes(tree, (1, 0, [("anon", "Y")]))
    filters = CONTEXT + "schemes/0/core_filters/"
    tree.write(filters + "nr_filters", 1)
    for name, value in (("type", "probe_hits_wsum"), ("matching", "Y"), ("allow", "Y"), ("min", SAMPLES),
                        ("max", SAMPLES)):
        tree.write(filters + "0/" + name, value)
    tree.command("on")
    wait_until(lambda: within(snapshot(tree), HEAP), "for the heap")
    assert not within(snapshot(tree), FILE)


def test_probes_change_on_line(tree):
    tree.command("on")
    assert all(hits == [] for *_, hits in snapshot(tree))
    set_probes(tree, (0, 0, [("anon", "Y")]))
    tree.command("commit")
    time.sleep(0.1)
    wait_until(lambda: any(hits == [SAMPLES] for *_, hits in snapshot(tree)), "for hits")
    set_probes(tree)
    tree.command("commit")
    assert all(hits == [] for *_, hits in snapshot(tree))


def test_what_cannot_be_honoured_is_refused(tree):
    sample = CONTEXT + "monitoring_attrs/sample/"
    for path, value in ((sample + "primitives/page_table", "N"), (sample + "primitives/page_fault", "Y"),
                        (CONTEXT + "operations_attrs/use_reports", "Y"), (CONTEXT + "operations_attrs/cpus", "0"),
                        (CONTEXT + "operations_attrs/write_only", "Y"), (CONTEXT + "operations_attrs/tids", "1")):
        with pytest.raises(OSError, match="Invalid argument"):
            tree.write(path, value)
    tree.write(sample + "filters/nr_filters", 1)
    for name in ("matching", "allow"):
        tree.write(sample + "filters/0/" + name, "Y")
    with pytest.raises(OSError, match="Invalid argument"):
        tree.command("on")  # writes only, which nobody tells from reads
    tree.write(sample + "filters/nr_filters", 0)
    tree.command("on")


def test_a_dump_makes_the_same_probes(tree, directory):
    set_probes(tree, (7, 1, [("pgidle_set", "N"), ("hugepage_size", "Y")]))
    tree.write(PROBES + "0/filters/1/max", 2 * MIB)
    tree.write(CONTEXT + "schemes/0/quotas/goals/nr_goals", 1)
    tree.write(CONTEXT + "schemes/0/quotas/goals/0/complement", "Y")
    tree.write(CONTEXT + "monitoring_attrs/sample/filters/nr_filters", 1)

    def dump(mount):
        return subprocess.run([DAMONFS, "dump", str(mount)], capture_output=True, text=True, check=True,
                              timeout=PATIENCE).stdout

    text = dump(tree.kdamonds.parents[4])
    assert "prep_action: set_pgidle" in text and "complement: Y" in text
    (directory / "config.yaml").write_text(text)
    with Daemon("synthetic:%s" % (directory / "pattern"), "--config", str(directory / "config.yaml")) as second:
        wait_until(lambda: dump(second.directory) == text, "for the same tree")
