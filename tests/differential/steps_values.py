"""What each file takes, refuses and reads back, before anything runs."""

KDAMOND = "kdamonds/0/"
CONTEXT = KDAMOND + "contexts/0/"
TARGET = CONTEXT + "targets/0/"
SCHEME = CONTEXT + "schemes/0/"

# Kinds of numbers. Every spelling goes to one file of each kind, a few to all.
ULONG = [
    CONTEXT + "addr_unit",
    CONTEXT + "monitoring_attrs/intervals/sample_us",
    CONTEXT + "monitoring_attrs/intervals/aggr_us",
    CONTEXT + "monitoring_attrs/intervals/update_us",
    CONTEXT + "monitoring_attrs/intervals/intervals_goal/access_bp",
    CONTEXT + "monitoring_attrs/intervals/intervals_goal/aggrs",
    CONTEXT + "monitoring_attrs/intervals/intervals_goal/min_sample_us",
    CONTEXT + "monitoring_attrs/intervals/intervals_goal/max_sample_us",
    CONTEXT + "monitoring_attrs/nr_regions/min",
    CONTEXT + "monitoring_attrs/nr_regions/max",
    TARGET + "regions/0/start",
    TARGET + "regions/0/end",
    SCHEME + "apply_interval_us",
    SCHEME + "access_pattern/sz/min",
    SCHEME + "access_pattern/sz/max",
    SCHEME + "access_pattern/nr_accesses/min",
    SCHEME + "access_pattern/nr_accesses/max",
    SCHEME + "access_pattern/age/min",
    SCHEME + "access_pattern/age/max",
    SCHEME + "quotas/goals/0/target_value",
    SCHEME + "quotas/goals/0/current_value",
    SCHEME + "watermarks/interval_us",
    SCHEME + "watermarks/high",
    SCHEME + "watermarks/mid",
    SCHEME + "watermarks/low",
    SCHEME + "filters/0/addr_start",
    SCHEME + "filters/0/addr_end",
    SCHEME + "filters/0/min",
    SCHEME + "filters/0/max",
    SCHEME + "stats/max_nr_snapshots",
]
# These answer EINVAL even to what is too big.
ULONG_EINVAL = [
    SCHEME + "quotas/ms",
    SCHEME + "quotas/bytes",
    SCHEME + "quotas/reset_interval_ms",
]
UINT = [
    SCHEME + "quotas/weights/sz_permil",
    SCHEME + "quotas/weights/nr_accesses_permil",
    SCHEME + "quotas/weights/age_permil",
    SCHEME + "quotas/fail_charge_num",
    SCHEME + "quotas/fail_charge_denom",
    CONTEXT + "monitoring_attrs/probes/0/weight",
    SCHEME + "dests/0/id",
    SCHEME + "dests/0/weight",
    KDAMOND + "refresh_ms",
]
INT = [
    SCHEME + "target_nid",
    SCHEME + "quotas/goals/0/nid",
    SCHEME + "filters/0/damon_target_idx",
]
INT_EINVAL = [TARGET + "pid_target"]

SPELLINGS = [
    "0", "5", "5\n", "+5", "+5\n", "-5", "-5\n", "-0", "+0", "0x10", "0X1f", "0xAbC\n", "+0x10",
    "-0x10", "010", "-010", "00", "007\n", "08", "019", "0x", "0xg", "0x\n", "", "\n", " 5", "5 ",
    "\t5", "5\t", "5\n\n", "\n5", "5\r\n", "abc", "five", "+", "-", "++5", "+-5", "-+5", "--5",
    "5a", "5,", "5 6", "1_0", "1.5", "1e3", "0b11", "5\0", "5\0junk", "5\n\0junk", "\0005", "5\0\n",
    "127", "255", "256", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649",
    "4294967295", "4294967296", "4294967296x", "2147483648x", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "18446744073709551616x",
    "0xffffffffffffffff", "0x10000000000000000", "01777777777777777777777",
    "02000000000000000000000", "-18446744073709551616", "9" * 40, "0" * 100 + "7",
]
FEW_SPELLINGS = ["7", "0x10\n", "010", "-1", "x", "", "5\n\n", "4294967296",
                 "18446744073709551615", "18446744073709551616", "0"]

