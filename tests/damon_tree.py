"""A small client of DAMON's tree for tests and measurements; the kernel's own tree does as well as ours."""

import contextlib
import errno
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

BUILD = pathlib.Path(os.environ.get("DAMONFS_BUILD") or
                     pathlib.Path(__file__).resolve().parent.parent / "build")
DAMONFS = str(BUILD / "damonfs")
WORKLOAD = str(BUILD / "tests" / "workload")

# What runs in the background (`&`, nohup) ignores these, and so would all that tests start and signal.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

DEFAULTS = {"sample_us": 5000, "aggr_us": 100000, "update_us": 1000000, "min": 10, "max": 1000}


def comes_true(condition, seconds, step=0.25):
    """Whether it does within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


class Tree:
    """The tree below MOUNT/kernel/mm/damon/admin."""

    def __init__(self, mount):
        self.kdamonds = pathlib.Path(mount) / "kernel/mm/damon/admin/kdamonds"
        self.samples = []  # of an aggregation, for each kdamond
        self.defaults = DEFAULTS  # for set_up()
        # snapshot() reads one file of ours. Four files a region take an emulated processor 10 s for 250 regions, in which
        # the processes that are watched get to do nothing.
        self.at_once = False

    def read(self, path):
        # Not pathlib: one read(2), whatever the size that stat(2) claims.
        fd = os.open(self.kdamonds / path, os.O_RDONLY)
        try:
            return os.read(fd, 4096).decode().removesuffix("\n")
        finally:
            os.close(fd)

    def write(self, path, value):
        fd = os.open(self.kdamonds / path, os.O_WRONLY)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)

    def command(self, command, kdamond=0):
        self.write("%d/state" % kdamond, command)

    def running(self, kdamond=0):
        return self.read("%d/state" % kdamond) == "on"

    def set_up(self, *kdamonds, **attrs):
        """One kdamond for each list of pids, with a scheme that does nothing to everything."""
        attrs = self.defaults | attrs
        self.samples = [max(attrs["aggr_us"] // attrs["sample_us"], 1)] * len(kdamonds)
        self.write("nr_kdamonds", len(kdamonds))
        for k, pids in enumerate(kdamonds):
            self.write("%d/contexts/nr_contexts" % k, 1)
            context = "%d/contexts/0/" % k
            self.write(context + "operations", "vaddr")
            self.set_attrs(k, attrs)
            self.set_targets(k, pids)
            self.write(context + "schemes/nr_schemes", 1)
            self.write(context + "schemes/0/action", "stat")
            pattern = context + "schemes/0/access_pattern/"
            self.write(pattern + "sz/max", (1 << 64) - 1)
            self.write(pattern + "nr_accesses/max", (1 << 32) - 1)
            self.write(pattern + "age/max", (1 << 32) - 1)

    def set_attrs(self, kdamond, attrs):
        monitoring = "%d/contexts/0/monitoring_attrs/" % kdamond
        for name in ("sample_us", "aggr_us", "update_us"):
            self.write(monitoring + "intervals/" + name, attrs[name])
        for name in ("min", "max"):
            self.write(monitoring + "nr_regions/" + name, attrs[name])

    def set_targets(self, kdamond, pids):
        targets = "%d/contexts/0/targets/" % kdamond
        self.write(targets + "nr_targets", len(pids))
        for i, pid in enumerate(pids):
            self.write(targets + "%d/pid_target" % i, pid)

    def set_regions(self, target, ranges, kdamond=0):
        """The initial regions of a target."""
        regions = "%d/contexts/0/targets/%d/regions/" % (kdamond, target)
        self.write(regions + "nr_regions", len(ranges))
        for i, (start, end) in enumerate(ranges):
            self.write(regions + "%d/start" % i, start)
            self.write(regions + "%d/end" % i, end)

    def set_scheme(self, number, action, sz=(0, (1 << 64) - 1), nr_accesses=(0, (1 << 32) - 1),
                   age=(0, (1 << 32) - 1), quota=None, watermarks=None, filters=(), kdamond=0, **files):
        """Pairs are minimum and maximum; the others are {file: value}, `filters` one such for each."""
        scheme = "%d/contexts/0/schemes/%d/" % (kdamond, number)
        self.write(scheme + "action", action)
        for name, bounds in (("sz", sz), ("nr_accesses", nr_accesses), ("age", age)):
            for bound, value in zip(("min", "max"), bounds):
                self.write(scheme + "access_pattern/%s/%s" % (name, bound), value)
        self.write(scheme + "filters/nr_filters", len(filters))
        groups = [("quotas/", quota or {}), ("watermarks/", watermarks or {}), ("", files)]
        groups += [("filters/%d/" % i, each) for i, each in enumerate(filters)]
        for directory, values in groups:
            for name, value in values.items():
                self.write(scheme + directory + name, value)

    def regions(self, kdamond=0):
        """What update_schemes_tried_regions has left there."""
        tried = "%d/contexts/0/schemes/0/tried_regions/" % kdamond
        numbers = sorted(int(name) for name in os.listdir(self.kdamonds / tried) if name.isdigit())
        names = ("start", "end", "nr_accesses", "age")
        return [{name: int(self.read(tried + "%d/%s" % (n, name))) for name in names}
                for n in numbers]

    def regions_at_once(self, kdamond=0):
        """The regions of a running context of ours, from the file beside DAMON's interface."""
        path = self.kdamonds.parents[4] / ("damonfs/kdamonds/%d/regions.json" % kdamond)
        return [region for target in json.loads(path.read_text())["targets"] for region in target["regions"]]

    def snapshot(self, kdamond=0):
        """As `damonfs watch --json` prints it."""
        self.command("update_schemes_tried_regions", kdamond)
        taken = time.monotonic()
        return {"monotonic": taken, "samples_per_aggregation": self.samples[kdamond],
                "regions": self.regions_at_once(kdamond) if self.at_once else self.regions(kdamond)}

    def clear(self):
        """Ends every kdamond and removes it."""
        for name in os.listdir(self.kdamonds):
            if name.isdigit() and self.running(int(name)):
                with contextlib.suppress(OSError):
                    self.command("off", int(name))
        self.write("nr_kdamonds", 0)


