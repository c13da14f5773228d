#!/usr/bin/python3
"""Holds what monitoring found against what was true.

Truth is what tests/workload prints of itself; what was found are snapshots as
`damonfs watch --json` prints them. Precision is the part of the bytes found hot
that is hot, recall the part of the hot bytes that was found.

usage: tests/score.py WORKLOAD-OUTPUT SNAPSHOTS [--settle SECONDS] [--share SHARE]
says in a sentence or two how well the hot part was found.
"""

import argparse
import dataclasses
import json
import sys

# A region is called hot when at least half of its samples found it accessed: of a
# region that lies across the border of the hot part, less than half do when less
# than half of it is hot.
HOT_SHARE = 0.5


@dataclasses.dataclass
class Truth:
    """From `since` on (seconds of CLOCK_MONOTONIC) these [start, end) were hot."""
    since: float
    ranges: list


@dataclasses.dataclass
class Score:
    true_bytes: int
    found_bytes: int
    both_bytes: int

    @property
    def precision(self):
        """1 when nothing was found: then nothing was found wrongly."""
        return self.both_bytes / self.found_bytes if self.found_bytes else 1.0

    @property
    def recall(self):
        return self.both_bytes / self.true_bytes if self.true_bytes else 1.0


def size_of(ranges):
    return sum(end - start for start, end in ranges)


def joined(ranges):
    """The same addresses as ranges that ascend and do not touch."""
    result = []
    for start, end in sorted(ranges):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        elif start < end:
            result.append((start, end))
    return result


def common(left, right):
    """The addresses in both, as ranges."""
    left, right, result = joined(left), joined(right), []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            result.append((start, end))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return result


def hot_ranges(snapshot, share=HOT_SHARE, within=None):
    """What a snapshot calls hot; where a range is given, of what lies within it."""
    whole = within or (0, 1 << 64)
    regions = [region for region in snapshot["regions"]
               if region["start"] < whole[1] and whole[0] < region["end"]]
    enough = max(share * snapshot["samples_per_aggregation"], 1)
    return common([(region["start"], region["end"]) for region in regions
                   if region["nr_accesses"] >= enough], [whole])


def score(true_ranges, found_ranges):
    return Score(size_of(joined(true_ranges)), size_of(joined(found_ranges)),
                 size_of(common(true_ranges, found_ranges)))


def fields(line):
    """`word key=value key=value ...` as (word, {key: value}); addresses become numbers."""
    word, *pairs = line.split()
    values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return word, values


def number(text):
    """Addresses are hexadecimal with 0x or decimal without."""
    return int(text, 0)


def read_workload(lines):
    """(whole range, [Truth...]) of a workload's lines."""
    whole, truths = None, []
    for line in lines:
        if not line.strip():
            continue
        word, values = fields(line)
        if word == "ready":
            whole = (number(values["start"]), number(values["end"]))
        elif word == "hot":
            ranges = [(number(values["start"]), number(values["end"]))]
            truths.append(Truth(int(values["at"]) / 1e9, ranges))
    return whole, truths


def human(size):
    return "%.1f MiB" % (size / (1 << 20))


def settled(whole, truths, snapshots, settle, share):
    """The scores, within the workload's memory, of snapshots taken when a hot part had been hot for
    `settle` seconds; a list for each truth."""
    scores = [[] for _ in truths]
    for snapshot in snapshots:
        for i, truth in enumerate(truths):
            until = truths[i + 1].since if i + 1 < len(truths) else float("inf")
            if truth.since + settle <= snapshot["monotonic"] < until:
                scores[i].append(score(truth.ranges, hot_ranges(snapshot, share, whole)))
    return scores


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def sentence(whole, truths, snapshots, settle, share):
    """What was found against what was true, in words."""
    parts = []
    for i, (truth, scores) in enumerate(zip(truths, settled(whole, truths, snapshots, settle, share))):
        if not scores:
            continue
        start, end = truth.ranges[0]
        parts.append(
            "hot part %d, %s at %#x: found %s, of which %.0f%% was hot (precision), and %.0f%% of "
            "what was hot (recall)" % (
                i + 1, human(end - start), start, human(median([s.found_bytes for s in scores])),
                100 * median([s.precision for s in scores]),
                100 * median([s.recall for s in scores])))
    if not parts:
        return "There was no snapshot at which the hot part had been hot for %g s." % settle
    return "Of %s, medians from %g s after each move on:\n  " % (human(size_of([whole])), settle) + \
        "\n  ".join(parts)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("workload", type=argparse.FileType())
    parser.add_argument("snapshots", type=argparse.FileType())
    parser.add_argument("--settle", type=float, default=3.0)
    parser.add_argument("--share", type=float, default=HOT_SHARE)
    options = parser.parse_args()
    whole, truths = read_workload(options.workload)
    if not whole:
        sys.exit("score: the workload has not said where its memory is")
    snapshots = [json.loads(line) for line in options.snapshots if line.strip()]
    print(sentence(whole, truths, snapshots, options.settle, options.share))


if __name__ == "__main__":
    main()