BOOLS = [
    SCHEME + "filters/0/matching",
    SCHEME + "filters/0/allow",
    CONTEXT + "monitoring_attrs/probes/0/filters/0/matching",
    CONTEXT + "monitoring_attrs/probes/0/filters/0/allow",
    TARGET + "obsolete_target",
    CONTEXT + "pause",
]
BOOL_SPELLINGS = ["1", "e", "enable", "0", "d", "disable", "1", "0", "y", "Y", "yes", "n", "N", "no\n", "t", "True", "f", "false", "on",
                  "ON\n", "off", "Of", "o", "ox", "o\n", "2", "", "\n", " 1", "10", "-1", "Yjunk",
                  "\0001", "\x31\0"]

# Last those that a file of this name has taken in every kernel, so that it is as it was in all after those that not all take.
FILTER_TYPES = ["active", "young", "hugepage_size", "unmapped", "probe_hits_wsum", "addr", "target", "memcg", "anon"]
# The same for probes, which take fewer: memcg and anon have always been among them.
PROBE_FILTER_TYPES = ["active", "young", "unmapped", "probe_hits_wsum", "addr", "target", "hugepage_size", "memcg", "anon"]

KEYWORDS = {
    CONTEXT + "operations": ["vaddr", "fvaddr", "paddr"],
    SCHEME + "action": ["willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse",
                        "lru_prio", "lru_deprio", "migrate_hot", "migrate_cold", "stat"],
    SCHEME + "quotas/goals/0/target_metric": [
        "node_mem_used_bp", "node_mem_free_bp", "node_memcg_used_bp", "node_memcg_free_bp",
        "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp", "hugepage_mem_bp", "user_input",
        "some_mem_psi_us"],
    SCHEME + "quotas/goal_tuner": ["consist", "temporal"],
    SCHEME + "watermarks/metric": ["none", "free_mem_rate"],
    SCHEME + "filters/0/type": FILTER_TYPES,
    SCHEME + "core_filters/0/type": FILTER_TYPES,
    SCHEME + "ops_filters/0/type": FILTER_TYPES,
    CONTEXT + "monitoring_attrs/probes/0/filters/0/type": PROBE_FILTER_TYPES,
}

TEXTS = [SCHEME + "filters/0/memcg_path", SCHEME + "quotas/goals/0/path",
         CONTEXT + "monitoring_attrs/probes/0/filters/0/path"]

COUNTS = [
    CONTEXT + "targets/nr_targets",
    TARGET + "regions/nr_regions",
    CONTEXT + "schemes/nr_schemes",
    SCHEME + "quotas/goals/nr_goals",
    SCHEME + "filters/nr_filters",
    SCHEME + "core_filters/nr_filters",
    SCHEME + "ops_filters/nr_filters",
    SCHEME + "dests/nr_dests",
    CONTEXT + "monitoring_attrs/probes/nr_probes",
    CONTEXT + "monitoring_attrs/probes/0/filters/nr_filters",
]
# What has to be there for the files above, in this order; newer than 6.12 where it says so.
MAKE = [
    "kdamonds/nr_kdamonds",
    KDAMOND + "contexts/nr_contexts",
    CONTEXT + "targets/nr_targets",
    TARGET + "regions/nr_regions",
    CONTEXT + "schemes/nr_schemes",
    SCHEME + "quotas/goals/nr_goals",
    SCHEME + "filters/nr_filters",
]
MAKE_NEWER = [SCHEME + "dests/nr_dests", SCHEME + "core_filters/nr_filters",
              SCHEME + "ops_filters/nr_filters",
              CONTEXT + "monitoring_attrs/probes/nr_probes",
              CONTEXT + "monitoring_attrs/probes/0/preps/nr_preps",
              CONTEXT + "monitoring_attrs/probes/0/filters/nr_filters",
              CONTEXT + "monitoring_attrs/sample/filters/nr_filters"]


