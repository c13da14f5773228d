"""What kernels newer than 6.12 can be told while they run: probes, pause, goals, filters and the like.

A kernel that has no such file takes no step of the section, and what ours did there is left out.
"""

import time

from steps_configurations import still_on, try_on
from steps_state import STATE, configure, fresh, region_numbers, state
from steps_values import CONTEXT, KDAMOND, SCHEME, TARGET
from transcript import Sleeper, is_number, is_positive

PROBES = CONTEXT + "monitoring_attrs/probes/"
INTERVALS = CONTEXT + "monitoring_attrs/intervals/"
GOAL = INTERVALS + "intervals_goal/"
QUOTAS = SCHEME + "quotas/"


def newer(path):
    """A section for kernels that have this file once there is one of everything."""
    def wrap(section):
        def run(t):
            with Sleeper() as process:
                fresh(t, process.pid)
                if t.exists(path):
                    t.begin("newer, " + section.__name__)
                    section(t, process)
                t.prepare("kdamonds/nr_kdamonds", 0)
        run.__name__ = section.__name__
        return run
    return wrap


def commit(t, what):
    """Whether it is taken; what runs stays on in any case."""
    t.write(STATE, "commit", "commit " + what)
    t.record("state after", STATE, what, t.raw_read(STATE).strip())


@newer(PROBES + "nr_probes")
def probes(t, process):
    t.prepare(PROBES + "nr_probes", 2)
    t.write(STATE, "on", "on, probes without filters")
    show_hits(t)
    for number, kind in enumerate(("anon", "memcg")):
        t.prepare(PROBES + "%d/filters/nr_filters" % number, 1)
        t.prepare(PROBES + "%d/filters/0/type" % number, kind)
        t.prepare(PROBES + "%d/filters/0/matching" % number, "Y")
        t.prepare(PROBES + "%d/filters/0/allow" % number, "Y")
        t.prepare(PROBES + "%d/weight" % number, 1 + number)
    commit(t, "memcg without a path")
    for path in ("/nobody", "", "/", "/\n"):
        t.write(PROBES + "1/filters/0/path", path)
        commit(t, "memcg %r" % path)
    show_hits(t)
    for count in (0, 4, 1, 3):
        t.prepare(PROBES + "nr_probes", count)
        commit(t, "%d probes" % count)
        show_hits(t)
    for weight in (0, 1, 4294967295):
        t.prepare(PROBES + "0/weight", weight)
        t.prepare(PROBES + "1/weight", 0)
        commit(t, "weight %d" % weight)
    t.write(STATE, "off")
    show_hits(t)
    t.prepare(PROBES + "nr_probes", 1)
    for path in ("/nobody", "/"):
        t.prepare(PROBES + "0/filters/nr_filters", 1)
        t.prepare(PROBES + "0/filters/0/type", "memcg")
        t.prepare(PROBES + "0/filters/0/path", path)
        try_on(t, "probe of memcg %s" % path)


def show_hits(t):
    t.write(STATE, "update_schemes_tried_regions")
    tried = SCHEME + "tried_regions/"
    if region_numbers(t, "schemes/0"):
        t.walk(tried + "0/probes")
        for number in range(4):
            if t.exists(tried + "0/probes/%d/hits" % number):
                t.read(tried + "0/probes/%d/hits" % number, is_number)


@newer(CONTEXT + "pause")
def pause(t, process):
    t.prepare(CONTEXT + "pause", "Y")
    t.write(STATE, "on", "on, paused")
    state(t)
    goes_on(t, "paused from the start")
    commands(t)
    t.prepare(CONTEXT + "pause", "N")
    commit(t, "resumed")
    goes_on(t, "resumed")
    t.prepare(CONTEXT + "pause", "Y")
    commit(t, "paused")
    goes_on(t, "paused")
    commands(t)
    process.end()
    time.sleep(1)
    t.record("still on", STATE, "paused, its process gone", t.raw_read(STATE).strip())
    t.prepare(CONTEXT + "pause", "N")
    t.write(STATE, "commit", "commit, its process gone")
    t.write(STATE, "off")
    state(t)


def commands(t):
    for command in ("update_schemes_stats", "update_schemes_tried_bytes", "update_schemes_tried_regions",
                    "clear_schemes_tried_regions", "update_schemes_effective_quotas", "update_tuned_intervals",
                    "commit_schemes_quota_goals", "commit"):
        t.write(STATE, command)
    t.record("regions", STATE, "", "some" if region_numbers(t, "schemes/0") else "none")


def goes_on(t, what):
    """Whether schemes are tried in the course of time."""
    def tried():
        t.raw_write(STATE, "update_schemes_stats")
        return int(t.raw_read(SCHEME + "stats/nr_tried"))
    before = tried()
    time.sleep(1)
    t.record("goes on", STATE, what, "yes" if tried() > before else "no")


