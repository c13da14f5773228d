"""`on` and `commit` with good and bad configurations of every kind."""

import time

from steps_state import STATE, fresh, state
from steps_values import CONTEXT, SCHEME, TARGET
from transcript import Sleeper

INTERVALS = CONTEXT + "monitoring_attrs/intervals/"
NR_REGIONS = CONTEXT + "monitoring_attrs/nr_regions/"
NEVER_PID = 4194303  # the largest the kernel gives; the guest has just booted


def try_on(t, what):
    """Whether it starts so; off again if so."""
    if t.write(STATE, "on", "on, " + what) == "ok":
        t.raw_write(STATE, "off")


def targets(t):
    t.begin("on with all sorts of pids")
    fresh(t, 0)
    for pid, label in ((0, None), (-1, None), (-2147483648, None), (1, None), (2, "kernel thread"),
                       (NEVER_PID, None), (2147483647, None)):
        t.prepare(TARGET + "pid_target", pid)
        try_on(t, label or "pid %d" % pid)
    process = Sleeper()
    process.end()
    t.prepare(TARGET + "pid_target", process.pid)
    try_on(t, "dead process")
    with Sleeper() as process:
        t.prepare(CONTEXT + "targets/nr_targets", 2)
        t.prepare(TARGET + "pid_target", process.pid)
        try_on(t, "a process and pid 0")
        t.prepare(CONTEXT + "targets/1/pid_target", process.pid)
        try_on(t, "twice the same process")


RANGES = [
    [(0x1000, 0x2000)], [(0x1000, 0x1000)], [(0, 0)], [(0x2000, 0x1000)], [(0x1fff, 0x1001)],
    [(0x1001, 0x1001)], [(0x1001, 0x2001)], [(0x1000, 0x1001)], [(0xfff, 0x1000)],
    [(0x1000, 0x3000), (0x2000, 0x4000)], [(0x1000, 0x2000), (0x2000, 0x3000)],
    [(0x1000, 0x2000), (0x4000, 0x5000)], [(0x4000, 0x5000), (0x1000, 0x2000)],
    [(0x1000, 0x1100), (0x1200, 0x1300)], [(0x1000, 0x1fff), (0x2000, 0x3000)],
    [(0x1000, 0x2001), (0x2001, 0x3000)], [(0x1000, 0x2001), (0x3000, 0x4000)],
    [(0x1000, 0x2000), (0x1000, 0x2000)], [(0x1000, 0x2000), (0x2000, 0x2000)],
    [(0x1000, (1 << 64) - 1)], [(0, 1 << 47)], [((1 << 64) - 4096, (1 << 64) - 1)],
    [(0x1000, 0x2000)] * 3,
]


def set_ranges(t, ranges):
    regions = TARGET + "regions/"
    t.prepare(regions + "nr_regions", len(ranges))
    for i, (start, end) in enumerate(ranges):
        t.prepare(regions + "%d/start" % i, start)
        t.prepare(regions + "%d/end" % i, end)


def regions(t):
    t.begin("on with all sorts of regions")
    with Sleeper() as process:
        fresh(t, process.pid)
        for operations in ("vaddr", "fvaddr"):
            t.prepare(CONTEXT + "operations", operations)
            for ranges in RANGES:
                set_ranges(t, ranges)
                try_on(t, operations + " " + " ".join("%x-%x" % r for r in ranges))


ATTRIBUTES = [
    (5000, 100000, 60000000, 10, 1000), (100000, 100000, 0, 10, 1000),
    (100001, 100000, 60000000, 10, 1000), (5000, 0, 60000000, 10, 1000),
    (5000, 4999, 1, 10, 1000), (1000, 2000, 0, 3, 3), (5000, 100000, 60000000, 2, 1000),
    (5000, 100000, 60000000, 0, 0), (5000, 100000, 60000000, 4, 3),
    (5000, 100000, 60000000, 10, 10), (5000, 100000, 60000000, 3, (1 << 64) - 1),
    (2000, 100000, 1000, 10, 1000),
]


def set_attributes(t, values):
    for path, value in zip((INTERVALS + "sample_us", INTERVALS + "aggr_us", INTERVALS + "update_us",
                            NR_REGIONS + "min", NR_REGIONS + "max"), values):
        t.prepare(path, value)


def attributes(t):
    t.begin("on with all sorts of attributes")
    with Sleeper() as process:
        fresh(t, process.pid)
        for values in ATTRIBUTES:
            set_attributes(t, values)
            try_on(t, " ".join(map(str, values)))