class Reader:
    """Reads a file of `tree` again and again; what it met. No read may take longer than `patience` seconds."""

    def __init__(self, tree, path, patience, pause=0):
        self.answers, self.errors, self.patience, self.stopped = set(), [], patience, False
        self.thread = threading.Thread(target=self.run, args=(tree, path, pause), daemon=True)
        self.thread.start()

    def run(self, tree, path, pause):
        while not self.stopped:
            try:
                self.answers.add(tree.read(path))
            except OSError as error:
                self.errors.append(errno.errorcode[error.errno])
            time.sleep(pause)

    def stop(self):
        self.stopped = True
        self.thread.join(self.patience)
        assert not self.thread.is_alive(), "the reader hangs"
        assert self.errors == []


class KernelTree(Tree):
    """The kernel's own. It only tries for its lock, and answers EBUSY while a kdamond holds it."""

    def write(self, path, value):
        for _ in range(1000):
            try:
                return super().write(path, value)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.01)
        return super().write(path, value)


class Daemon:
    """A damonfs in the foreground on a mount point of its own."""

    def __init__(self, backend="auto", *args):
        self.directory = tempfile.mkdtemp(prefix="damonfs-test.")
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [DAMONFS, "mount", self.directory, "--foreground", "--backend", backend, *args],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        self.tree = Tree(self.directory)
        deadline = time.monotonic() + 60
        while not self.served():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = self.said()
                self.close()
                raise RuntimeError("damonfs mount --backend %s: %s" % (backend, said))
            time.sleep(0.01)

    def served(self):
        try:
            return (self.tree.kdamonds / "nr_kdamonds").exists()
        except OSError:  # it has failed to start, and is about to unmount
            return False

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        """Unmounts; returns the daemon's exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
            subprocess.run(["umount", "-l", self.directory], check=False, capture_output=True)
        with contextlib.suppress(OSError):
            os.rmdir(self.directory)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def for_emulated_processors():
    """All that begins in here, on one processor with a process beside it that comes and goes: an emulated one sets accessed
    bits anew only after it has switched between address spaces (tests/lab/in-guest)."""
    os.sched_setaffinity(0, {1})
    beside = subprocess.Popen([WORKLOAD, "--size", "4K", "--hot", "4K", "--loop-sleep-us", "1000", "--quiet"])
    try:
        yield
    finally:
        beside.kill()
        beside.wait()


def biggest_system_ram():
    """[start, end) of the biggest System RAM resource."""
    lines = [line.split(" : ") for line in pathlib.Path("/proc/iomem").read_text().splitlines()]
    ranges = [[int(word, 16) for word in where.split("-")] for where, what in lines if what == "System RAM"]
    return max(((start, last + 1) for start, last in ranges), key=lambda r: r[1] - r[0])


def resident_bytes(pid):
    status = pathlib.Path("/proc/%d/status" % pid).read_text().split()
    return int(status[status.index("VmRSS:") + 1]) << 10


def cpu_seconds(task):
    """Processor time of `task`, a directory of procfs such as "/proc/12" or "/proc/12/task/13". From
    schedstat where the kernel keeps it, else from stat, in ticks of 10 ms."""
    try:
        nanoseconds = int(pathlib.Path(task, "schedstat").read_text().split()[0])
        # All zeros without CONFIG_SCHEDSTATS; of a process it is the first thread's alone.
        if nanoseconds and "/task/" in str(task):
            return nanoseconds / 1e9
    except (OSError, IndexError):
        pass
    fields = pathlib.Path(task, "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
