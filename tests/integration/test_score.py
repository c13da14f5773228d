"""The scoring that tests, demo and benchmarks share."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import score  # noqa: E402


def snapshot(*regions, time=0.0):
    return {"monotonic": time, "samples_per_aggregation": 20,
            "regions": [{"start": s, "end": e, "nr_accesses": n, "age": 0} for s, e, n in regions]}


def test_common_addresses():
    assert score.common([(0, 10), (20, 30)], [(5, 25)]) == [(5, 10), (20, 25)]
    assert score.common([(0, 10)], [(10, 20)]) == []
    assert score.common([(0, 5), (3, 10)], [(0, 10)]) == [(0, 10)]


def test_hot_is_what_half_of_the_samples_find_accessed():
    found = score.hot_ranges(snapshot((0, 10, 9), (10, 20, 10), (20, 30, 20), (30, 40, 0)))
    assert found == [(10, 30)]
    assert score.hot_ranges(snapshot((0, 10, 4), (10, 20, 8), (20, 30, 1))) == []
    assert score.hot_ranges(snapshot((0, 10, 20)), within=(4, 6)) == [(4, 6)]
    assert score.hot_ranges(snapshot((0, 10, 20), (10, 20, 16)), within=(10, 20)) == [(10, 20)]


def test_where_everything_is_cold_nothing_is_hot():
    assert score.hot_ranges(snapshot((0, 10, 0)), share=0) == []
    assert score.hot_ranges(snapshot((0, 10, 2), (10, 20, 1))) == []
    assert score.hot_ranges(snapshot()) == []


def test_precision_and_recall_are_of_bytes():
    result = score.score([(100, 200)], [(150, 250)])
    assert (result.precision, result.recall) == (0.5, 0.5)
    assert score.score([(100, 200)], []).recall == 0
    assert score.score([], []).precision == 1


def test_a_workload_tells_the_truth_in_lines():
    whole, truths = score.read_workload(["ready pid=7 start=0x1000 end=0x9000\n",
                                         "hot start=0x1000 end=0x2000 at=10500000000\n",
                                         "hot start=0x5000 end=0x6000 at=15500000000\n"])
    assert whole == (0x1000, 0x9000)
    assert [(t.since, t.ranges) for t in truths] == [(10.5, [(0x1000, 0x2000)]),
                                                      (15.5, [(0x5000, 0x6000)])]


def test_only_snapshots_of_settled_parts_count():
    truths = [score.Truth(10, [(0, 10)]), score.Truth(20, [(50, 60)])]
    snapshots = [snapshot((0, 10, 20), time=t) for t in (11, 14, 19, 21, 24)]
    scores = score.settled((0, 100), truths, snapshots, 3, 0.5)
    assert [[s.recall for s in of_one] for of_one in scores] == [[1, 1], [0]]
    said = score.sentence((0, 100 << 20), truths, snapshots, 3, 0.5)
    assert "100% of what was hot" in said and "0% of what was hot" in said


def test_without_snapshots_it_says_so():
    assert "no snapshot" in score.sentence((0, 1), [score.Truth(0, [(0, 1)])], [], 3, 0.5)


@pytest.mark.parametrize("values,result", [([1], 1), ([3, 1, 2], 2), ([4, 1, 2, 3], 2.5)])
def test_median(values, result):
    assert score.median(values) == result