def make_all(t):
    """One of everything, with default values."""
    for path in MAKE:
        t.prepare(path, 1)
    for path in MAKE_NEWER:
        if t.exists(path):
            t.prepare(path, 1)


def tree(t):
    t.begin("tree, empty")
    t.walk("")
    t.read("kdamonds/nr_kdamonds")
    t.begin("tree, one of all")
    make_all(t)
    t.walk("")
    t.begin("defaults")
    for directory, _, files in sorted(os_walk(t)):
        for name in sorted(files):
            t.read(directory + name)


def os_walk(t):
    import os
    for directory, directories, files in os.walk(t.root):
        below = os.path.relpath(directory, t.root)
        yield ("" if below == "." else below + "/"), directories, files


def numbers(t):
    t.begin("spelling of numbers")
    make_all(t)
    for path in (ULONG[1], ULONG_EINVAL[1], UINT[0], INT[0], INT_EINVAL[0],
                 COUNTS[0]):
        for text in SPELLINGS:
            # Nothing that takes long or much memory to make.
            if path in COUNTS and text in ("65536", "0x10000"):
                continue
            t.set(path, text)
    make_all(t)
    t.begin("numbers everywhere")
    for path in ULONG + ULONG_EINVAL + UINT + INT + INT_EINVAL:
        for text in FEW_SPELLINGS:
            t.set(path, text)


def words(t):
    make_all(t)
    t.begin("bools")
    for path in BOOLS:
        for text in BOOL_SPELLINGS:
            t.set(path, text)
    t.begin("keywords")
    for path, known in KEYWORDS.items():
        for word in known:
            t.set(path, word)
            t.set(path, word + "\n")
        last = known[-1]
        for text in ("", "\n", "nonsense", last.upper(), last + " ", " " + last, last + "\n\n",
                     last[:-1], last + "x", last + "\0x", "0", "1"):
            t.set(path, text)
    t.begin("texts")
    for path in TEXTS:
        for text in ("", "\n", "/", "/\n", "/a", "/a\n", "/a\n\n", "/a b", "/a\0/b", "\0", "x" * 100,
                     "x" * 4094, "x" * 4095, "x" * 4096, "x" * 4097, "x" * 5000):
            t.set(path, text)


def counts(t):
    t.begin("counts")
    make_all(t)
    for path in COUNTS:
        for text in ("-1", "x", "", "2147483648", "0x2", "3\n", "5", "4", "0", "1"):
            t.set(path, text)
        make_all(t)
    t.begin("counts of contexts")
    for text in ("2", "-1", "x", "4294967296", "1", "0", "0x1", "01"):
        t.set(KDAMOND + "contexts/nr_contexts", text)
    t.begin("counts of kdamonds")
    for text in ("-1", "x", "4294967296", "3", "0x2", "0", "1"):
        t.set("kdamonds/nr_kdamonds", text)
    t.begin("too many")
    make_all(t)
    for path in (CONTEXT + "targets/nr_targets", CONTEXT + "schemes/nr_schemes",
                 TARGET + "regions/nr_regions", "kdamonds/nr_kdamonds"):
        for text in ("524289", "2147483647"):
            t.set(path, text)
        make_all(t)
    t.begin("resets")
    t.set(SCHEME + "action", "pageout")
    t.set(TARGET + "pid_target", "77")
    t.set(CONTEXT + "schemes/nr_schemes", "1")
    t.read(SCHEME + "action")
    t.read(SCHEME + "quotas/goals/nr_goals")
    t.set(KDAMOND + "contexts/nr_contexts", "1")
    t.read(CONTEXT + "targets/nr_targets")
    t.prepare(CONTEXT + "targets/nr_targets", 12)
    t.walk(CONTEXT + "targets")
    t.set(CONTEXT + "targets/11/pid_target", "11")
    t.set(CONTEXT + "targets/10/pid_target", "10")
    t.set(CONTEXT + "targets/nr_targets", "2")
    t.read(TARGET + "pid_target")


SECTIONS = [tree, numbers, words, counts]
