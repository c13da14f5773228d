"""Which of the tests run in the laboratory's guests, where a processor is emulated and all takes ten to twenty times
as long: every subcommand that talks to DAMON, and of their options one of each kind."""

import os

TESTS = {
    "test_start": [
        "defaults", "ops-fvaddr", "regions", "intervals-goal", "addr_unit", "pause", "two-targets", "two-kdamonds", "probe",
        "probe-weight", "pattern", "two-schemes", "quotas", "tuner-temporal", "wmarks", "action-cold", "action-pageout",
        "action-hugepage", "action-migrate_hot", "action-dests", "filter-anon", "filter-memcg", "filter-addr",
        "filter-target", "goal-node_mem_used_bp", "goal-active_mem_bp", "goal-node_memcg_used_bp",
        "goal-node_memcg_free_bp", "probe-memcg", "paddr-regions"],
    "test_refused": ["page_fault"],
    "test_tune": ["intervals", "target"],
    "test_report": ["access", "access-json", "damon", "damon-json"],
    "test_report_of_a_record": ["access-json", "heatmap", "wss", "footprints", "times", "holistic"],
    "test_record": ["pid", "snapshot"],
    "test_use_of_a_record": ["validate", "replay"],
    **{name: [] for name in (
        "test_stop", "test_stop_of_nothing", "test_start_of_nobody", "test_start_of_a_command", "test_schemes",
        "test_record_perf_data", "test_record_of_ongoing", "test_live_trace", "test_monitor", "test_args_damon",
        "test_diagnose", "test_modules_are_ours", "test_features")},
}
# Which start damo anew several times, at half a minute each: in one guest.
LONG = ("test_monitor", "test_record[snapshot", "test_use_of_a_record[replay")


def chosen(item):
    """Whether `item`, of pytest, is one of them: no words stand for all parameters, else their first words."""
    if item.name.startswith(LONG) and os.environ.get("DAMONFS_LAB") != "damon":
        return False
    name, _, parameters = item.name.rstrip("]").partition("[")
    words = TESTS.get(name)
    return words == [] or bool(words) and any((parameters + " ").startswith(word + " ") for word in words)
