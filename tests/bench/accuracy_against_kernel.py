#!/usr/bin/python3
"""How right the kernel's DAMON, ours with `--sweep 0` and ours as it is by default are about the same programs, in turn.

Runs in a guest of the laboratory (it switches the kernel's DAMON on): see scripts/bench.sh. Prints a row of a table for
each program and side: precision and recall (medians over the second half of the snapshots), when the recall was 0.9 for
the first time, and the kdamond's processor time beside the kernel's. Found is what was accessed at all in an aggregation
interval. Attributes are the defaults: 5 ms, 100 ms, 10 to 1,000 regions.
"""

import argparse
import collections
import contextlib
import math
import os
import pathlib
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import score  # noqa: E402
from damon_tree import Daemon, KernelTree, WORKLOAD, cpu_seconds, for_emulated_processors  # noqa: E402

ENOUGH = 0.9  # recall at which a hot part counts as found

MIDST = ["--size", "256M", "--offset", "100M", "--no-huge"]
CASES = {
    "16 of 256 MiB, touched all the time": [*MIDST, "--hot", "16M"],
    "the same, in huge pages": ["--size", "256M", "--offset", "96M", "--hot", "16M", "--huge"],
    "the same, of a forked pair that reads": [*MIDST, "--hot", "16M", "--fork", "--read"],
    "16 of 256 MiB, which move each 10 s": [*MIDST, "--hot", "16M", "--move-every", "10s"],
    "20 of 256 MiB, a page 10 times a second": [*MIDST, "--hot", "20M", "--rate", "10"],
    "the same, 3 times a second": [*MIDST, "--hot", "20M", "--rate", "3"],
    "the same, once a second": [*MIDST, "--hot", "20M", "--rate", "1"],
    "sixteen spots of 128 KiB in 1 GiB": ["--size", "1G", "--hot", "2M", "--spots", "16", "--offset", "5M",
                                          "--loop-sleep-us", "1000", "--no-huge"],
}


class Workload:
    """A workload, and what is hot in it now."""

    def __init__(self, words):
        self.process = subprocess.Popen([WORKLOAD, *words], stdout=subprocess.PIPE, text=True)
        self.whole, _ = score.read_workload([self.process.stdout.readline()])
        self.hot = []  # [start, end), all from the same moment on
        self.began = threading.Event()
        threading.Thread(target=self.follow, daemon=True).start()
        self.began.wait()

    def follow(self):
        spots, last = [], 0.0
        for line in self.process.stdout:
            _, truths = score.read_workload([line])
            for truth in truths:
                if truth.since - last > 0.5:
                    spots = []
                spots = [*spots, *truth.ranges]
                last = truth.since
                self.hot = spots
                self.began.set()

    def end(self):
        self.process.kill()
        self.process.wait()


# Of one side: `found_after` in seconds, infinite for never; `cpu` is the kdamond's share of a processor.
Run = collections.namedtuple("Run", "precision recall found_after cpu")


def watch(tree, workload, seconds):
    tree.set_up([workload.process.pid])
    tree.command("on")
    try:
        began = time.monotonic()
        tid = tree.read("0/pid")
        task = "/proc/%s/task/%s" % (tid, tid)
        scores, found_after = [], math.inf
        while time.monotonic() < began + seconds:
            time.sleep(0.5)
            taken = tree.snapshot()
            if not taken["regions"]:
                continue  # the kernel of 6.12 gives up on a scheme that was not applied in time
            found = score.hot_ranges(taken, 0, workload.whole)  # accessed at all
            scores.append(score.score(workload.hot, found))
            if scores[-1].recall >= ENOUGH:
                found_after = min(found_after, taken["monotonic"] - began)
        cpu = cpu_seconds(task) / (time.monotonic() - began)
        late = scores[len(scores) // 2:]
        return Run(score.median([s.precision for s in late]), score.median([s.recall for s in late]), found_after, cpu)
    finally:
        tree.clear()


def row(case, side, runs, kernel_cpu):
    found = score.median([run.found_after for run in runs])
    print("| %s | %s | %.2f | %.2f | %s | %.1f |" % (
        case, side, score.median([run.precision for run in runs]), score.median([run.recall for run in runs]),
        "never" if found == math.inf else "%.1f s" % found, score.median([run.cpu for run in runs]) / kernel_cpu), flush=True)


def sides(options, stack):
    """(name, tree) of the kernel's and of ours."""
    yield "kernel", KernelTree(options.kernel)
    for name, sweep in (("`--sweep 0`", "0"), ("damonfs", "1")):
        daemon = stack.enter_context(Daemon(options.backend, "--sweep", sweep))
        daemon.tree.at_once = True
        yield name, daemon.tree


def compare(case, words, options):
    workload = Workload(words)
    try:
        with contextlib.ExitStack() as stack:
            trees = list(sides(options, stack))
            runs = {name: [] for name, _ in trees}
            for _ in range(options.runs):
                for name, tree in trees:
                    runs[name].append(watch(tree, workload, options.seconds))
        kernel_cpu = score.median([run.cpu for run in runs["kernel"]])
        for name, _ in trees:
            row(case, name, runs[name], kernel_cpu)
    finally:
        workload.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="auto", help="ours")
    parser.add_argument("--kernel", default="/sys", help="where the kernel's tree is")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="the programs whose description has this in it")
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("accuracy_against_kernel: only in a guest of the laboratory: see scripts/bench.sh")
    print("%s, backend %s, %d runs of %.0f s\n| program | | precision | recall | found | processor |\n|---|---|---|---|---|---|" % (
        os.uname().release, options.backend, options.runs, options.seconds), flush=True)
    with for_emulated_processors():
        for case, words in CASES.items():
            if options.only in case:
                compare(case, words, options)


if __name__ == "__main__":
    main()