METRICS = ("user_input", "some_mem_psi_us", "node_mem_used_bp", "node_mem_free_bp", "node_memcg_used_bp",
           "node_memcg_free_bp", "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp")


@newer(QUOTAS + "goal_tuner")
def goals(t, process):
    t.write(STATE, "on")
    t.prepare(QUOTAS + "goals/nr_goals", 1)
    goal = QUOTAS + "goals/0/"
    for metric in METRICS:
        if "EINVAL" in t.set(goal + "target_metric", metric):
            continue
        for tuner in ("consist", "temporal"):
            t.prepare(QUOTAS + "goal_tuner", tuner)
            for nid, path, value in ((0, "/", 5000), (-1, "/", 5000), (7, "/", 5000), (100000, "/", 5000),
                                     (0, "/nobody", 5000), (0, "/", 0)):
                t.prepare(goal + "nid", nid)
                t.prepare(goal + "path", path)
                t.prepare(goal + "target_value", value)
                what = "%s %s nid %d path %s value %d" % (metric, tuner, nid, path, value)
                commit(t, what)
                t.write(STATE, "commit_schemes_quota_goals", "commit_schemes_quota_goals " + what)
                if t.raw_read(STATE) != "on\n":
                    t.write(STATE, "on", "on " + what)
    t.write(STATE, "update_schemes_effective_quotas")
    t.read(QUOTAS + "effective_bytes", is_number)
    t.write(STATE, "off")


@newer(QUOTAS + "goal_tuner")
def tuners(t, process):
    """What quota results: met goals end what `temporal` does, and keep what `consist` does."""
    goal = QUOTAS + "goals/0/"
    t.prepare(QUOTAS + "goals/nr_goals", 1)
    t.prepare(QUOTAS + "reset_interval_ms", 100)
    t.prepare(goal + "target_value", 10000)
    for tuner in ("consist", "temporal"):
        for value in (0, 10000, 20000):
            t.prepare(QUOTAS + "goal_tuner", tuner)
            t.prepare(QUOTAS + "bytes", 1 << 20)
            t.prepare(goal + "current_value", value)
            t.write(STATE, "on", "on, %s %d" % (tuner, value))
            # `consist` doubles its quota every 100 ms while the goal is not met: from 1 to the 1 MiB that are allowed.
            time.sleep(4 if tuner == "consist" and value == 0 else 0.7)
            t.write(STATE, "update_schemes_effective_quotas")
            t.read(QUOTAS + "effective_bytes")
            t.write(STATE, "off")


@newer(QUOTAS + "fail_charge_num")
def fail_charge(t, process):
    t.prepare(QUOTAS + "bytes", 1 << 20)
    for num, denom in ((0, 0), (1, 0), (0, 1), (1, 1), (1, 4), (5, 4), (4294967295, 4294967295), (1, 4294967295)):
        t.prepare(QUOTAS + "fail_charge_num", num)
        t.prepare(QUOTAS + "fail_charge_denom", denom)
        try_on(t, "fail charge %d/%d" % (num, denom))
    t.write(STATE, "on")
    for num, denom in ((0, 0), (1, 0), (5, 4), (1, 4)):
        t.prepare(QUOTAS + "fail_charge_num", num)
        t.prepare(QUOTAS + "fail_charge_denom", denom)
        commit(t, "fail charge %d/%d" % (num, denom))
    t.write(STATE, "off")


KINDS = ("anon", "active", "memcg", "young", "hugepage_size", "unmapped", "addr", "target")


@newer(SCHEME + "core_filters/nr_filters")
def filters(t, process):
    for directory in ("core_filters", "ops_filters", "filters"):
        below = SCHEME + directory + "/"
        t.prepare(below + "nr_filters", 1)
        for kind in KINDS:
            if "EINVAL" in t.set(below + "0/type", kind):
                continue
            try_on(t, "%s %s" % (directory, kind))
        for kind, low, high in (("addr", "addr_start", "addr_end"), ("hugepage_size", "min", "max")):
            if "EINVAL" in t.set(below + "0/type", kind):
                continue
            for start, end in ((0, 0), (4096, 8192), (8192, 4096), (1, 0), (0, (1 << 64) - 1), (5, 5)):
                t.prepare(below + "0/" + low, start)
                t.prepare(below + "0/" + high, end)
                try_on(t, "%s %s %d to %d" % (directory, kind, start, end))
        t.prepare(below + "nr_filters", 0)
    t.write(STATE, "on")
    below = SCHEME + "core_filters/"
    t.prepare(below + "nr_filters", 1)
    t.prepare(below + "0/type", "addr")
    for start, end in ((4096, 8192), (8192, 4096), (5, 5)):
        t.prepare(below + "0/addr_start", start)
        t.prepare(below + "0/addr_end", end)
        commit(t, "addr %d to %d" % (start, end))
    t.write(STATE, "off")


