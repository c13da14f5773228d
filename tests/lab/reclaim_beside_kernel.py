#!/usr/bin/python3
"""A machine with much cold memory and some hot, in the care of DAMON_RECLAIM: the kernel's and ours in turn.

usage: tests/lab/reclaim_beside_kernel.py [--backend NAME] [--alone] --files DIRECTORY
Only in a guest of the laboratory with 2 GiB, the kernel's DAMON and swap (--swap 1536). Prints both and
what it holds ours to; exit status 1 where one of that is not so.
"""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from damon_tree import Daemon, KernelTree, biggest_system_ram, cpu_seconds  # noqa: E402
from toucher import PAGE, labelled  # noqa: E402
from toucher_client import Target, smaps_bytes  # noqa: E402

MIB = 1 << 20
SMALL, HUGE, FILE, HOT, HOT_PROCESSES = 256 * MIB, 768 * MIB, 256 * MIB, 128 * MIB, 2
COLD = SMALL + HUGE + FILE
QUOTA = 128 * MIB  # as it is by default
MIN_AGE = 5
# Seconds beyond the least age after which it is over when nothing goes. Not a time for all of it: an emulated processor
# takes 0.1 to 0.3 ms to swap a page out, 30 to 100 s for all that is cold, and longer on a busy machine.
PATIENCE = 30
LONGEST = 900
# No quota of time: it takes an emulated processor 0.1 to 0.3 ms to swap a page out, whoever asks for it.
PARAMETERS = {
    "sample_interval": 20000, "aggr_interval": 200000, "min_age": MIN_AGE * 1000000,
    "quota_ms": 0, "quota_sz": QUOTA, "quota_reset_interval_ms": 1000,
    "wmarks_interval": 500000, "wmarks_high": 990, "wmarks_mid": 980, "wmarks_low": 1}
RESTING = {"wmarks_high": 60, "wmarks_mid": 50}  # there is always more free memory than that


class Ours:
    """damon_reclaim of a daemon of ours."""

    def __init__(self, daemon):
        self.parameters = pathlib.Path(daemon.directory) / "module/damon_reclaim/parameters"
        self.task = "/proc/%d" % daemon.process.pid

    @contextlib.contextmanager
    def on(self, **parameters):
        for name, value in (PARAMETERS | parameters).items():
            (self.parameters / name).write_text(str(value))
        (self.parameters / "enabled").write_text("Y")
        try:
            yield
        finally:
            (self.parameters / "enabled").write_text("N")

    def stat(self, name):
        return int((self.parameters / name).read_text())

    def cpu(self):
        return cpu_seconds(self.task)


