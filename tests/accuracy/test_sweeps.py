"""How right regions are that sweeps guide: programs with a known hot part, watched as a daemon watches them by default, beside
the same with `--sweep 0`, which is the kernel's algorithm.

What is found are regions that were accessed at all in an aggregation interval. Each case prints precision, recall and the
daemon's processor time. A second try, because accesses are measured.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "integration"))

from conftest import found_by_samples, real_daemon  # noqa: E402
from damon_tree import WORKLOAD, cpu_seconds  # noqa: E402

MIB = 1 << 20


class Watched:
    """A workload and a daemon that watches it."""

    def __init__(self, daemon, pid, hot):
        self.tree = daemon.tree
        self.daemon = daemon
        self.hot = hot  # [start, end) of each hot part
        self.tree.set_up([pid])
        self.tree.command("on")

    def regions(self):
        """[start, end) of what was accessed in the last aggregation interval."""
        self.tree.command("update_schemes_tried_regions")
        base = "0/contexts/0/schemes/0/tried_regions/"
        found = []
        for name in os.listdir(self.tree.kdamonds / base):
            if not name.isdigit():
                continue
            values = [int(self.tree.read("%s%s/%s" % (base, name, file)))
                      for file in ("start", "end", "nr_accesses")]
            if values[2] > 0:
                found.append(values[:2])
        return found

    def score(self):
        """Precision and recall."""
        found = self.regions()
        both = sum(max(0, min(end, hot_end) - max(start, hot_start))
                   for start, end in found for hot_start, hot_end in self.hot)
        # Of what lies outside of the workload's memory nothing is known: its stack is accessed, too.
        inside = sum(max(0, min(end, self.memory[1]) - max(start, self.memory[0])) for start, end in found)
        hot = sum(end - start for start, end in self.hot)
        return (both / inside if inside else 0.0), both / hot

    def cpu_seconds(self):
        return cpu_seconds("/proc/%d" % self.daemon.process.pid)


@contextlib.contextmanager
def watched(sweep, *words):
    workload = subprocess.Popen([WORKLOAD, *words], stdout=subprocess.PIPE, text=True)
    try:
        ready = dict(word.split("=") for word in workload.stdout.readline().split()[1:])
        spots = int(words[words.index("--spots") + 1]) if "--spots" in words else 1
        hot = []
        for _ in range(spots):
            fields = dict(word.split("=") for word in workload.stdout.readline().split()[1:])
            hot.append((int(fields["start"], 16), int(fields["end"], 16)))
        with real_daemon("auto", "--sweep", str(sweep)) as daemon:
            seen = Watched(daemon, workload.pid, hot)
            seen.memory = (int(ready["start"], 16), int(ready["end"], 16))
            yield seen
    finally:
        workload.kill()
        workload.wait()


SPOTS = ["--size", "8G", "--hot", "16M", "--spots", "16", "--offset", "37M", "--loop-sleep-us", "1000", "--no-huge"]


@found_by_samples
def test_spots_in_gigantic_memory(capsys):
    """Sixteen hot spots of 1 MiB in 8 GiB."""
    with watched(1, *SPOTS) as seen:
        time.sleep(3)
        at_three_seconds = seen.score()
        time.sleep(20)
        precision, recall = seen.score()
        with capsys.disabled():
            print("\nspots: precision %.2f, recall %.2f after 3 s; %.2f, %.2f after 23 s; %.1f %% of a processor" %
                  (*at_three_seconds, precision, recall, seen.cpu_seconds() / 23 * 100))
        assert precision >= 0.95
        assert recall >= 0.95


@found_by_samples
def test_spots_without_sweeps_are_the_kernels(capsys):
    with watched(0, *SPOTS) as seen:
        time.sleep(10)
        precision, recall = seen.score()
        with capsys.disabled():
            print("\nspots, --sweep 0: precision %.2f, recall %.2f after 10 s" % (precision, recall))
        assert recall < 0.95


@found_by_samples
@pytest.mark.parametrize("rate", [1, 3, 10])
def test_slow_heat(rate, capsys):
    """256 MiB of which 20 are touched a few times a second a page."""
    with watched(1, "--size", "256M", "--hot", "20M", "--offset", "100M", "--rate", str(rate), "--no-huge") as seen:
        time.sleep(8)
        scores = []
        for _ in range(10):
            time.sleep(1)
            scores.append(seen.score())
        precision, recall = sorted(scores)[5]
        with capsys.disabled():
            print("\n%d touches a second: precision %.2f, recall %.2f (medians of 10), %.1f %% of a processor" %
                  (rate, precision, recall, seen.cpu_seconds() / 18 * 100))
        assert precision >= 0.75
        assert recall >= 0.95


@found_by_samples
def test_memory_that_is_reserved_and_not_used(capsys):
    """1 TiB reserved, 64 MiB used: what is resident is found as quickly."""
    program = ("import mmap, time\n"
               "m = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)\n"
               "at = 123 << 30\n"
               "print('ready', flush=True)\n"
               "while True:\n"
               "    for i in range(0, 64 << 20, 4096): m[at + i] = 1\n"
               "    time.sleep(0.2)\n")
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        with real_daemon("auto") as daemon:
            seen = Watched(daemon, process.pid, [])
            time.sleep(12)
            found = sum(end - start for start, end in seen.regions())
        with capsys.disabled():
            print("\n1 TiB reserved: %.0f MiB found accessed" % (found / MIB))
        assert 60 * MIB <= found <= 90 * MIB
    finally:
        process.kill()
        process.wait()
