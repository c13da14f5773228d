#!/usr/bin/python3
"""The kernel's DAMON and ours watch the same process in turn, with the same attributes.

Runs in a guest of the laboratory (it switches the kernel's DAMON on): see scripts/bench.sh.
Prints, for each number of regions, the precision and recall of either side and the processor time
that its kdamond takes for a region and sample, each the median of several runs with the spread.
With --paddr both watch the machine's memory instead, and there is no precision nor recall to it.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import score  # noqa: E402
from damon_tree import (Daemon, KernelTree, WORKLOAD, biggest_system_ram, cpu_seconds,  # noqa: E402
                        for_emulated_processors)

SIZE, HOT = "256M", "16M"


class Run:
    """What one side reached in one run."""

    def __init__(self, scores, regions, thread_ns, process_ns):
        self.precision = score.median([s.precision for s in scores]) if scores else None
        self.recall = score.median([s.recall for s in scores]) if scores else None
        self.regions = regions
        self.thread_ns = thread_ns  # of the kdamond's thread, for a region and sample
        self.process_ns = process_ns  # of the whole daemon; None for the kernel


def totals(tree):
    """(regions, bytes) that the scheme was applied to so far: it is, to all, once an aggregation."""
    tree.command("update_schemes_stats")
    stats = "0/contexts/0/schemes/0/stats/"
    return int(tree.read(stats + "nr_tried")), int(tree.read(stats + "sz_tried"))


def snapshot(tree):
    """A snapshot that holds something: the kernel of 6.12 gives up on a scheme that was not applied for
    two of its intervals, which happens where processors are scarce."""
    for _ in range(20):
        taken = tree.snapshot()
        if taken["regions"]:
            return taken
    raise RuntimeError("no regions: is the kdamond running? state is " + tree.read("0/state"))


def measure(tree, daemon, pid, truth, whole, options, nr_regions):
    # Merging goes no further than to the least number, so that there are about as many as asked for.
    least = nr_regions * 9 // 10 if options.forced else 10
    tree.set_up([pid], sample_us=options.sample_us, aggr_us=options.aggr_us, update_us=60000000,
                min=least, max=nr_regions)
    if options.paddr:
        tree.write("0/contexts/0/operations", "paddr")
        tree.set_regions(0, [biggest_system_ram()])
    tree.command("on")
    try:
        time.sleep(options.settle)
        scores = []
        snapshot(tree)
        for _ in range(0 if options.paddr else options.snapshots):
            found = score.hot_ranges(snapshot(tree), options.share, whole)
            scores.append(score.score(truth, found))
            time.sleep(0.2)
        tid = tree.read("0/pid")
        thread = "/proc/%s/task/%s" % (tid, tid)
        process = "/proc/%d" % daemon if daemon else None
        watched = int(tree.read("0/contexts/0/schemes/0/tried_regions/total_bytes"))
        before = totals(tree), cpu_seconds(thread), process and cpu_seconds(process)
        time.sleep(options.seconds)
        after = cpu_seconds(thread), process and cpu_seconds(process), totals(tree)
        tried = after[2][0] - before[0][0]
        aggregations = (after[2][1] - before[0][1]) / watched
        checks = tried * tree.samples[0]
        return Run(scores, tried / aggregations, (after[0] - before[1]) / checks * 1e9,
                   process and (after[1] - before[2]) / checks * 1e9)
    finally:
        tree.clear()


def spread(values, form):
    values = list(values)
    return "%s (%s..%s)" % tuple(form % v for v in (score.median(values), min(values), max(values)))


def report(side, runs):
    if runs[0].precision is not None:
        print("  %-8s precision %s  recall %s" % (side, spread((r.precision for r in runs), "%.2f"),
                                                  spread((r.recall for r in runs), "%.2f")))
    print("  %-8s regions %s\n           kdamond %s ns a region and sample" % (
        side, spread((r.regions for r in runs), "%.0f"), spread((r.thread_ns for r in runs), "%.0f")))
    if runs[0].process_ns is not None:
        print("           whole daemon %s ns" % spread((r.process_ns for r in runs), "%.0f"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--backend", default="auto", help="ours")
    add("--kernel", default="/sys", help="where the kernel's tree is")
    add("--regions", default="100,1000", help="the largest numbers of regions to compare at")
    add("--free", dest="forced", action="store_false",
        help="leave the least number of regions at 10, so that there are fewer than the largest")
    add("--paddr", action="store_true", help="watch physical memory")
    add("--sample-us", type=int, default=5000)
    add("--aggr-us", type=int, default=100000)
    add("--snapshots", type=int, default=3, help="that precision and recall are the median of")
    add("--runs", type=int, default=5)
    add("--settle", type=float, default=5.0, help="seconds before precision and recall are taken")
    add("--seconds", type=float, default=5.0, help="for which processor time is taken")
    add("--share", type=float, default=score.HOT_SHARE)
    return parser.parse_args()


def compare(options):
    kernel = KernelTree(options.kernel)
    workload = subprocess.Popen([WORKLOAD, "--size", SIZE, "--hot", HOT, "--offset", "96M"],
                                stdout=subprocess.PIPE, text=True)
    try:
        whole, truths = score.read_workload([workload.stdout.readline(), workload.stdout.readline()])
        truth = truths[0].ranges
        with Daemon(options.backend) as daemon:
            print("%s, %s, %s hot of %s, sampling %d us, aggregation %d us, backend %s, %d runs" % (
                os.uname().release, "paddr" if options.paddr else "vaddr", HOT, SIZE, options.sample_us,
                options.aggr_us, options.backend, options.runs), flush=True)
            for nr_regions in map(int, options.regions.split(",")):
                ours, theirs = [], []
                for _ in range(options.runs):
                    theirs.append(measure(kernel, None, workload.pid, truth, whole, options, nr_regions))
                    ours.append(measure(daemon.tree, daemon.process.pid, workload.pid, truth, whole,
                                        options, nr_regions))
                print("%d regions" % nr_regions)
                report("kernel", theirs)
                report("damonfs", ours)
                ratios = [mine.thread_ns / its.thread_ns for mine, its in zip(ours, theirs)]
                print("  ratio    %s of the kernel's kdamond" % spread(ratios, "%.2f"), flush=True)
    finally:
        workload.kill()
        workload.wait()


def main():
    options = parse()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("against_kernel: only in a guest of the laboratory: see scripts/bench.sh")
    with for_emulated_processors():
        compare(options)


if __name__ == "__main__":
    main()
