"""The only ways in which damonfs may answer otherwise than the kernel it is held against (6.12 or newer).

Each has a name, which says why, and tells which steps it accounts for, and of which kernels it is
true. A difference that does not show itself fails the comparison: it is no longer true.
"""

import re

STATE = "kdamonds/0/state"
CONTEXT = "kdamonds/0/contexts/0/"
SCHEME = CONTEXT + "schemes/0/"
NO_SUCH_FILE = r"ENOENT.*|\(no such step\)"


# What a release of the kernel is compared with that has not happened yet.
NOT_YET = "999.0"


def version(release):
    """(6, 12) of "6.12" and of "6.12.117+deb12-amd64"."""
    return tuple(int(number) for number in re.match(r"(\d+)\.(\d+)", release).groups())


class Difference:
    """Steps whose section, operation, path and value match the patterns, each as a whole, and to
    which the two answered so. True of kernels from `since` on that are older than `before`."""

    def __init__(self, name, section=".*", op=".*", path=".*", value=".*", kernel=".*",
                 damonfs=".*", since="0.0", before=NOT_YET):
        self.name = name
        self.since, self.before = version(since), version(before)
        self.patterns = [re.compile(p, re.DOTALL) for p in (section, op, path, value, kernel,
                                                            damonfs)]

    def covers(self, step, kernel, damonfs):
        texts = list(step[:4]) + [kernel, damonfs]
        return all(p.fullmatch(text) for p, text in zip(self.patterns, texts))


def newer(path, release):
    """A file, or a directory and all in it, that kernels before this release do not have."""
    name = path.split("/contexts/0/")[-1]
    return Difference("newer: %s (%s)" % (name, "in no kernel yet" if release == NOT_YET else release),
                      path=path + "(/.*)?", kernel=NO_SUCH_FILE, before=release)


def newer_words(path, words, release, what, since="0.0"):
    """Keywords that kernels before this release refuse. `since`: when the file itself came."""
    return Difference("newer: %s (%s)" % (what, "in no kernel yet" if release == NOT_YET else release),
                      section="keywords", op="set", path=path, value=r"(%s)(\n)?" % "|".join(words),
                      kernel="EINVAL, .*", damonfs="ok, .*", since=since, before=release)


NEWER_FILES = [
    newer("kdamonds/0/refresh_ms", "6.17"),
    newer(CONTEXT + "addr_unit", "6.18"),
    newer(CONTEXT + "pause", "7.2"),
    newer(CONTEXT + "monitoring_attrs/intervals/intervals_goal", "6.15"),
    newer(CONTEXT + "monitoring_attrs/probes/0/preps", NOT_YET),
    newer(CONTEXT + "monitoring_attrs/probes/0/filters/0/(min|max)", NOT_YET),
    newer(CONTEXT + "monitoring_attrs/probes/0/filters/0/avail_types", NOT_YET),
    newer(CONTEXT + "monitoring_attrs/probes", "7.2"),
    newer(CONTEXT + "monitoring_attrs/sample", NOT_YET),
    newer(CONTEXT + "operations_attrs", NOT_YET),
    newer(CONTEXT + "targets/[0-9]+/obsolete_target", "6.19"),
    newer(SCHEME + "dests", "6.17"),
    newer(SCHEME + "core_filters", "6.15"),
    newer(SCHEME + "ops_filters", "6.15"),
    newer(SCHEME + "filters/0/allow", "6.14"),
    newer(SCHEME + "filters/0/(min|max)", "6.15"),
    newer(SCHEME + "(core_|ops_|)filters/0/avail_types", NOT_YET),
    newer(SCHEME + "quotas/goals/0/complement", NOT_YET),
    newer(SCHEME + "quotas/goals/0/nid", "6.16"),
    newer(SCHEME + "quotas/goals/0/path", "6.19"),
    newer(SCHEME + "quotas/goal_tuner", "7.1"),
    newer(SCHEME + "quotas/fail_charge_(num|denom)", "7.2"),
    newer(SCHEME + "stats/sz_ops_filter_passed", "6.14"),
    newer(SCHEME + "stats/(max_)?nr_snapshots", "7.0"),
    newer(SCHEME + "tried_regions/0/sz_filter_passed", "6.14"),
    newer(SCHEME + "tried_regions/0/probes", "7.2"),
]

