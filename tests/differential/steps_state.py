"""What the file `state` does: on, off and commit with good and bad configurations."""

import os
import time

from steps_values import CONTEXT, KDAMOND, SCHEME, TARGET
from transcript import Sleeper, is_number, is_positive

STATE = KDAMOND + "state"
PID = KDAMOND + "pid"
INTERVALS = CONTEXT + "monitoring_attrs/intervals/"
NR_REGIONS = CONTEXT + "monitoring_attrs/nr_regions/"
NO_COMMANDS = ["", "\n", "ON", "on ", " on", "on\n\n", "onn", "restart", "1", "commit\0x"]
COMMANDS = ["commit", "commit_schemes_quota_goals", "update_schemes_stats",
            "update_schemes_tried_bytes", "update_schemes_tried_regions",
            "clear_schemes_tried_regions", "update_schemes_effective_quotas",
            "update_tuned_intervals"]
NEVER_PID = 4194303  # the largest the kernel gives; the guest has just booted


def configure(t, pid, schemes=1):
    """One kdamond for one process, its schemes for every region."""
    t.prepare(KDAMOND + "contexts/nr_contexts", 1)
    t.prepare(CONTEXT + "targets/nr_targets", 1)
    t.prepare(TARGET + "pid_target", pid)
    t.prepare(CONTEXT + "schemes/nr_schemes", schemes)
    for scheme in range(schemes):
        pattern = CONTEXT + "schemes/%d/access_pattern/" % scheme
        t.prepare(pattern + "sz/max", 1 << 62)
        t.prepare(pattern + "nr_accesses/max", 100000)
        t.prepare(pattern + "age/max", 100000)


def fresh(t, pid, schemes=1):
    """As configure(), on a kdamond that was never on."""
    t.prepare("kdamonds/nr_kdamonds", 1)
    configure(t, pid, schemes)


def state(t):
    t.read(STATE)
    t.read(PID, lambda text: text if text == "-1\n" else is_positive(text))


def every_command(t, words=COMMANDS):
    for word in words:
        t.write(STATE, word)
        state(t)


def commands(t):
    t.begin("state, no context")
    t.prepare("kdamonds/nr_kdamonds", 1)
    state(t)
    for word in ["on", "off"] + COMMANDS + NO_COMMANDS:
        t.write(STATE, word)
    with Sleeper() as process:
        t.begin("state, never on")
        fresh(t, process.pid)
        for word in ["off"] + COMMANDS + NO_COMMANDS:
            t.write(STATE, word)
        state(t)

        t.begin("state, on")
        t.write(STATE, "on\n")
        state(t)
        for word in ["on"] + COMMANDS + NO_COMMANDS:
            t.write(STATE, word)
        state(t)
        every_command(t)
        for text in ("0", "1", "2", "-1", "x"):
            t.write("kdamonds/nr_kdamonds", text)
        t.read("kdamonds/nr_kdamonds")

        t.begin("state, off again")
        t.write(STATE, "off")
        state(t)
        t.write(STATE, "off")
        every_command(t)
        t.begin("state, on again")
        t.write(STATE, "on")
        t.write(STATE, "commit")
        state(t)
        t.write(STATE, "off\n")
        state(t)

        t.begin("state, after an on that failed")
        t.prepare(TARGET + "pid_target", 0)
        t.write(STATE, "on")
        state(t)
        t.write(STATE, "off")
        every_command(t)

        t.begin("state, no context while on")
        configure(t, process.pid)
        t.write(STATE, "on")
        t.write(KDAMOND + "contexts/nr_contexts", "0")
        every_command(t)
        t.write(KDAMOND + "contexts/nr_contexts", "1")
        t.write(STATE, "update_schemes_stats")
        t.write(STATE, "off")
        t.write(STATE, "off")
        state(t)

        t.begin("state, held open")
        fresh(t, process.pid)
        f = t.open(STATE)
        f.read(10)
        f.write(b"on\n")
        f.read(10)
        f.seek(0, 0, "set")
        f.read(10)
        f.write(b"off\n")
        f.pread(10, 0)
        f.close()


def ends(t):
    t.begin("a target that dies")
    process = Sleeper()
    fresh(t, process.pid)
    t.write(STATE, "on")
    t.write(STATE, "update_schemes_tried_regions")
    process.end()
    t.wait_for(STATE, "off\n")
    state(t)
    t.write(STATE, "off")
    every_command(t)
    t.write(STATE, "on")
    state(t)
    t.begin("one of two targets dies")
    first, second = Sleeper(), Sleeper()
    fresh(t, first.pid)
    t.prepare(CONTEXT + "targets/nr_targets", 2)
    t.prepare(TARGET + "pid_target", first.pid)
    t.prepare(CONTEXT + "targets/1/pid_target", second.pid)
    t.write(STATE, "on")
    first.end()
    t.write(STATE, "update_schemes_stats")
    state(t)
    second.end()
    t.wait_for(STATE, "off\n")
    t.begin("no target at all")
    fresh(t, 0)
    t.prepare(CONTEXT + "targets/nr_targets", 0)
    t.write(STATE, "on")
    t.wait_for(STATE, "off\n")
    t.write(STATE, "off")


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


