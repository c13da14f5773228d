"""What a kdamond on a described process does, seen through the tree."""

import os

import pytest

from conftest import SANITIZED, THREE_MAPPINGS, Mount, wait_until
from damon_tree import resident_bytes

MIB = 1 << 20
MANY = 10000  # regions that are asked for


@pytest.fixture
def mount(directory):
    mounted = Mount(directory, pattern=THREE_MAPPINGS)
    yield mounted
    mounted.close()


def test_the_goal_tunes_the_intervals(mount):
    """Next to nothing is to be seen accessed: that takes the shortest intervals that are allowed."""
    tree = mount.tree
    tree.set_up([1], sample_us=5000, aggr_us=20000)
    intervals = "0/contexts/0/monitoring_attrs/intervals/"
    for name, value in (("access_bp", 1), ("aggrs", 2), ("min_sample_us", 1000), ("max_sample_us", 10000)):
        tree.write(intervals + "intervals_goal/" + name, value)
    tree.command("on")

    def tuned():
        tree.command("update_tuned_intervals")
        return [int(tree.read(intervals + name)) for name in ("sample_us", "aggr_us")]

    wait_until(lambda: tuned() == [1000, 4000], "for the shortest intervals")


@pytest.mark.skipif(SANITIZED, reason="sanitizers have memory of their own")
def test_many_regions_take_little_memory(mount):
    mount.tree.set_up([1], min=MANY, max=MANY + 1000)
    mount.tree.command("on")

    def regions():
        mount.tree.command("update_schemes_tried_regions")
        return len(os.listdir(mount.tree.kdamonds / "0/contexts/0/schemes/0/tried_regions"))

    wait_until(lambda: regions() > 0.94 * MANY, "for the regions")
    for _ in range(20):  # in turn by several threads
        regions()
    assert resident_bytes(mount.process.pid) <= 20 * MIB