NEWER_WORDS = [
    newer_words(SCHEME + "action", ["collapse"], "7.2", "action collapse"),
    newer_words(SCHEME + "quotas/goals/0/target_metric", ["node_mem_used_bp", "node_mem_free_bp"], "6.16",
                "quota goals of a node's memory"),
    newer_words(SCHEME + "quotas/goals/0/target_metric",
                ["node_memcg_used_bp", "node_memcg_free_bp"], "6.19", "quota goals of a memcg's share of a node"),
    newer_words(SCHEME + "quotas/goals/0/target_metric",
                ["active_mem_bp", "inactive_mem_bp"], "7.0", "quota goals of the LRU lists"),
    newer_words(SCHEME + "quotas/goals/0/target_metric", ["node_eligible_mem_bp"], "7.2",
                "quota goal of eligible memory"),
    newer_words(SCHEME + "quotas/goals/0/target_metric", ["hugepage_mem_bp"], NOT_YET,
                "quota goal of huge pages"),
    newer_words(SCHEME + "filters/0/type", ["active", "hugepage_size", "unmapped"], "6.15", "types of filters"),
    newer_words(SCHEME + "(core_)?filters/0/type", ["probe_hits_wsum"], NOT_YET, "filter by probe hits"),
    newer_words(CONTEXT + "monitoring_attrs/probes/0/filters/0/type", ["hugepage_size"], NOT_YET,
                "probes for huge pages", since="7.2"),
    Difference("newer: enable and disable are booleans", section="bools", op="set",
               value="e|enable|d|disable", kernel="EINVAL, .*", damonfs="ok, .*", before="7.1"),
    Difference("newer: the command update_tuned_intervals (6.16)", section="state, on",
               op="write", value="update_tuned_intervals", kernel="EINVAL", damonfs="ok", before="6.16"),
]

COMMANDS = ("commit|commit_schemes_quota_goals|update_schemes_stats|update_schemes_tried_bytes|"
            "update_schemes_tried_regions|update_schemes_effective_quotas|update_tuned_intervals")

BEHAVIOUR = [
    Difference("newer kernels answer ECANCELED to commands for a kdamond that has ended",
               section="state, off again|a target that dies", op="write", value=COMMANDS,
               kernel="EINVAL", damonfs="ECANCELED", before="6.17"),
    Difference("newer kernels clear tried regions in every state (6.14)", section="state, .*|a target.*",
               op="write", value="clear_schemes_tried_regions", kernel="EINVAL", damonfs="ok", before="6.14"),
    Difference("newer kernels take `off` of a kdamond that is off already", op="write", path=STATE, value="off",
               kernel="EPERM", damonfs="ok", before="7.3"),
    Difference("once it was given a goal of eligible memory without paddr, by commit_schemes_quota_goals, the kernel"
               " cannot copy its own context any more and refuses every commit", section="newer, goals",
               op="write", path=STATE, value="commit node_eligible.*", kernel="ENOMEM", damonfs="EINVAL|ok",
               since="7.2"),
    Difference("newer kernels refuse an invalid commit", section="invalid commit", op="write",
               value="commit .*", kernel="ok", damonfs="EINVAL|ENOMEM", before="6.17"),
    Difference("newer kernels run on after an invalid commit", section="invalid commit",
               op="still on", kernel="off", damonfs="on", before="6.17"),
    Difference("newer kernels number each scheme's tried regions from 0 on",
               section="tried regions of two schemes", op="numbers", kernel="with holes",
               damonfs="0 on", before="6.17"),
    Difference("newer kernels round a region outwards before they look at its order",
               section="on with all sorts of regions", value="on, v?f?vaddr 1fff-1001",
               kernel="EINVAL", damonfs="ok", before="6.18"),
    Difference("physical memory is not watched with soft-dirty", section="defaults",
               path=".*/avail_operations", kernel=r".*vaddr\\npaddr\\n'", damonfs=r".*vaddr\\n'"),
    Difference("FUSE: lseek of an open file is the kernel's own affair, also when its directory is"
               " gone; the read after it answers ENODEV", section="open files of removed directories",
               op="fd lseek", kernel="ENODEV", damonfs="0"),
    Difference("FUSE: a private mapping of a file that bypasses the page cache can be made",
               section="other calls", op="mmap", value="private", kernel="ENODEV", damonfs="4096"),
    Difference("FUSE: no extended attributes, for the kernel would ask for them at every write",
               section="other calls", op="(get|list)xattr", damonfs="ENOTSUP"),
]


def differences(release):
    """Those that are true of this kernel."""
    return [d for d in NEWER_FILES + NEWER_WORDS + BEHAVIOUR
            if d.since <= version(release) < d.before]
