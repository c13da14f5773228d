#!/usr/bin/python3
"""How long `damo start` with ten schemes takes on the kernel's sysfs and through our mount, in turn.

usage: tests/bench/damo_start_against_kernel.py [--backend NAME] [--runs N] [--damo PROGRAM]
Only in a guest of the laboratory that has the kernel's DAMON: see scripts/bench.sh. Prints the medians, and that of
the ratios of runs that follow each other: of the command as a user gives it, and without the start of Python (a fork
of one that has damo imported). All on one processor, as emulated ones are slow to wake each other.
"""

import argparse
import os
import pathlib
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "damo")]

from damon_tree import BUILD, DAMONFS, Daemon, KernelTree  # noqa: E402
from forked import Forked  # noqa: E402
from score import median  # noqa: E402
from toucher_client import Target  # noqa: E402

SCHEMES = 10


def seconds(damo, tree, words, fresh):
    status, said, took = damo(words, fresh=fresh)
    if status != 0 or not tree.running() or tree.read("0/contexts/0/schemes/nr_schemes") != str(SCHEMES):
        sys.exit("damo start: status %d\n%s" % (status, said))
    tree.command("off")
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="auto", help="ours")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--damo", default=str(BUILD / "damo/bin/damo"), help="see scripts/damo.sh")
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("only in a guest of the laboratory: this drives the kernel's DAMON")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Homes of their own, as damo keeps there what its DAMON can do.
    with Target(64 << 20) as target, Daemon(options.backend) as daemon, tempfile.TemporaryDirectory() as home, \
            tempfile.TemporaryDirectory() as other_home, Forked(options.damo, [], home) as kernel, \
            Forked(options.damo, [DAMONFS, "exec", "--mount", daemon.directory, "--"], other_home) as ours:
        sides = {"kernel": (kernel, KernelTree("/sys")), "ours": (ours, daemon.tree)}
        words = ["start", target.pid]
        for i in range(SCHEMES):
            words += ["--damos_action", "stat", "--damos_sz_region", "4K", "max", "--damos_age", "%ds" % i, "max"]
            words += ["--damos_quotas", "10ms", "8M", "1s", "0", "0", "%d" % i]
        for what, start, fresh in (("damo start", [options.damo, *words], True), ("without Python's start", words, False)):
            taken = {name: [] for name in sides}
            for run in range(options.runs + 1):
                for name, (damo, tree) in sides.items():
                    took = seconds(damo, tree, start, fresh)
                    if run > 0:  # the first one finds out what DAMON can do, and keeps it in a file
                        taken[name].append(took)
            middle = {name: median(each) for name, each in taken.items()}
            # Of neighbours in time, as other work on the machine comes and goes.
            ratio = median([mine / theirs for mine, theirs in zip(taken["ours"], taken["kernel"])])
            print("%s, %d schemes: kernel %.2f s (%.2f..%.2f), ours %.2f s (%.2f..%.2f): %.2f" % (
                what, SCHEMES, middle["kernel"], min(taken["kernel"]), max(taken["kernel"]), middle["ours"],
                min(taken["ours"]), max(taken["ours"]), ratio), flush=True)


if __name__ == "__main__":
    main()
