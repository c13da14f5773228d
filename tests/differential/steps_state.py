"""What the file `state` does: every command in every state, and what comes of it."""

import os

from steps_values import CONTEXT, KDAMOND, SCHEME, TARGET
from transcript import Sleeper, is_number, is_positive

STATE = KDAMOND + "state"
PID = KDAMOND + "pid"
NO_COMMANDS = ["", "\n", "ON", "on ", " on", "on\n\n", "onn", "restart", "1", "commit\0x"]
COMMANDS = ["commit", "commit_schemes_quota_goals", "update_schemes_stats",
            "update_schemes_tried_bytes", "update_schemes_tried_regions",
            "clear_schemes_tried_regions", "update_schemes_effective_quotas",
            "update_tuned_intervals"]


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


def tried_regions(t):
    t.begin("tried regions")
    tried = SCHEME + "tried_regions"
    with Sleeper() as process:
        fresh(t, process.pid)
        t.read(tried + "/total_bytes")
        t.write(STATE, "on")
        t.write(STATE, "update_schemes_tried_bytes")
        until_tried(t, tried)
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


def until_tried(t, tried):
    """Seen once of 6.12, on a processor that had much else to do: 0 right after the command."""
    for _ in range(20):
        if t.raw_read(tried + "/total_bytes") != "0\n":
            return
        t.prepare(STATE, "update_schemes_tried_bytes")


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


SECTIONS = [commands, ends, tried_regions, several]