def schemes(t):
    t.begin("on with all sorts of schemes")
    with Sleeper() as process:
        fresh(t, process.pid)
        try_filters(t)
        for action in ("willneed", "cold", "pageout", "lru_prio", "stat"):
            t.prepare(SCHEME + "action", action)
            try_on(t, action)
        t.prepare(SCHEME + "access_pattern/sz/min", 10)
        t.prepare(SCHEME + "access_pattern/sz/max", 5)
        try_on(t, "size from 10 to 5")
        goals = SCHEME + "quotas/goals/"
        t.prepare(goals + "nr_goals", 1)
        for metric in ("user_input", "some_mem_psi_us"):
            for value in (0, 1, 10000):
                t.prepare(goals + "0/target_metric", metric)
                t.prepare(goals + "0/target_value", value)
                try_on(t, "goal %s %d" % (metric, value))
        for values in ((0, 0, 0), (500, 400, 300), (1, 2, 3)):
            for name, value in zip(("high", "mid", "low"), values):
                t.prepare(SCHEME + "watermarks/" + name, value)
            try_on(t, "watermarks %d %d %d" % values)


def try_filters(t):
    filters = SCHEME + "filters/"
    t.prepare(filters + "nr_filters", 1)
    for kind in ("anon", "memcg", "young", "addr", "target"):
        t.prepare(filters + "0/type", kind)
        try_on(t, "filter " + kind)
    t.prepare(filters + "0/type", "memcg")
    for path in ("/", "/\n", "/nobody", "nobody", "//", "/.", "/..", "\n"):
        t.prepare(filters + "0/memcg_path", path)
        try_on(t, "filter memcg %r" % path)
    t.prepare(filters + "0/type", "addr")
    for start, end in ((0, 0), (0, 1), (1, 0), (4096, 4096), (8192, 4096)):
        t.prepare(filters + "0/addr_start", start)
        t.prepare(filters + "0/addr_end", end)
        try_on(t, "filter addr %d-%d" % (start, end))
    t.prepare(filters + "0/type", "target")
    t.prepare(filters + "0/damon_target_idx", -1)
    try_on(t, "filter target -1")
    t.prepare(filters + "nr_filters", 0)


def commit(t):
    t.begin("commit")
    with Sleeper() as process, Sleeper() as other:
        fresh(t, process.pid)
        t.write(STATE, "on")
        for values in ATTRIBUTES:
            if values[0] > values[1] or values[3] < 3 or values[3] > values[4]:
                continue
            set_attributes(t, values)
            t.write(STATE, "commit", "commit " + " ".join(map(str, values)))
            state(t)
        t.prepare(TARGET + "pid_target", other.pid)
        t.write(STATE, "commit")
        t.prepare(CONTEXT + "targets/nr_targets", 2)
        for i, pid in enumerate((other.pid, process.pid)):
            t.prepare(CONTEXT + "targets/%d/pid_target" % i, pid)
        t.write(STATE, "commit")
        t.prepare(CONTEXT + "schemes/nr_schemes", 3)
        t.write(STATE, "commit")
        t.prepare(CONTEXT + "schemes/nr_schemes", 0)
        t.write(STATE, "commit")
        state(t)
        t.write(STATE, "off")
        t.begin("a long sampling interval")
        fresh(t, process.pid)
        t.prepare(INTERVALS + "aggr_us", 30000000)
        t.prepare(INTERVALS + "sample_us", 30000000)
        t.write(STATE, "on")
        # The kernel's waits for the whole interval when it is told to stop just before it begins to sleep.
        time.sleep(2)
        began = time.monotonic()
        t.write(STATE, "off")
        t.record("off took", STATE, "", "long" if time.monotonic() - began > 10 else "not long")

        t.begin("invalid commit")
        for what, path, value in (
                ("intervals", INTERVALS + "sample_us", "100001"),
                ("too few regions", NR_REGIONS + "min", "2"),
                ("min above max", NR_REGIONS + "min", "1001"),
                ("no process", TARGET + "pid_target", str(NEVER_PID)),
                ("pid 0", TARGET + "pid_target", "0")):
            fresh(t, process.pid)
            t.write(STATE, "on")
            t.prepare(path, value)
            t.write(STATE, "commit", "commit " + what)
            still_on(t, what)
        fresh(t, process.pid)
        t.write(STATE, "on")
        set_ranges(t, [(0x3000, 0x4000), (0x1000, 0x2000)])
        t.write(STATE, "commit", "commit regions")
        still_on(t, "regions")
        fresh(t, process.pid)
        t.write(STATE, "on")
        t.prepare(SCHEME + "filters/nr_filters", 1)
        t.prepare(SCHEME + "filters/0/type", "memcg")
        t.prepare(SCHEME + "filters/0/memcg_path", "/nobody")
        t.write(STATE, "commit", "commit filter")
        still_on(t, "filter")


def still_on(t, what):
    """Whether it runs a while later; off in any case."""
    time.sleep(1)
    t.record("still on", STATE, what, t.raw_read(STATE).strip())
    if t.raw_read(STATE) == "on\n":
        t.raw_write(STATE, "off")


SECTIONS = [targets, regions, attributes, schemes, commit]