@newer(TARGET + "obsolete_target")
def obsolete(t, process):
    with Sleeper() as other:
        t.prepare(CONTEXT + "targets/nr_targets", 2)
        t.prepare(TARGET + "pid_target", process.pid)
        t.prepare(CONTEXT + "targets/1/pid_target", other.pid)
        t.write(STATE, "on")
        t.prepare(TARGET + "obsolete_target", "Y")
        commit(t, "first is obsolete")
        t.read(TARGET + "obsolete_target")
        t.read(CONTEXT + "targets/nr_targets")
        commit(t, "once more")
        other.end()
        time.sleep(1)
        t.record("still on", STATE, "the second has ended", t.raw_read(STATE).strip())
        t.write(STATE, "off")
        fresh(t, process.pid)
        t.prepare(TARGET + "obsolete_target", "Y")
        try_on(t, "the only target is obsolete")
        t.prepare(TARGET + "obsolete_target", "N")
        t.write(STATE, "on")
        t.prepare(TARGET + "obsolete_target", "Y")
        t.write(STATE, "commit", "commit, the only target is obsolete")
        still_on(t, "without targets")


@newer(KDAMOND + "refresh_ms")
def refresh(t, process):
    tried = SCHEME + "stats/nr_tried"
    for milliseconds in (0, 50):
        t.prepare(KDAMOND + "refresh_ms", milliseconds)
        configure(t, process.pid)  # for a scheme without statistics
        t.write(STATE, "on", "on, refresh %d" % milliseconds)
        time.sleep(2)
        t.read(tried, is_positive if milliseconds else None)
        t.prepare(KDAMOND + "refresh_ms", 0 if milliseconds else 50)
        time.sleep(2)
        t.read(tried, is_positive)
        t.write(STATE, "off")
        state(t)


@newer(SCHEME + "stats/max_nr_snapshots")
def snapshots(t, process):
    for most in (3, 0):
        t.prepare(SCHEME + "stats/max_nr_snapshots", most)
        t.write(STATE, "on", "on, at most %d" % most)
        time.sleep(1.5)
        t.write(STATE, "update_schemes_stats")
        t.read(SCHEME + "stats/nr_snapshots", None if most else is_positive)
        t.read(SCHEME + "stats/max_nr_snapshots")
        goes_on(t, "at most %d snapshots" % most)
        t.write(STATE, "off")


@newer(GOAL + "access_bp")
def intervals_goal(t, process):
    t.write(STATE, "on")
    for values in ((0, 0, 0, 0), (400, 3, 5000, 10000000), (400, 3, 0, 0), (400, 0, 5000, 10000000),
                   (0, 3, 5000, 10000000), (400, 3, 10000000, 5000), (400, 3, 6000, 10000000),
                   (400, 3, 1000, 4000), (10001, 3, 5000, 10000000), (1 << 60, 1 << 60, 5000, 5000)):
        for name, value in zip(("access_bp", "aggrs", "min_sample_us", "max_sample_us"), values):
            t.prepare(GOAL + name, value)
        what = "goal %d %d %d %d" % values
        commit(t, what)
        t.raw_write(STATE, "off")
        try_on(t, what)
        for name in ("access_bp", "aggrs", "min_sample_us", "max_sample_us"):
            t.prepare(GOAL + name, 0)
        t.raw_write(STATE, "on")
    t.write(STATE, "update_tuned_intervals")
    t.read(INTERVALS + "sample_us")
    t.write(STATE, "off")


@newer(SCHEME + "dests/nr_dests")
def destinations(t, process):
    t.prepare(SCHEME + "access_pattern/nr_accesses/min", 90000)  # nothing is to move
    for action in ("migrate_hot", "migrate_cold", "collapse", "hugepage", "nohugepage", "lru_deprio"):
        if "EINVAL" in t.set(SCHEME + "action", action):
            continue
        for count, weights in ((0, ()), (1, (0,)), (2, (30, 70)), (2, (0, 0)), (2, (4294967295, 1))):
            t.prepare(SCHEME + "dests/nr_dests", count)
            for number, weight in enumerate(weights):
                t.prepare(SCHEME + "dests/%d/weight" % number, weight)
                t.prepare(SCHEME + "dests/%d/id" % number, 1000 * number)
            try_on(t, "%s to %r" % (action, weights))


SECTIONS = [probes, pause, goals, tuners, fail_charge, filters, obsolete, refresh, snapshots, intervals_goal,
            destinations]
