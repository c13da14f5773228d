#!/usr/bin/python3
"""The command lines of damo that tests/damo has run on our tree, on the kernel's DAMON: the same exit status, and
output of the same shape.

usage: tests/lab/damo_beside_kernel.py TRANSCRIPT [--damo PROGRAM]
Only in a guest of the laboratory that has the kernel's DAMON. TRANSCRIPT is what tests/damo leaves with
DAMO_TRANSCRIPT. The shape of JSON is where it has which keys, of text its lines without their numbers. What damo
itself says that this kernel's DAMON has not is left out. Prints what differs and is not known to; exit status 1 if
anything does.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "damo")]

from damon_tree import BUILD, WORKLOAD, KernelTree  # noqa: E402
from forked import Forked  # noqa: E402

PATIENCE = 400
# damo's words for what a kernel has not; and damo 3.4.3 ends with a TypeError where one does not tell how many bytes
# passed filters (before 6.14).
NOT_THERE = re.compile(r"is passed but \S+ DAMON feature is not available|kernel is not supporting \S+|"
                       r"TypeError: float\(\) argument must be a string or a real number, not 'NoneType'")
# What else a kernel of 6.12 has not, or not yet.
KNOWN = [
    "ours only: damon_stat: off",  # a module since 6.17
]
COLOURS = re.compile("\x1b\\[[0-9;]*m")
NUMBER = re.compile(r"-?\b(0x)?\d[\d,.]*( ?([KMGT]?i?B|[num]?s|[dhm]|hz|K)\b| ?%)?")
PROFILE = re.compile(r" \[[k.]\] ")  # a line of what processors were busy with
HEAT = re.compile(r"^(heatmap: )?[\s\d\[\].|*#]{20,}$")


def paths(value, at=""):
    """Where a JSON value has which keys; the entries of a list are one."""
    if isinstance(value, dict):
        return {at}.union(*(paths(each, "%s/%s" % (at, key)) for key, each in value.items()))
    if isinstance(value, list):
        return {at}.union(*(paths(each, at + "[]") for each in value))
    return {at}


def shape(words, text):
    text = COLOURS.sub("", text)
    if "json" in words or "--json" in words:
        begin = re.search(r"(?m)^[\[{]", text)
        try:
            return paths(json.loads(text[begin.start():])) if begin else {text}
        except json.JSONDecodeError as error:
            return {"no JSON (%s): %s" % (error, text)}
    lines = set()
    for line in text.splitlines():
        if "[ perf record: " in line or PROFILE.search(line):
            continue
        line = re.sub(r"\b([0-9a-f]{9,16}|max)\b", "0", line).replace("|", " ").replace("*", "")
        line = "heat" if HEAT.match(line) else NUMBER.sub("N", line)
        lines.add(re.sub(r"N( N)+", "N", " ".join(line.split())))
    return lines - {""}


def perf_seconds(directory):
    """How long an emulated perf takes to begin and to end; up to a minute where the machine is busy."""
    began = time.monotonic()
    subprocess.run(["perf", "record", "-q", "-a", "-o", os.path.join(directory, "perf.data"), "-e",
                    "damon:damon_aggregated", "--", "true"], check=True)
    return time.monotonic() - began


class Kernel:
    """The kernel's DAMON, driven by damo."""

    def __init__(self, program, home):
        self.damo = Forked(program, [], home)
        self.tree = KernelTree("/sys")
        self.seconds = str(int(5 + 2 * perf_seconds(home)))
        self.target = subprocess.Popen([WORKLOAD, "--size", "64M", "--hot", "8M", "--offset", "16M", "--quiet"])
        self.other = subprocess.Popen(["sleep", "10000"])

    def run(self, words):
        words = [{"{pid}": self.target.pid, "{other}": self.other.pid}.get(word, word) for word in words]
        for option in {"--timeout", "--delay"} & set(words):
            words[words.index(option) + 1] = self.seconds
        status, out, _ = self.damo(words, PATIENCE)
        return status, out

    def close(self):
        self.tree.clear()
        self.damo.close()
        for process in (self.target, self.other):
            process.kill()
            process.wait()


def compare(entry, status, out):
    """What differs and is known to, and what else does, as sentences."""
    if status != entry["status"]:
        return [], ["exit status %d, ours %d: %s" % (status, entry["status"], out.strip()[-300:])]
    theirs, ours = shape(entry["words"], out), shape(entry["words"], entry["out"])
    known, others = [], []
    for whose, only in (("kernel's", theirs - ours), ("ours", ours - theirs)):
        for each in sorted("%s only: %s" % (whose, line) for line in only):
            (known if any(re.search(pattern, each) for pattern in KNOWN) else others).append(each)
    return known, others


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("transcript")
    parser.add_argument("--damo", default=str(BUILD / "damo/bin/damo"))
    options = parser.parse_args()
    if "DAMONFS_LAB" not in os.environ:
        sys.exit("only in a guest of the laboratory: this drives the kernel's DAMON")
    if not os.path.exists("/sys/kernel/tracing/events"):
        subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=True)
    entries = [json.loads(line) for line in pathlib.Path(options.transcript).read_text().splitlines()]
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as home:
        kernel = Kernel(options.damo, home)
        test, there = None, True
        for entry in entries:
            if entry["test"] != test:
                kernel.tree.clear()
                test, there = entry["test"], True
            status, out = kernel.run(entry["words"])
            # What a test does next builds on it.
            there = there and not NOT_THERE.search(out)
            if not there:
                counts["not there"] += 1
                continue
            known, found = compare(entry, status, out)
            counts["alike"] += not found
            counts["known"] += len(known)
            counts["differences"] += len(found)
            for each in found:
                print("%s: damo %s\n    %s" % (test, " ".join(entry["words"]), each), flush=True)
        kernel.close()
    print("%d command lines: %d of what this kernel's DAMON has not, %d alike but for %d known differences; %d others" % (
        len(entries), counts["not there"], counts["alike"], counts["known"], counts["differences"]))
    return 1 if counts["differences"] or not counts["alike"] else 0


if __name__ == "__main__":
    sys.exit(main())
