#!/usr/bin/python3
"""The same scheme on the same workload, by the kernel's DAMON and by ours in turn: how much they do.

usage: tests/lab/schemes_beside_kernel.py [--backend NAME] [--kernel SYS] [--runs N]
Only in a guest of the laboratory that has the kernel's DAMON, and swap. Prints both and what it holds them
to; exit status 1 where one of that is not so.
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
from toucher_client import Target, smaps_bytes  # noqa: E402

MIB = 1 << 20
SIZE = 128 * MIB
STATS = "0/contexts/0/schemes/0/stats/"


def watch(tree, target, scheme, **attrs):
    """Starts monitoring the target's memory alone, with a scheme if there is one."""
    tree.set_up([target.pid], **attrs)
    tree.write("0/contexts/0/operations", "fvaddr")
    tree.set_regions(0, [target.range])
    tree.write("0/contexts/0/schemes/nr_schemes", 1 if scheme else 0)
    if scheme:
        tree.set_scheme(0, **scheme)
    tree.command("on")


def stat(tree, name):
    tree.command("update_schemes_stats")
    return int(tree.read(STATS + name))


class Failures(list):
    def hold(self, what, truth):
        print("    %s: %s" % (what, "yes" if truth else "NO"), flush=True)
        if not truth:
            self.append(what)


def size_quota(tree):
    """(bytes applied in 20 s, the most in a window beyond the quota) of a quota of 8 MiB a second."""
    quota = 8 * MIB
    with Target(SIZE) as target:
        watch(tree, target, {"action": "cold", "quota": {"bytes": quota, "reset_interval_ms": 1000}})
        began, seen = time.monotonic(), []
        while time.monotonic() < began + 22:
            before = time.monotonic()
            tried = stat(tree, "sz_tried")
            seen.append((before, time.monotonic(), tried, int(tree.read(STATS + "sz_applied"))))
            time.sleep(0.1)
        tree.clear()
    # 6.12 has no quota until its first window is over.
    steady = [reading for reading in seen if reading[0] >= began + 2]
    # Between two readings lie at the most so many windows, those at the ends in part.
    beyond = max(later[2] - first[2] - quota * (int(later[1] - first[0]) + 2)
                 for i, first in enumerate(seen) for later in seen[i + 1:])
    return steady[-1][3] - steady[0][3], beyond


def pageout(tree):
    """Bytes that are gone from memory after 20 s, of which half is cold."""
    with Target(SIZE) as target:
        target.tell("fill")
        target.hot(0, SIZE // 2)
        target.tell("rest", 20)
        watch(tree, target, {"action": "pageout", "nr_accesses": (0, 0), "age": (1, 1 << 31)},
              sample_us=50000, aggr_us=500000)
        time.sleep(20)
        gone = SIZE - smaps_bytes(target.pid, "Rss", target.range)
        tree.clear()
        wrong = target.tell("check")["wrong"]
        assert wrong == "0", wrong
    return gone


def time_quota(tree):
    """Processor time of the kdamond for a scheme of 20 ms each 200 ms, as a share of that."""
    def share(scheme):
        with Target(SIZE) as target:
            watch(tree, target, scheme, sample_us=50000, aggr_us=500000)
            time.sleep(2)
            tid = tree.read("0/pid")
            thread = "/proc/%s/task/%s" % (tid, tid)
            before, began = cpu_seconds(thread), time.monotonic()
            time.sleep(6)
            used = (cpu_seconds(thread) - before) / (time.monotonic() - began)
            tree.clear()
        return used
    scheme = {"action": "cold", "apply_interval_us": 100000,
              "quota": {"ms": 20, "reset_interval_ms": 200}}
    return (share(scheme) - share(None)) / 0.1


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--kernel", default="/sys")
    parser.add_argument("--runs", type=int, default=3, help="that medians are taken of")
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("schemes_beside_kernel: only in a guest of the laboratory")
    kernel, failures = KernelTree(options.kernel), Failures()
    with Daemon(options.backend) as daemon:
        sides = (kernel, daemon.tree)
        print("cold, a size quota of 8 MiB a second, 20 s")
        theirs, ours = [[size_quota(side) for _ in range(options.runs)] for side in sides]
        amounts = [median([run[0] for run in runs]) / MIB for runs in (theirs, ours)]
        print("    applied: kernel %.1f MiB, damonfs %.1f MiB" % tuple(amounts))
        failures.hold("within 10 %", abs(amounts[1] / amounts[0] - 1) <= 0.1)
        failures.hold("the quota is held by damonfs in each window", max(run[1] for run in ours) <= 0)

        print("pageout of what was cold for 0.5 s: half of %d MiB" % (SIZE // MIB))
        theirs, ours = [median([pageout(side) for _ in range(options.runs)]) / MIB for side in sides]
        print("    gone: kernel %.1f MiB, damonfs %.1f MiB" % (theirs, ours))
        failures.hold("within 10 %", abs(ours / theirs - 1) <= 0.1)

        print("cold, a time quota of 20 ms each 200 ms")
        theirs, ours = [median([time_quota(side) for _ in range(options.runs)]) for side in sides]
        print("    used of it: kernel %.0f %%, damonfs %.0f %%" % (100 * theirs, 100 * ours))
        failures.hold("within 20 %", ours <= 1.2)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
