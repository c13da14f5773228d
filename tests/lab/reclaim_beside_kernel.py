#!/usr/bin/python3
"""A machine with much cold memory and some hot, in the care of DAMON_RECLAIM: the kernel's and ours in turn.

usage: tests/lab/reclaim_beside_kernel.py [--backend NAME] [--kernel SYS] --files DIRECTORY
Only in a guest of the laboratory with 2 GiB, the kernel's DAMON_RECLAIM and swap (--swap 1536). Prints both and
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

from damon_tree import Daemon, cpu_seconds  # noqa: E402
from toucher_client import Target, smaps_bytes  # noqa: E402

MIB = 1 << 20
ANON, FILE, HOT, HOT_PROCESSES = 1024 * MIB, 256 * MIB, 128 * MIB, 2
QUOTA = 64 * MIB
MIN_AGE = 5
PATIENCE = 60  # seconds beyond the least age in which the cold memory is to go
PARAMETERS = {
    "sample_interval": 20000, "aggr_interval": 200000, "min_age": MIN_AGE * 1000000,
    "quota_ms": 500, "quota_sz": QUOTA, "quota_reset_interval_ms": 1000,
    "wmarks_interval": 500000, "wmarks_high": 990, "wmarks_mid": 980, "wmarks_low": 1}
RESTING = {"wmarks_high": 60, "wmarks_mid": 50}  # there is always more free memory than that


class Reclaim:
    """The module, the kernel's or ours. `daemon`: the process that does it; none: the kernel."""

    def __init__(self, sys_directory, daemon=None):
        self.parameters = pathlib.Path(sys_directory) / "module/damon_reclaim/parameters"
        self.daemon = daemon

    def write(self, name, value):
        (self.parameters / name).write_text(str(value))

    def read(self, name):
        return (self.parameters / name).read_text().strip()

    def stat(self, name):
        return int(self.read(name))

    @contextlib.contextmanager
    def on(self, **parameters):
        for name, value in (PARAMETERS | parameters).items():
            self.write(name, value)
        self.write("enabled", "Y")
        try:
            yield
        finally:
            self.write("enabled", "N")

    def cpu(self):
        if self.daemon:
            return cpu_seconds("/proc/%d" % self.daemon)
        pid = self.read("kdamond_pid")
        return cpu_seconds("/proc/%s/task/%s" % (pid, pid))


class Machine:
    """Processes whose memory is cold or hot. `files`: a directory whose files are cached, no tmpfs."""

    def __init__(self, stack, files):
        file = stack.enter_context(tempfile.NamedTemporaryFile(dir=files))
        for _ in range(FILE // MIB + 2):  # the toucher maps a huge page more than it uses
            file.write(os.urandom(MIB))
        file.flush()
        self.anon = stack.enter_context(Target(ANON))
        self.file = stack.enter_context(Target(FILE, file.name))
        self.hot = [stack.enter_context(Target(HOT // HOT_PROCESSES)) for _ in range(HOT_PROCESSES)]
        self.anon.tell("label")
        for process in self.hot:
            process.tell("label")
            process.tell("rest", 100)
            process.hot(0, HOT // HOT_PROCESSES)

    def resident(self, *processes):
        return sum(smaps_bytes(process.pid, "Rss", process.range) for process in processes)

    def cold(self):
        return self.resident(self.anon, self.file)

    def wrong(self):
        for process in self.hot:
            process.tell("cold")
        return sum(int(process.tell("labels")["wrong"]) for process in (self.anon, *self.hot))


class Outcome:
    def __init__(self, reclaim, files):
        with contextlib.ExitStack() as stack:
            machine = Machine(stack, files)
            with reclaim.on(**RESTING):
                time.sleep(MIN_AGE + 10)
                self.rested = reclaim.stat("bytes_reclaim_tried_regions") == 0
            cold, hot = machine.cold(), machine.resident(*machine.hot)
            seen, began = [], time.monotonic()
            with reclaim.on():
                cpu = reclaim.cpu()
                while time.monotonic() < began + MIN_AGE + PATIENCE:
                    before = time.monotonic()
                    done = reclaim.stat("bytes_reclaimed_regions")
                    seen.append((before, time.monotonic(), done))
                    time.sleep(0.25)
                self.cpu = reclaim.cpu() - cpu
                self.gone = 1 - machine.cold() / cold
                self.hot_lost = 1 - machine.resident(*machine.hot) / hot
                self.files_gone = 1 - machine.resident(machine.file) / FILE
                self.exceeds = reclaim.stat("nr_quota_exceeds")
            self.reclaimed = seen[-1][2] - seen[0][2]
            # Between two readings lie at the most so many windows, those at the ends in part.
            self.beyond = max(later[2] - first[2] - QUOTA * (int(later[1] - first[0]) + 2)
                              for i, first in enumerate(seen) for later in seen[i + 1:])
            self.wrong = machine.wrong()

    def say(self, side):
        print("%-8s %.0f %% of %d MiB of cold memory gone (%.0f %% of the files), %.1f %% of %d MiB of hot;"
              " %.0f MiB reclaimed, %.1f s of processor time, quota exceeded %d times" % (
                  side, 100 * self.gone, (ANON + FILE) // MIB, 100 * self.files_gone, 100 * self.hot_lost,
                  HOT // MIB, self.reclaimed / MIB, self.cpu, self.exceeds), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--backend", default="auto", help="ours")
    parser.add_argument("--kernel", default="/sys", help="'': do not ask the kernel's")
    parser.add_argument("--files", required=True, help="a directory for a file of 256 MiB, on no tmpfs")
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("reclaim_beside_kernel: only in a guest of the laboratory")
    with Daemon(options.backend) as daemon:
        ours = Outcome(Reclaim(daemon.directory, daemon.process.pid), options.files)
    ours.say("damonfs")
    if options.kernel:
        Outcome(Reclaim(options.kernel), options.files).say("kernel")
    failed = False
    for what, truth in (("above the high watermark nothing happens", ours.rested),
                        ("80 % of the cold memory is gone", ours.gone >= 0.8),
                        ("less than 5 % of the hot memory is gone", ours.hot_lost < 0.05),
                        ("the quota is held in each window", ours.beyond <= 0),
                        ("every page has what was written to it", ours.wrong == 0)):
        print("    %s: %s" % (what, "yes" if truth else "NO"), flush=True)
        failed |= not truth
    sys.exit(failed)


if __name__ == "__main__":
    main()