class Kernels:
    """The kernel's DAMON with the scheme of DAMON_RECLAIM. Not by that module: 6.12's fills the context that it then
    commits an empty one over, so that it watches with default intervals and has no scheme (seen in its trace events)."""

    STATS = {"bytes_reclaimed_regions": "sz_applied", "nr_quota_exceeds": "qt_exceeds"}

    def __init__(self):
        self.tree = KernelTree("/sys")

    @contextlib.contextmanager
    def on(self):
        tree, context, values = self.tree, "0/contexts/0/", PARAMETERS
        tree.write("nr_kdamonds", 1)
        tree.write("0/contexts/nr_contexts", 1)
        tree.write(context + "operations", "paddr")
        tree.set_attrs(0, {"sample_us": values["sample_interval"], "aggr_us": values["aggr_interval"],
                           "update_us": 1000000, "min": 10, "max": 1000})
        tree.write(context + "targets/nr_targets", 1)
        tree.set_regions(0, [biggest_system_ram()])
        tree.write(context + "schemes/nr_schemes", 1)
        tree.set_scheme(0, "pageout", sz=(PAGE, (1 << 64) - 1), nr_accesses=(0, 0),
                        age=(values["min_age"] // values["aggr_interval"], (1 << 32) - 1),
                        quota={"ms": values["quota_ms"], "bytes": values["quota_sz"], "weights/age_permil": 1,
                               "reset_interval_ms": values["quota_reset_interval_ms"]},
                        watermarks={"metric": "free_mem_rate", "interval_us": values["wmarks_interval"],
                                    "high": values["wmarks_high"], "mid": values["wmarks_mid"],
                                    "low": values["wmarks_low"]})
        tree.command("on")
        try:
            yield
        finally:
            tree.clear()

    def stat(self, name):
        self.tree.command("update_schemes_stats")
        return int(self.tree.read("0/contexts/0/schemes/0/stats/" + self.STATS[name]))

    def cpu(self):
        pid = self.tree.read("0/pid")
        return cpu_seconds("/proc/%s/task/%s" % (pid, pid))


@contextlib.contextmanager
def huge_pages():
    """Whatever is mapped meanwhile is in huge pages."""
    enabled = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    enabled.write_text("always")
    try:
        yield
    finally:
        enabled.write_text("madvise")


def faulted_back(process):
    """Bytes that were not in memory any more when the process touched them."""
    fields = pathlib.Path("/proc/%d/stat" % process.pid).read_text().rpartition(")")[2].split()
    return int(fields[9]) * PAGE


def mapped(process):
    """Resident bytes, what is not ours to watch included; quicker than smaps."""
    return int(pathlib.Path("/proc/%d/statm" % process.pid).read_text().split()[1]) * PAGE


class Machine:
    """Processes whose memory is cold or hot. `file`: what is in the page cache."""

    def __init__(self, stack, file):
        self.file = stack.enter_context(Target(FILE, file))
        small = stack.enter_context(Target(SMALL))
        with huge_pages():
            huge = stack.enter_context(Target(HUGE))
        self.hot = [stack.enter_context(Target(HOT // HOT_PROCESSES)) for _ in range(HOT_PROCESSES)]
        self.cold = [small, huge, self.file]
        for process in (small, huge, *self.hot):
            process.tell("label")
        for process in self.cold:
            process.tell("rest", 1000)  # not to wake up for nothing
        for process in self.hot:
            process.tell("rest", 100)
            process.hot(0, HOT // HOT_PROCESSES)

    @staticmethod
    def resident(processes):
        return sum(smaps_bytes(process.pid, "Rss", process.range) for process in processes)

    def wrong(self):
        for process in self.hot:
            process.tell("cold")
        return sum(int(process.tell("labels")["wrong"]) for process in (*self.cold, *self.hot))


class Outcome:
    """What a module made of a machine until nothing went any more, or next to nothing cold was left."""

    def __init__(self, reclaim, machine):
        cold, hot = machine.resident(machine.cold), machine.resident(machine.hot)
        begun_with = sum(map(mapped, machine.cold))
        back = sum(map(faulted_back, machine.hot))
        seen, began = [], time.monotonic()
        least, went = 1, began
        self.most_gone_after = None
        with reclaim.on():
            cpu = reclaim.cpu()
            while time.monotonic() < min(went + MIN_AGE + PATIENCE, began + LONGEST):
                before = time.monotonic()
                done = reclaim.stat("bytes_reclaimed_regions")
                seen.append((before, time.monotonic(), done))
                left = 1 - (begun_with - sum(map(mapped, machine.cold))) / cold
                if left < least - 0.01:
                    least, went = left, time.monotonic()
                if left < 0.2 and not self.most_gone_after:
                    self.most_gone_after = time.monotonic() - began
                if left < 0.05:
                    break
                time.sleep(0.5)
            self.cpu = reclaim.cpu() - cpu
            self.gone = 1 - machine.resident(machine.cold) / cold
            self.each_gone = [1 - machine.resident([process]) / (process.range[1] - process.range[0])
                              for process in machine.cold]
            self.hot_lost = 1 - machine.resident(machine.hot) / hot
            self.hot_back = sum(map(faulted_back, machine.hot)) - back
            self.exceeds = reclaim.stat("nr_quota_exceeds")
        self.seconds = time.monotonic() - began
        self.reclaimed = seen[-1][2] - seen[0][2]
        # Between two readings lie at the most so many windows, those at the ends in part.
        self.beyond = max((later[2] - first[2] - QUOTA * (int(later[1] - first[0]) + 2)
                           for i, first in enumerate(seen) for later in seen[i + 1:]), default=0)

    def say(self, side):
        print("%-8s %.0f %% of %d MiB of cold memory gone (small pages %.0f %%, huge %.0f %%, files %.0f %%) in %.0f s,"
              " 80 %% after %s;"
              " of %d MiB of hot %.1f MiB gone, %.1f MiB gone and back;"
              " %.0f MiB reclaimed, %.1f s of processor time, quota exceeded %d times" % (
                  side, 100 * self.gone, COLD // MIB, *(100 * each for each in self.each_gone), self.seconds,
                  "%.0f s" % self.most_gone_after if self.most_gone_after else "no time",
                  HOT // MIB, self.hot_lost * HOT / MIB, self.hot_back / MIB,
                  self.reclaimed / MIB, self.cpu, self.exceeds), flush=True)


def rests(reclaim):
    """Whether nothing happens while there is more free memory than the high watermark says."""
    with reclaim.on(**RESTING):
        time.sleep(MIN_AGE + 10)
        return reclaim.stat("bytes_reclaim_tried_regions") == 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--backend", default="auto", help="ours")
    parser.add_argument("--alone", action="store_true", help="do not ask the kernel's")
    parser.add_argument("--files", required=True, help="a directory for a file of 256 MiB, on no tmpfs")
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("reclaim_beside_kernel: only in a guest of the laboratory")
    with tempfile.NamedTemporaryFile(dir=options.files) as file:
        for page in range(0, (FILE + 2 * MIB) // PAGE, MIB // PAGE):  # the toucher maps a huge page more than it uses
            file.write(labelled(page, MIB // PAGE))
        file.flush()
        os.fsync(file.fileno())  # what is dirty is not reclaimed
        with contextlib.ExitStack() as stack:
            machine = Machine(stack, file.name)
            daemon = stack.enter_context(Daemon(options.backend))
            reclaim = Ours(daemon)
            rested = rests(reclaim)
            ours = Outcome(reclaim, machine)
            ours.say("damonfs")
            wrong = machine.wrong()
        if not options.alone:
            with contextlib.ExitStack() as stack:
                Outcome(Kernels(), Machine(stack, file.name)).say("kernel")
    failed = False
    for what, truth in (("above the high watermark nothing happens", rested),
                        ("80 % of the cold memory is gone", ours.most_gone_after is not None and ours.gone >= 0.8),
                        ("less than 5 % of the hot memory is gone, and back",
                         ours.hot_lost + ours.hot_back / HOT < 0.05),
                        ("the quota is held in each window", ours.beyond <= 0),
                        ("every page has what was written to it", wrong == 0)):
        print("    %s: %s" % (what, "yes" if truth else "NO"), flush=True)
        failed |= not truth
    sys.exit(failed)


if __name__ == "__main__":
    main()
