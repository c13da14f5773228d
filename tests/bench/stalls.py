#!/usr/bin/python3
"""What being watched does to a process: how long an mmap(), munmap() or fault of it takes at the most, and how often
it passes over its hot part, watched beside unwatched, at default attributes.

A busy machine holds a process up for longer than we do: the median of the seconds' longest is printed beside the
longest of all, and both sides are measured in turn on the same process.
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
        self.process = subprocess.Popen([WORKLOAD, "--size", size, "--hot", "16M", "--loop-sleep-us", "1000", "--probe",
                                         *options], stdout=subprocess.PIPE, text=True)
        self.pid = int(self.words("ready")["pid"])

    def words(self, event):
        for line in self.process.stdout:
            name, *fields = line.split()
            words = dict(field.split("=") for field in fields)
            if name == event and (event == "ready" or int(words["pid"]) == self.pid):
                return words
        raise RuntimeError("the workload has ended")

    def seconds(self, count):
        """Of the next `count` seconds: longest mappings and faults in us, passes. The one that runs is left out."""
        begun = time.monotonic_ns()
        rows = []
        while len(rows) < count:
            words = {key: int(value) for key, value in self.words("probe").items()}
            if words["at"] > begun + 10**9:
                rows.append((words["map_us"], words["fault_us"], words["passes"]))
        return rows

    def end(self):
        self.process.terminate()
        self.process.wait()


def row(name, rows):
    maps, faults, passes = zip(*rows)
    print("| %s | %d; %d | %d; %d | %d |" % (name, score.median(maps), max(maps), score.median(faults), max(faults),
                                             sum(passes) / len(passes)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1G,4G,8G")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--backend", default="pte")
    options = parser.parse_args()
    print("load average %.1f" % os.getloadavg()[0])
    print("| | mmap, munmap: median, longest (us) | fault: median, longest (us) | passes a second |\n|---|---|---|---|")
    for size in options.sizes.split(","):
        for how in ([], ["--fork"]):
            probe = Probe(size, *how)
            try:
                name = " ".join([size, *how])
                row(name, probe.seconds(options.seconds))
                with Daemon(options.backend) as daemon:
                    daemon.tree.set_up([probe.pid])
                    daemon.tree.command("on")
                    row(name + ", watched", probe.seconds(options.seconds))
            finally:
                probe.end()


if __name__ == "__main__":
    main()
