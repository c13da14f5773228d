#!/usr/bin/python3
"""What being watched does to a process: how long an mmap(), munmap() or fault of it takes at the most, and how often
it passes over its hot part in a second of a processor, watched beside unwatched, at default attributes.

A busy machine holds a process up for longer than we do: the median of the seconds' longest is printed beside the
longest of all, and both sides are measured in turn, again and again, on the same process.
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
from damon_tree import Daemon, WORKLOAD  # noqa: E402


class Probe:
    """A workload that probes itself."""

    def __init__(self, size, *options):
        self.process = subprocess.Popen([WORKLOAD, "--size", size, "--hot", "16M", "--probe", *options],
                                        stdout=subprocess.PIPE, text=True)
        self.pid = int(self.words("ready")["pid"])

    def words(self, event):
        for line in self.process.stdout:
            name, *fields = line.split()
            words = dict(field.split("=") for field in fields)
            if name == event and (event == "ready" or int(words["pid"]) == self.pid):
                return words
        raise RuntimeError("the workload has ended")

    def seconds(self, count):
        """Of the next `count` seconds: longest mappings and faults in us, passes a second of a processor. The one that
        runs is left out."""
        begun = time.monotonic_ns()
        rows = []
        while len(rows) < count:
            words = {key: int(value) for key, value in self.words("probe").items()}
            if words["at"] > begun + 10**9:
                rows.append((words["map_us"], words["fault_us"], words["passes"] * 1e6 / max(words["cpu_us"], 1)))
        return rows

    def end(self):
        self.process.terminate()
        self.process.wait()


def measure(probe, backend, seconds, rounds):
    """The seconds of a process that is not watched and those of the same one watched, in turn."""
    unwatched, watched = [], []
    with Daemon(backend) as daemon:
        daemon.tree.set_up([probe.pid])
        for _ in range(rounds):
            unwatched += probe.seconds(seconds)
            daemon.tree.command("on")
            watched += probe.seconds(seconds)
            daemon.tree.command("off")
    return unwatched, watched


def cells(rows):
    """Median and longest of mappings and of faults."""
    return " | ".join("%d; %d" % (score.median(column), max(column)) for column in list(zip(*rows))[:2])


def loss(unwatched, watched):
    """Of throughput, in percent."""
    before, after = (score.median([row[2] for row in rows]) for rows in (unwatched, watched))
    return 100 * (1 - after / before)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1G,2G,4G,8G")
    parser.add_argument("--seconds", type=int, default=5, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="pte")
    options = parser.parse_args()
    print("load average %.1f; us: median of the seconds' longest; longest of all\n" % os.getloadavg()[0])
    print("| | mmap, munmap | fault | watched: mmap, munmap | fault | throughput lost |\n|---|---|---|---|---|---|")
    for size in options.sizes.split(","):
        for how in ([], ["--fork"]):
            # Always at work, for throughput.
            probe = Probe(size, "--loop-sleep-us", "0", *how)
            try:
                unwatched, watched = measure(probe, options.backend, options.seconds, options.rounds)
            finally:
                probe.end()
            print("| %s | %s | %s | %.1f %% |" % (" ".join([size, *how]).replace("--fork", "forked"), cells(unwatched),
                                                cells(watched), loss(unwatched, watched)), flush=True)


if __name__ == "__main__":
    main()
