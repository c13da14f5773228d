#!/usr/bin/python3
"""Whether memory that is watched is reclaimed more than memory that is not, where memory is scarce.

Runs in a guest of the laboratory with swap: see scripts/bench.sh. Two memory cgroups with the same processes: one touches all its
memory ten times a second (hot), one every two seconds (warm), and a third works its way through twice as much as there is room for.
In one of the cgroups hot and warm are watched, then in the other, as often as --runs says. Prints for each kind how often the
memory was touched, watched and not, and how many pages had to be read back; the median of the runs with the spread.
"""

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import score  # noqa: E402
from damon_tree import Daemon, KernelTree, WORKLOAD  # noqa: E402

MIB = 1 << 20
CGROUPS = pathlib.Path("/sys/fs/cgroup")
HOT, WARM, PASSING, ROOM = 48, 48, 96, 48  # MiB; ROOM is what is left for PASSING
REST_US = {"hot": 100000, "warm": 2000000}
COUNT_EVERY = "500ms"


class Process:
    """A workload in a cgroup; `passes` is how often it has touched its hot part."""

    def __init__(self, cgroup, *options):
        self.passes = 0
        self.popen = subprocess.Popen(
            ["/bin/sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(cgroup), WORKLOAD, "--no-huge", *options],
            stdout=subprocess.PIPE, text=True)
        self.pid = self.popen.pid
        self.popen.stdout.readline()  # ready
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.popen.stdout:
            word, values = score.fields(line)
            if word == "passes":
                self.passes = int(values["n"])

    def major_faults(self):
        fields = pathlib.Path("/proc/%d/stat" % self.pid).read_text().rpartition(")")[2].split()
        return int(fields[9])

    def end(self):
        self.popen.kill()
        self.popen.wait()


class Side:
    """A cgroup with its processes."""

    def __init__(self, name):
        self.cgroup = CGROUPS / name
        self.cgroup.mkdir()
        self.processes = {}
        for kind, size in (("hot", HOT), ("warm", WARM)):
            self.processes[kind] = Process(self.cgroup, "--size", "%dM" % size, "--hot", "%dM" % size,
                                           "--loop-sleep-us", str(REST_US[kind]), "--count-every", COUNT_EVERY)
        self.passing = Process(self.cgroup, "--size", "%dM" % PASSING, "--hot", "1M", "--loop-sleep-us", "50000",
                               "--move-every", "200ms")
        (self.cgroup / "memory.max").write_text(str((HOT + WARM + ROOM) * MIB))

    def pids(self):
        return [process.pid for process in self.processes.values()]

    def counts(self):
        counts = {}
        for kind, process in self.processes.items():
            counts[kind] = process.passes
            counts[kind + " back"] = process.major_faults()
        stat = dict(line.split() for line in (self.cgroup / "memory.stat").read_text().splitlines())
        counts["refaults"] = int(stat["workingset_refault_anon"])
        return counts

    def end(self):
        for process in (*self.processes.values(), self.passing):
            process.end()
        self.cgroup.rmdir()


def measure(sides, seconds):
    """What happened in each side in that time, a second."""
    before, began = [side.counts() for side in sides], time.monotonic()
    time.sleep(seconds)
    after, took = [side.counts() for side in sides], time.monotonic() - began
    return [{name: (late[name] - early[name]) / took for name in early} for early, late in zip(before, after)]


def watched_and_not(tree, sides, watched, options):
    """(of the watched side, of the other) for a period in which sides[watched] is watched."""
    tree.set_up(*[[pid] for pid in sides[watched].pids()], sample_us=options.sample_us, aggr_us=options.aggr_us,
                update_us=1000000, max=options.regions)
    for number in range(2):
        tree.command("on", number)
    try:
        time.sleep(options.settle)
        rates = measure(sides, options.seconds)
    finally:
        tree.clear()
    return rates[watched], rates[1 - watched]


def spread(values, form):
    values = list(values)
    return "%s (%s..%s)" % tuple(form % v for v in (score.median(values), min(values), max(values)))


def report(runs):
    for kind, size in (("hot", HOT), ("warm", WARM)):
        # A processor that is slow enough does not get through a pass in the time of a run.
        less = [100 * (1 - w[kind] / n[kind]) for w, n in runs if n[kind]]
        print("  %-5s touched %s times a second watched, %s not: %s %% less" % (
            kind, spread((w[kind] for w, _ in runs), "%.3f"), spread((n[kind] for _, n in runs), "%.3f"),
            spread(less, "%.1f") if less else "no telling how many"))
        print("        pages read back a second, of %d: %s watched, %s not" % (
            size * MIB // 4096, spread((w[kind + " back"] for w, _ in runs), "%.1f"),
            spread((n[kind + " back"] for _, n in runs), "%.1f")))
    print("  refaults a second in the whole cgroup: %s watched, %s not" % (
        spread((w["refaults"] for w, _ in runs), "%.0f"), spread((n["refaults"] for _, n in runs), "%.0f")), flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--backend", default="auto", help="ours; `kernel` for the kernel's DAMON, `none` to watch nothing")
    add("--sweep", default="1", help="of ours: per cent of a processor for sweeps")
    add("--regions", type=int, default=1000, help="the largest number of them")
    add("--sample-us", type=int, default=5000)
    add("--aggr-us", type=int, default=100000)
    add("--runs", type=int, default=5)
    add("--settle", type=float, default=10.0, help="seconds of watching before a run is measured")
    add("--seconds", type=float, default=20.0, help="that a run is measured for")
    return parser.parse_args()


class Nothing:
    """In the place of a tree: what the measurement itself is worth."""

    def set_up(self, *_, **__):
        pass

    def command(self, *_):
        pass

    def clear(self):
        pass


def main():
    options = parse()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("watched_under_pressure: only in a guest of the laboratory: see scripts/bench.sh")
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    lru = pathlib.Path("/sys/kernel/mm/lru_gen/enabled")
    with contextlib.ExitStack() as stack:
        if options.backend == "kernel":
            tree = KernelTree("/sys")
        elif options.backend == "none":
            tree = Nothing()
        else:
            tree = stack.enter_context(Daemon(options.backend, "--sweep", options.sweep)).tree
        sides = []
        for name in ("first", "second"):
            sides.append(Side(name))
            stack.callback(sides[-1].end)
        time.sleep(options.settle)  # until there is no more room
        print("%s, MGLRU %s, %d MiB hot, %d MiB warm, room for %d of %d MiB that pass, sampling %d us, up to %d regions,"
              " watched by %s, sweeps %s %%, %d runs" % (
                  os.uname().release, lru.read_text().strip() if lru.exists() else "not there", HOT, WARM, ROOM, PASSING,
                  options.sample_us, options.regions, options.backend, options.sweep, options.runs), flush=True)
        report([watched_and_not(tree, sides, run % 2, options) for run in range(options.runs)])


if __name__ == "__main__":
    main()
