#!/usr/bin/python3
"""What the action `cold` costs on 10,000 regions, with the kernel's DAMON and with ours in turn.

Runs in a guest of the laboratory that has the kernel's DAMON: see scripts/bench.sh. Prints the processor
time of the kdamond for a region that was acted on: what it takes with the scheme less what it takes with
`stat` in place of it.
"""

import argparse
import os
import pathlib
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from damon_tree import Daemon, KernelTree, cpu_seconds  # noqa: E402
from score import median  # noqa: E402
from toucher_client import Target  # noqa: E402

SIZE = 160 << 20


def cost(tree, target, action, options):
    """(seconds of the kdamond, regions acted on) in the time that is measured."""
    tree.set_up([target.pid], sample_us=500000, aggr_us=1000000, update_us=60000000,
                min=options.regions, max=2 * options.regions)
    tree.write("0/contexts/0/schemes/0/action", action)
    tree.command("on")
    try:
        time.sleep(3)
        tid = tree.read("0/pid")
        thread = "/proc/%s/task/%s" % (tid, tid)

        def now():
            tree.command("update_schemes_stats")
            return cpu_seconds(thread), int(tree.read("0/contexts/0/schemes/0/stats/nr_tried"))
        before = now()
        time.sleep(options.seconds)
        after = now()
        return after[0] - before[0], after[1] - before[1]
    finally:
        tree.clear()


def measure(tree, options):
    with Target(SIZE) as target:
        target.tell("small")
        acting, regions = cost(tree, target, "cold", options)
        idle, watched = cost(tree, target, "stat", options)
    return (acting / regions - idle / watched) * 1e9, regions


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="auto", help="ours")
    parser.add_argument("--kernel", default="/sys", help="where the kernel's tree is")
    parser.add_argument("--regions", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="for which processor time is taken")
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("actions_against_kernel: only in a guest of the laboratory: see scripts/bench.sh")
    kernel = KernelTree(options.kernel)
    with Daemon(options.backend) as daemon:
        runs = [(measure(kernel, options), measure(daemon.tree, options)) for _ in range(options.runs)]
    for side, index in (("kernel", 0), ("damonfs", 1)):
        costs = [run[index][0] for run in runs]
        print("%-8s %.0f ns a region of `cold` (%.0f..%.0f), %d regions acted on in a run" % (
            side, median(costs), min(costs), max(costs), runs[0][index][1]))
    print("ratio    %.2f" % median([run[1][0] / run[0][0] for run in runs]))


if __name__ == "__main__":
    main()
