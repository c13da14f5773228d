#!/usr/bin/python3
"""What scrapes and reads of status.json cost: processor time of the daemon for each, and as a share of a processor at one scrape
each 15 s.

Watches --services processes (tests/toucher.py), one kdamond for each, or with --processes several in one kdamond. The thread
that answers scrapes is measured exactly; what kdamonds spend on being looked at is the difference between time with and
without scrapes, and is lost in the noise where it is small; --sample-us 500000 lets kdamonds do little else.
"""

import argparse
import pathlib
import re
import sys
import time
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from damon_tree import Daemon, cpu_seconds  # noqa: E402
from toucher_client import Target  # noqa: E402

PERIOD = 15  # seconds, of the scrapes that are asked about
MIB = 1 << 20


def cpu_of_threads(daemon, name):
    """Processor time of the threads whose names begin so."""
    tasks = pathlib.Path("/proc/%d/task" % daemon.process.pid).iterdir()
    return sum(cpu_seconds(task) for task in tasks if (task / "comm").read_text().startswith(name))


def repeated(daemon, count, what):
    """Processor time of kdamonds, and of all other threads, while `what` is done `count` times, a second apart."""
    def used():
        kdamonds = cpu_of_threads(daemon, "kdamond")
        return kdamonds, cpu_of_threads(daemon, "") - kdamonds

    before = used()
    for _ in range(count):
        time.sleep(1.1)  # an answer to a scrape holds for a second
        what()
    return [after - early for after, early in zip(used(), before)]


def say(what, count, without, found, period):
    each = max(0, found[0] - without[0] + found[1] - without[1]) / count
    print("%s: %.2f ms of processor time (kdamonds %.2f, the others %.2f)%s" % (
        what, each * 1e3, (found[0] - without[0]) / count * 1e3, (found[1] - without[1]) / count * 1e3,
        "; at one each %d s %.3f %% of a processor" % (period, each / period * 100) if period else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--services", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1, help="of each service")
    parser.add_argument("--mib", type=int, default=8, help="of each process")
    parser.add_argument("--regions", type=int, default=1000, help="minimum of each service; the maximum is twice that")
    parser.add_argument("--sample-us", type=int, default=5000, help="20 of them are an aggregation interval")
    parser.add_argument("--scrapes", type=int, default=20)
    options = parser.parse_args()
    targets = [[Target(options.mib * MIB) for _ in range(options.processes)] for _ in range(options.services)]
    with Daemon(options.backend, "--metrics-listen", "0") as daemon:
        tree = daemon.tree
        tree.set_up(*[[target.pid for target in service] for service in targets], min=options.regions, max=2 * options.regions)
        for kdamond in range(options.services):
            intervals = "%d/contexts/0/monitoring_attrs/intervals/" % kdamond
            tree.write(intervals + "aggr_us", 20 * options.sample_us)
            tree.write(intervals + "sample_us", options.sample_us)
            tree.command("on", kdamond)
        url = re.search(r"metrics at (\S+)", daemon.said()).group(1)
        status = tree.kdamonds.parents[4] / "damonfs/status.json"
        urllib.request.urlopen(url).read()
        time.sleep(2)
        without = repeated(daemon, options.scrapes, lambda: None)
        scrapes = repeated(daemon, options.scrapes, lambda: urllib.request.urlopen(url).read())
        reads = repeated(daemon, options.scrapes, status.read_text)
        text = urllib.request.urlopen(url).read().decode()
        regions = sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("damonfs_regions{"))
        tree.clear()
    for service in targets:
        for target in service:
            target.end()
    print("%d services of %d processes, %d regions; a scrape has %d KiB" % (options.services, options.processes, regions, len(text) >> 10))
    say("a scrape", options.scrapes, without, scrapes, PERIOD)
    say("a read of status.json", options.scrapes, without, reads, None)


if __name__ == "__main__":
    main()
