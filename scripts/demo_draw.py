#!/usr/bin/python3
"""Draws, for scripts/demo.sh, what `damonfs watch --json` finds on a workload, and what was true.

usage: damonfs watch --json ... | scripts/demo_draw.py WORKLOAD-OUTPUT
The workload's memory goes from left to right and time from top to bottom. Brackets
stand where the workload says that its hot part is; marks are what monitoring found.
"""

import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import score  # noqa: E402

ASCII = ".:-=+*%#@"
COLOURS = (236, 18, 55, 90, 125, 160, 202, 214, 229)
SETTLE = 3.0


def level(share):
    """0 for no access, 1 to 8 for eighths of the samples, rounded up."""
    return min(8, int(-(-share * 8 // 1))) if share > 0 else 0


def shares(snapshot, whole, width):
    """Of each column: the mean share of samples that found its bytes accessed; None if not watched."""
    step = (whole[1] - whole[0]) / width
    heat, watched = [0.0] * width, [0.0] * width
    for region in snapshot["regions"]:
        for start, end in score.common([(region["start"], region["end"])], [whole]):
            share = min(region["nr_accesses"] / snapshot["samples_per_aggregation"], 1)
            for i in range(int((start - whole[0]) / step), width):
                left = whole[0] + i * step
                overlap = min(end, left + step) - max(start, left)
                if overlap <= 0:
                    break
                heat[i] += overlap * share
                watched[i] += overlap
    return [h / w if w else None for h, w in zip(heat, watched)]


def row(snapshot, truth, whole, width, colour):
    """One line of cells, with brackets around what is hot."""
    cells = []
    for share in shares(snapshot, whole, width):
        if share is None:
            cells.append(" ")
        elif colour:
            cells.append("\x1b[48;5;%dm \x1b[0m" % COLOURS[level(share)])
        else:
            cells.append(ASCII[level(share)])
    start, end = truth
    step = (whole[1] - whole[0]) / width
    opens, closes = round((start - whole[0]) / step), round((end - whole[0]) / step)
    between = [""] * (width + 1)
    between[opens] += "["
    between[closes] += "]"
    return "".join(mark + cell for mark, cell in zip(between, cells + [""]))


def main():
    width = min(shutil.get_terminal_size((80, 24)).columns - 54, 128)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    snapshots = []
    for line in sys.stdin:
        snapshot = json.loads(line)
        whole, truths = score.read_workload(pathlib.Path(sys.argv[1]).read_text().splitlines())
        now = [truth for truth in truths if truth.since <= snapshot["monotonic"]]
        if not whole or not now:
            continue
        if not snapshots:
            print("%s of the workload's memory, a column is %s; [ ] its hot part; %s" % (
                score.human(whole[1] - whole[0]), score.human((whole[1] - whole[0]) / width),
                "the lighter the hotter" if colour else "heat from . (none) over :-=+*%# to @"))
        snapshots.append(snapshot)
        found = score.score(now[-1].ranges, score.hot_ranges(snapshot, within=whole))
        print("%5.1f s  %s  found %5.1f MiB, precision %.2f, recall %.2f" % (
            snapshot["elapsed"], row(snapshot, now[-1].ranges[0], whole, width, colour),
            found.found_bytes / (1 << 20), found.precision, found.recall), flush=True)
    if not snapshots:
        sys.exit("demo: there was nothing to draw")
    print(score.sentence(whole, truths, snapshots, SETTLE, score.HOT_SHARE))


if __name__ == "__main__":
    main()