def tried_regions(t):
    t.begin("tried regions")
    tried = SCHEME + "tried_regions"
    with Sleeper() as process:
        fresh(t, process.pid)
        t.read(tried + "/total_bytes")
        t.write(STATE, "on")
        t.write(STATE, "update_schemes_tried_bytes")
        t.read(tried + "/total_bytes", is_positive)
        t.walk(tried)
        t.write(STATE, "update_schemes_tried_regions")
        t.read(tried + "/total_bytes", is_positive)
        if t.exists(tried + "/0"):
            t.walk(tried + "/0")
        check_regions(t, "schemes/0")
        held = t.open(tried + "/0/start", 0, "r")
        held.read(0)
        t.write(STATE, "update_schemes_tried_regions")
        held.read(100)
        held.close()
        check_regions(t, "schemes/0")
        t.write(tried + "/0/start", "1")
        t.write(STATE, "clear_schemes_tried_regions")
        t.walk(tried)
        t.read(tried + "/total_bytes")
        t.write(STATE, "update_schemes_tried_regions")
        t.write(STATE, "off")
        check_regions(t, "schemes/0")

        t.begin("tried regions of two schemes")
        fresh(t, process.pid, 2)
        t.write(STATE, "on")
        t.write(STATE, "update_schemes_tried_regions")
        for scheme in (0, 1):
            numbers = region_numbers(t, "schemes/%d" % scheme)
            t.record("numbers", "schemes/%d/tried_regions" % scheme, "",
                     "0 on" if numbers == list(range(len(numbers))) else "with holes")
        t.write(STATE, "update_schemes_stats")
        for name in ("nr_tried", "sz_tried"):
            t.read(SCHEME + "stats/" + name, is_positive)
        for name in ("nr_applied", "sz_applied", "qt_exceeds"):
            t.read(SCHEME + "stats/" + name, is_number)
        t.write(STATE, "update_schemes_effective_quotas")
        t.read(SCHEME + "quotas/effective_bytes")
        t.begin("nothing tried")
        t.prepare(SCHEME + "access_pattern/nr_accesses/min", 90000)
        t.prepare(CONTEXT + "schemes/nr_schemes", 1)
        t.write(STATE, "commit")
        t.write(STATE, "update_schemes_tried_regions")
        t.read(tried + "/total_bytes")
        t.write(STATE, "off")


def region_numbers(t, scheme):
    tried = t.full(CONTEXT + scheme + "/tried_regions")
    return sorted(int(name) for name in os.listdir(tried) if name.isdigit())


def check_regions(t, scheme):
    """Whether the regions are well formed, whatever they are."""
    tried = CONTEXT + scheme + "/tried_regions/"
    last, faults = 0, set()
    numbers = region_numbers(t, scheme)
    for number in numbers:
        values = {name: t.raw_read(tried + "%d/%s" % (number, name))
                  for name in ("start", "end", "nr_accesses", "age")}
        start, end = int(values["start"]), int(values["end"])
        if start % 4096 or end % 4096:
            faults.add("not pages")
        if not last <= start < end:
            faults.add("not ascending")
        if not 0 <= int(values["nr_accesses"]) <= 100:
            faults.add("nr_accesses")
        last = end
    t.record("regions shown", tried, "", " ".join(sorted(faults)) or
             ("some, well formed" if numbers else "none"))


def several(t):
    t.begin("several kdamonds")
    with Sleeper() as process:
        t.prepare("kdamonds/nr_kdamonds", 3)
        for number in (0, 2):
            below = "kdamonds/%d/contexts/" % number
            t.prepare(below + "nr_contexts", 1)
            t.prepare(below + "0/targets/nr_targets", 1)
            t.prepare(below + "0/targets/0/pid_target", process.pid)
            t.write("kdamonds/%d/state" % number, "on")
        t.write("kdamonds/1/state", "on")
        for number in range(3):
            t.read("kdamonds/%d/state" % number)
            name = thread_name(t.raw_read("kdamonds/%d/pid" % number))
            t.record("thread", "kdamonds/%d" % number, "", name)
        t.write("kdamonds/nr_kdamonds", "3")
        t.write("kdamonds/0/state", "off")
        t.write("kdamonds/nr_kdamonds", "3")
        t.write("kdamonds/2/state", "off")
        t.write("kdamonds/nr_kdamonds", "3")
        t.read("kdamonds/2/state")


def thread_name(pid):
    try:
        with open("/proc/%s/comm" % pid.strip()) as comm:
            return comm.read().strip()
    except OSError:
        return "none"


SECTIONS = [commands, ends, targets, regions, attributes, schemes, commit, tried_regions, several]
