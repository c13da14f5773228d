"""What scripts/soak.sh runs: a daemon with --keep that is killed four times a minute while many use its mount."""

import collections
import contextlib
import errno
import multiprocessing
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time
import traceback

from damon_tree import WORKLOAD, Daemon, Tree, resident_bytes

KILL_EACH = 15  # seconds; five within a minute would be one too many
LINE_EACH = 10
PATIENCE = 60
NR_CHANGERS = 3
# What a state command may be answered with while targets come and go.
EXPECTED = {errno.EBUSY, errno.ECANCELED, errno.EINVAL, errno.EPERM}


class User:
    """Does something to the mount again and again; what it met."""

    def __init__(self, mount, number, until):
        self.tree = Tree(mount)
        self.mount = mount
        self.number = number
        self.until = until
        self.chance = random.Random(number)
        self.errors = collections.Counter()
        self.rounds = 0
        self.longest = 0.0

    def run(self, queue, do):
        while time.monotonic() < self.until:
            began = time.monotonic()
            try:
                do(self)
            except OSError as error:
                calls = traceback.extract_tb(error.__traceback__)[1:]
                self.errors["%s: %s" % (error, " in ".join(call.line for call in reversed(calls)))] += 1
            self.rounds += 1
            self.longest = max(self.longest, time.monotonic() - began)
        queue.put((dict(self.errors), self.rounds, self.longest))


def read_snapshot(path):
    """A text that a killed daemon had made cannot be read to its end: docs/design/restart.md."""
    try:
        return path.read_text()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return path.read_text()


def change(user):
    """Directories of a kdamond of its own: a write that was answered is never lost."""
    tree, context = user.tree, "%d/contexts/0/" % user.number
    tree.write("%d/contexts/nr_contexts" % user.number, 1)
    tree.write(context + "targets/nr_targets", user.chance.randrange(1, 5))
    value = str(user.chance.randrange(1, 1000))
    tree.write(context + "targets/0/pid_target", value)
    if tree.read(context + "targets/0/pid_target") != value:
        user.errors["a lost write"] += 1
    os.listdir(tree.kdamonds / ("%d" % user.number))
    read_snapshot(pathlib.Path(user.mount, "damonfs/status.json"))


def watch(user):
    """A process that comes and goes, with a scheme that acts on it."""
    tree = user.tree
    with subprocess.Popen([WORKLOAD, "--size", "32M", "--hot", "4M"], stdout=subprocess.DEVNULL) as process:
        try:
            tree.set_targets(user.number, [process.pid])
            with tolerated():
                tree.command("on", user.number)
            for command in ("update_schemes_stats", "commit", "update_schemes_tried_regions"):
                time.sleep(user.chance.random())
                with tolerated():
                    tree.command(command, user.number)
        finally:
            process.kill()
            process.wait()
    with tolerated():
        tree.command("off", user.number)


def fork_storm(_):
    for _ in range(20):
        subprocess.run(["true"], check=True)
    time.sleep(0.5)


@contextlib.contextmanager
def tolerated():
    try:
        yield
    except OSError as error:
        if error.errno not in EXPECTED:
            raise


def daemon_of(keeper):
    children = pathlib.Path("/proc/%d/task/%d/children" % (keeper, keeper)).read_text().split()
    return int(children[0]) if children else None


def look(pid):
    return (len(os.listdir("/proc/%d/fd" % pid)), len(os.listdir("/proc/%d/task" % pid)),
            resident_bytes(pid) >> 10)


def is_bounded(lines):
    """Whether the second half is not much above the first, by any of the three."""
    half = len(lines) // 2
    if half < 3:
        return True
    return all(statistics.median(column[half:]) <= 1.5 * statistics.median(column[:half]) + 10
               for column in zip(*lines))


def oversee(daemon, until):
    """Kills the daemon now and then; how it was in between."""
    began = last_kill = last_line = time.monotonic()
    lines = []
    while time.monotonic() < until:
        time.sleep(1)
        pid, now = daemon_of(daemon.process.pid), time.monotonic()
        with contextlib.suppress(OSError, ValueError):  # it has ended
            # Just before a kill, when it has been at work for a while.
            if pid and now - last_line > LINE_EACH:
                last_line = now
                lines.append(look(pid))
                print("%5d s  %3d descriptors  %3d threads  %6d KiB" % (now - began, *lines[-1]), flush=True)
            if pid and now - last_kill > KILL_EACH and until - now > KILL_EACH:
                last_kill = now
                os.kill(pid, signal.SIGKILL)
    return lines


def main():
    with Daemon("auto", "--keep") as daemon:
        until = time.monotonic() + 60 * float(sys.argv[1])
        daemon.tree.set_up(*[[]] * (NR_CHANGERS + 1))
        daemon.tree.set_scheme(0, "cold", kdamond=NR_CHANGERS)
        queue = multiprocessing.Queue()
        jobs = [change] * NR_CHANGERS + [watch, fork_storm]
        users = [multiprocessing.Process(target=User(daemon.directory, n, until).run, args=(queue, job))
                 for n, job in enumerate(jobs)]
        for user in users:
            user.start()
        lines = oversee(daemon, until)
        results = [queue.get(timeout=PATIENCE) for _ in users]
        for user in users:
            user.join(PATIENCE)
        errors = collections.Counter()
        for met, _, _ in results:
            errors.update(met)
        longest = max(longest for _, _, longest in results)
        print("%d rounds, errors %s, the longest round %.1f s, bounded: %s" % (
            sum(rounds for _, rounds, _ in results), dict(errors), longest, is_bounded(lines)))
        sys.exit(0 if not errors and longest < PATIENCE and is_bounded(lines) else 1)


main()
