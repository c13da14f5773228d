#!/usr/bin/python3
"""What scrapes cost: processor time of the daemon for each, and as a share of a processor at one each 15 s.

Watches --services processes (tests/toucher.py), one kdamond for each, or with --processes several in one kdamond. The thread
that answers scrapes is measured exactly; what kdamonds spend on being looked at is the difference between time with and
without scrapes, and is lost in the noise where it is small.
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--services", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1, help="of each service")
    parser.add_argument("--regions", type=int, default=1000, help="minimum and maximum of each service")
    parser.add_argument("--scrapes", type=int, default=20)
    options = parser.parse_args()
    targets = [[Target(8 * MIB) for _ in range(options.processes)] for _ in range(options.services)]
    with Daemon(options.backend, "--metrics-listen", "0") as daemon:
        daemon.tree.set_up(*[[target.pid for target in service] for service in targets], min=options.regions,
                           max=2 * options.regions)
        for kdamond in range(options.services):
            daemon.tree.command("on", kdamond)
        url = re.search(r"metrics at (\S+)", daemon.said()).group(1)
        urllib.request.urlopen(url).read()
        time.sleep(2)
        idle = cpu_of_threads(daemon, "kdamond")
        time.sleep(1.1 * options.scrapes)
        idle = cpu_of_threads(daemon, "kdamond") - idle
        busy, server = cpu_of_threads(daemon, "kdamond"), cpu_of_threads(daemon, "damonfs-metrics")
        size = 0
        for _ in range(options.scrapes):
            time.sleep(1.1)  # an answer holds for a second
            size = len(urllib.request.urlopen(url).read())
        busy, server = cpu_of_threads(daemon, "kdamond") - busy, cpu_of_threads(daemon, "damonfs-metrics") - server
        text = urllib.request.urlopen(url).read().decode()
        regions = sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("damonfs_regions{"))
        daemon.tree.clear()
    for service in targets:
        for target in service:
            target.end()
    each = server / options.scrapes
    print("%d services of %d processes, %d regions: a scrape takes %.2f ms of processor time and has %d KiB; "
          "at one each %d s %.3f %% of a processor" % (options.services, options.processes, regions, each * 1e3,
                                                       size >> 10, PERIOD, each / PERIOD * 100))
    print("kdamonds: %.2f s without scrapes, %.2f s with %d of them" % (idle, busy, options.scrapes))


if __name__ == "__main__":
    main()
