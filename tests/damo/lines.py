"""Command lines of damo and what they must leave in the tree. Paths are below kdamonds/0/contexts/0; one that
begins with a slash is below kdamonds."""

S = "schemes/0/"
Q = S + "quotas/"
INTERVALS = "monitoring_attrs/intervals/"
PROBE = "monitoring_attrs/probes/0/"
MAX64 = str((1 << 64) - 1)

# What `damo start LINE` leaves; everything is on, too.
START = {
    "defaults": ("{pid}", {
        "operations": "vaddr", "targets/0/pid_target": "{pid}", "targets/nr_targets": "1",
        INTERVALS + "sample_us": "5000", INTERVALS + "aggr_us": "100000", INTERVALS + "update_us": "1000000",
        "monitoring_attrs/nr_regions/min": "10", "monitoring_attrs/nr_regions/max": "1000",
        "schemes/nr_schemes": "0", "/nr_kdamonds": "1"}),
    "target_pid": ("--target_pid {pid}", {"operations": "vaddr", "targets/0/pid_target": "{pid}"}),
    "ops-vaddr": ("--ops vaddr --target_pid {pid}", {"operations": "vaddr"}),
    "ops-fvaddr": ("--ops fvaddr --target_pid {pid} --regions 4096-1052672", {
        "operations": "fvaddr", "targets/0/regions/nr_regions": "1", "targets/0/regions/0/start": "4096",
        "targets/0/regions/0/end": "1052672"}),
    "regions": ("--target_pid {pid} --regions 4096-8192_16384-32768", {
        "targets/0/regions/nr_regions": "2", "targets/0/regions/1/start": "16384",
        "targets/0/regions/1/end": "32768"}),
    "intervals": ("--monitoring_intervals 10000 200000 3000000 {pid}", {
        INTERVALS + "sample_us": "10000", INTERVALS + "aggr_us": "200000", INTERVALS + "update_us": "3000000"}),
    "intervals-words": ("--monitoring_intervals 2ms 40ms 1s {pid}", {
        INTERVALS + "sample_us": "2000", INTERVALS + "aggr_us": "40000", INTERVALS + "update_us": "1000000"}),
    "intervals-goal": ("--monitoring_intervals_goal 4% 3 5ms 10s {pid}", {
        INTERVALS + "intervals_goal/access_bp": "400", INTERVALS + "intervals_goal/aggrs": "3",
        INTERVALS + "intervals_goal/min_sample_us": "5000", INTERVALS + "intervals_goal/max_sample_us": "10000000"}),
    "intervals-autotune": ("--monitoring_intervals_autotune {pid}", {
        INTERVALS + "intervals_goal/access_bp": "400", INTERVALS + "intervals_goal/aggrs": "3"}),
    "nr_regions": ("--monitoring_nr_regions_range 5 500 {pid}", {
        "monitoring_attrs/nr_regions/min": "5", "monitoring_attrs/nr_regions/max": "500"}),
    "refresh": ("--refresh_stat 250 {pid}", {"/0/refresh_ms": "250"}),
    "addr_unit": ("--damon_addr_unit 1 {pid}", {"addr_unit": "1"}),
    "pause": ("--pause_ctx 0 --target_pid {pid}", {"pause": "Y"}),
    "two-targets": ("--ops vaddr --target_pid {pid} --damon_target --target_pid {other}", {
        "targets/nr_targets": "2", "targets/0/pid_target": "{pid}", "targets/1/pid_target": "{other}"}),
    "two-kdamonds": ("--kdamond --damon_ctx --damon_target --target_pid {pid} "
                     "--kdamond --damon_ctx --damon_target --target_pid {other}", {
        "/nr_kdamonds": "2", "/0/contexts/0/targets/0/pid_target": "{pid}",
        "/1/contexts/0/targets/0/pid_target": "{other}", "/1/state": "on"}),
    "probe": ("--target_pid {pid} --probe --probe_filter allow anon", {
        "monitoring_attrs/probes/nr_probes": "1", "monitoring_attrs/probes/0/filters/nr_filters": "1",
        "monitoring_attrs/probes/0/filters/0/type": "anon", "monitoring_attrs/probes/0/filters/0/allow": "Y",
        "monitoring_attrs/probes/0/filters/0/matching": "Y"}),
    "probe-weight": ("--target_pid {pid} --probe_filter allow anon --probe_weight 100", {PROBE + "weight": "100"}),
    "probe-not": ("--target_pid {pid} --probe_filter reject non anon", {
        PROBE + "filters/0/matching": "N", PROBE + "filters/0/allow": "N", PROBE + "weight": "0"}),
    "probe-memcg": ("--target_pid {pid} --probe_filter allow memcg /", {
        PROBE + "filters/0/type": "memcg", PROBE + "filters/0/path": "/"}),
    "probe-hugepage_size": ("--target_pid {pid} --probe_filter allow hugepage_size 2M 4M", {
        PROBE + "filters/0/type": "hugepage_size", PROBE + "filters/0/min": "2097152",
        PROBE + "filters/0/max": "4194304"}),
    "probe-prep": ("--target_pid {pid} --probe --probe_prep set_pgidle --probe_filter allow pgidle_unset", {
        PROBE + "preps/nr_preps": "1", PROBE + "preps/0/prep_action": "set_pgidle",
        PROBE + "filters/0/type": "pgidle_unset"}),
    "probe-pgidle_set": ("--target_pid {pid} --probe_filter allow pgidle_set", {
        PROBE + "filters/0/type": "pgidle_set", PROBE + "preps/nr_preps": "0"}),
    "two-probes": ("--target_pid {pid} --probe --probe_filter allow anon --probe "
                   "--probe_filter allow hugepage_size 2M 2M --probe_filter reject anon", {
                       "monitoring_attrs/probes/nr_probes": "2", "monitoring_attrs/probes/1/filters/nr_filters": "2",
                       "monitoring_attrs/probes/1/filters/1/type": "anon"}),
    # Physical addresses, which are only watched.
    "paddr-default": ("", {
        "operations": "paddr", "targets/nr_targets": "1", "targets/0/pid_target": "0",
        "targets/0/regions/nr_regions": "1", "schemes/nr_schemes": "0"}),
    "paddr-regions": ("--ops paddr --regions 1048576-67108864", {
        "operations": "paddr", "targets/0/regions/nr_regions": "1", "targets/0/regions/0/start": "1048576",
        "targets/0/regions/0/end": "67108864"}),
    "all-accesses": ("--target_pid {pid}", {
        "monitoring_attrs/sample/primitives/page_table": "Y", "monitoring_attrs/sample/primitives/page_fault": "N",
        "monitoring_attrs/sample/filters/nr_filters": "0", "operations_attrs/use_reports": "N",
        "operations_attrs/write_only": "N", "operations_attrs/cpus": "all", "operations_attrs/tids": ""}),
    # Access patterns
    "pattern": ("{pid} --damos_action stat --damos_sz_region 4K 1M --damos_access_rate 10% 50% --damos_age 1s 5s", {
        S + "access_pattern/sz/min": "4096", S + "access_pattern/sz/max": "1048576",
        S + "access_pattern/nr_accesses/min": "2", S + "access_pattern/nr_accesses/max": "10",
        S + "access_pattern/age/min": "10", S + "access_pattern/age/max": "50"}),
    "pattern-all": ("{pid} --damos_action stat", {
        S + "access_pattern/sz/min": "0", S + "access_pattern/sz/max": MAX64, S + "access_pattern/age/min": "0"}),
    "apply_interval": ("{pid} --damos_action stat --damos_apply_interval 500ms", {S + "apply_interval_us": "500000"}),
    "two-schemes": ("{pid} --damos_action stat --damos_age 1s max --damos_action cold --damos_age 5s max", {
        "schemes/nr_schemes": "2", S + "action": "stat", "schemes/1/action": "cold",
        "schemes/1/access_pattern/age/min": "50"}),
    "damos_scheme": ("{pid} --damos_scheme --damos_action stat --damos_sz_region 4K max "
                     "--damos_scheme --damos_action cold --damos_sz_region 1 2", {
        "schemes/nr_schemes": "2", S + "action": "stat", S + "access_pattern/sz/max": MAX64,
        "schemes/1/action": "cold", "schemes/1/access_pattern/sz/max": "2"}),
    "max_nr_snapshots": ("{pid} --damos_action stat --damos_max_nr_snapshots 7", {S + "stats/max_nr_snapshots": "7"}),
    # Quotas and goals
    "quotas": ("{pid} --damos_action stat --damos_quotas 10ms 1M 1s 1 2 3", {
        Q + "ms": "10", Q + "bytes": "1048576", Q + "reset_interval_ms": "1000", Q + "weights/sz_permil": "1",
        Q + "weights/nr_accesses_permil": "2", Q + "weights/age_permil": "3"}),
    "quota-time": ("{pid} --damos_action stat --damos_quota_time 20ms --damos_quota_interval 2s", {
        Q + "ms": "20", Q + "reset_interval_ms": "2000"}),
    "quota-space": ("{pid} --damos_action stat --damos_quota_space 8M --damos_quota_interval 1s", {
        Q + "bytes": "8388608", Q + "reset_interval_ms": "1000"}),
    "quota-weights": ("{pid} --damos_action stat --damos_quota_space 8M --damos_quota_interval 1s --damos_quota_weights 100 200 700", {
        Q + "weights/sz_permil": "100", Q + "weights/nr_accesses_permil": "200", Q + "weights/age_permil": "700"}),
    "quota-fail": ("{pid} --damos_action stat --damos_quota_space 8M --damos_quota_interval 1s --damos_quota_fail_charge_ratio 1 10", {
        Q + "fail_charge_num": "1", Q + "fail_charge_denom": "10"}),
    "tuner-consist": ("{pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal user_input 100 50 "
                      "--damos_quota_goal_tuner consist", {Q + "goal_tuner": "consist"}),
    "tuner-temporal": ("{pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal user_input 100 50 "
                       "--damos_quota_goal_tuner temporal", {Q + "goal_tuner": "temporal"}),
    "two-goals": ("{pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal user_input 100 50 "
                  "--damos_quota_goal some_mem_psi_us 1000", {
                      Q + "goals/nr_goals": "2", Q + "goals/0/target_metric": "user_input",
                      Q + "goals/0/target_value": "100", Q + "goals/0/current_value": "50",
                      Q + "goals/1/target_metric": "some_mem_psi_us", Q + "goals/1/target_value": "1000"}),
    # Watermarks
    "wmarks": ("{pid} --damos_action stat --damos_wmarks free_mem_rate 5s 999 998 1", {
        S + "watermarks/metric": "free_mem_rate", S + "watermarks/interval_us": "5000000",
        S + "watermarks/high": "999", S + "watermarks/mid": "998", S + "watermarks/low": "1"}),
    "wmarks-none": ("{pid} --damos_action stat --damos_wmarks none 1s 3 2 1", {S + "watermarks/metric": "none"}),
}

# Every action, each for a part of the target that is never there: nothing is done to anybody's memory.
ACTIONS = ["willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse", "lru_prio", "lru_deprio", "stat"]
for _action in ACTIONS:
    START["action-" + _action] = ("{pid} --damos_action %s --damos_sz_region 1 2" % _action, {S + "action": _action})
for _action in ("migrate_hot", "migrate_cold"):
    START["action-" + _action] = ("{pid} --damos_action %s 0 --damos_sz_region 1 2" % _action, {
        S + "action": _action, S + "target_nid": "0"})
START["action-dests"] = ("{pid} --damos_action migrate_hot 0 3 0 1 --damos_sz_region 1 2", {
    S + "action": "migrate_hot", S + "dests/nr_dests": "2", S + "dests/0/id": "0", S + "dests/0/weight": "3"})

# Filters: where, and what beside `type`. allow and matching are all that every one has.
for _name, _words, _directory, _files in (
        ("anon", "reject anon", "ops_filters", {"type": "anon", "matching": "Y", "allow": "N"}),
        ("none-anon", "allow none anon", "ops_filters", {"type": "anon", "matching": "N", "allow": "Y"}),
        ("active", "allow active", "ops_filters", {"type": "active", "allow": "Y"}),
        ("young", "allow young", "ops_filters", {"type": "young", "allow": "Y"}),
        ("memcg", "allow memcg /", "ops_filters", {"type": "memcg", "memcg_path": "/"}),
        ("hugepage_size", "allow hugepage_size 2M 2M", "ops_filters", {
            "type": "hugepage_size", "min": "2097152", "max": "2097152"}),
        ("unmapped", "allow unmapped", "ops_filters", {"type": "unmapped"}),
        ("addr", "reject addr 4096 8192", "core_filters", {
            "type": "addr", "addr_start": "4096", "addr_end": "8192", "allow": "N"}),
        ("probe_hits_wsum", "allow probe_hits_wsum 5 200", "core_filters", {
            "type": "probe_hits_wsum", "min": "5", "max": "200", "allow": "Y"}),
        ("target", "reject target 0", "core_filters", {"type": "target", "damon_target_idx": "0"})):
    START["filter-" + _name] = ("{pid} --damos_action stat --damos_filter " + _words, {
        S + _directory + "/nr_filters": "1",
        **{S + _directory + "/0/" + _file: _value for _file, _value in _files.items()}})

# Goals: the words after the metric, and the files.
for _metric, _words, _files in (
        ("user_input", "100 10", {"target_value": "100", "current_value": "10"}),
        ("some_mem_psi_us", "1s", {"target_value": "1000000"}),
        ("node_mem_used_bp", "99.7% 0", {"target_value": "9970", "nid": "0"}),
        ("node_mem_free_bp", "0.5% 0", {"target_value": "50", "nid": "0"}),
        ("node_memcg_used_bp", "50% 0 /", {"target_value": "5000", "nid": "0", "path": "/"}),
        ("node_memcg_free_bp", "50% 0 /", {"target_value": "5000", "nid": "0", "path": "/"}),
        ("active_mem_bp", "40%", {"target_value": "4000"}),
        ("active_mem_bp", "40% complement", {"target_value": "4000", "complement": "Y"}),
        ("inactive_mem_bp", "40%", {"target_value": "4000", "complement": "N"})):
    START["goal-%s%s" % (_metric, "-complement" if "complement" in _words else "")] = (
        "{pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal %s %s" % (_metric, _words), {
            Q + "goals/nr_goals": "1", Q + "goals/0/target_metric": _metric,
            **{Q + "goals/0/" + _file: _value for _file, _value in _files.items()}})
# damo 3.4.3 takes no percentage and no node for it.
START["goal-node_eligible_mem_bp"] = (
    "--ops paddr --damos_action stat --damos_quota_interval 1s --damos_quota_goal node_eligible_mem_bp 5000", {
        "operations": "paddr", Q + "goals/0/target_metric": "node_eligible_mem_bp", Q + "goals/0/target_value": "5000",
        Q + "goals/0/nid": "0"})

# `damo start LINE` that cannot be honoured: who accessed, and how, a backend that reads accessed bits does not know.
# (damo 3.4.3 takes the N that --sample_primitives page_table stands for as a yes.)
REFUSED = {
    "page_fault": "--target_pid {pid} --sample_primitives page_fault",
    "reports": "--target_pid {pid} --exp_ops_use_reports Y",
    "write_only": "--target_pid {pid} --exp_ops_write_only Y",
    "cpus": "--target_pid {pid} --exp_ops_cpus 0",
    "tids": "--target_pid {pid} --exp_ops_tids 1",
    "obsolete": "--target_pid {pid} --obsolete_targets 0",  # of a target that is not watched yet
}

# `damo tune LINE` on what `damo start {pid} --damos_action stat` has started.
TUNE = {
    "intervals": ("--monitoring_intervals 4ms 80ms 2s {pid}", {
        INTERVALS + "sample_us": "4000", INTERVALS + "aggr_us": "80000"}),
    "nr_regions": ("--monitoring_nr_regions_range 20 200 {pid}", {"monitoring_attrs/nr_regions/max": "200"}),
    "action": ("{pid} --damos_action cold --damos_sz_region 1 2", {S + "action": "cold"}),
    "no-scheme": ("{pid}", {"schemes/nr_schemes": "0"}),
    "target": ("{other}", {"targets/0/pid_target": "{other}"}),
    "pause": ("--pause_ctx 0 --target_pid {pid}", {"pause": "Y"}),
    "probe": ("--target_pid {pid} --probe_filter allow anon --probe_weight 100", {PROBE + "weight": "100"}),
    "obsolete": ("--target_pid {pid} --damon_target --target_pid {other} --obsolete_targets 0", {
        "targets/nr_targets": "1", "targets/0/pid_target": "{other}"}),
}

REGIONS = r"(?m)^0 +addr [\d.]+ \w+ +size [\d.]+ \w+ +access [\d.,]+ hz +age [^/]*^total size: [\d.]+ [MG]iB"

# `damo report LINE` of a running context with a stat scheme, and what is printed.
REPORT_RUNNING = {
    "access": ("access", REGIONS),
    "access-json": ("access --json", '"nr_accesses"'),
    "access-raw": ("access --raw_number", r"\d{6,}"),
    "access-total": ("access --total_sz_only", r"\A[\d.]+ [MG]iB\n"),
    # Of the target its 64 MiB, which are all there, and little else.
    "access-filter": ("access --snapshot_damos_filter allow anon", r"total size: .* +df-passed 6[4-6]\.\d+ MiB"),
    "access-tried": ("access --input tried_regions_of 0 0 0", REGIONS),
    "access-repeat": ("access --repeat 0.3s 2", r"(?s)\ntotal size: .*\n0 +addr .*\ntotal size: "),
    "damon": ("damon", "state: on"),
    "damon-json": ("damon --format json", '"state"'),
    "damon-summary": ("damon --kdamonds_summary", r"\A0\tstate: on, pid: \d+\n\Z"),
    "damon-stats": ("damon --damos_stats", "tried"),
    "damon-fields": ("damon --damos_stat_fields nr_tried sz_tried", r"\d"),
    "damon-params": ("damon --damon_params", "intervals"),
    "damon-cpu": ("damon --show_cpu_usage", r"cpu usage: \d+\.\d"),
    "sysinfo": ("sysinfo", "damo version: 3.4.3|3.4.3"),
    "sysinfo-features": ("sysinfo --print sysfs_features", "schemes_tried_regions"),
    "pa_layout": ("pa_layout",
                  r"\tSystem RAM\t[^!]*\nDefault paddr monitoring range: \[.*\(size [\d.]+ [MG]iB\)"),
}

# `damo report LINE` of a record, {r}.
REPORT_RECORD = {
    "access": ("access --input {r}", "access"),
    "access-json": ("access --input {r} --json", '"snapshots"'),
    "access-style": ("access --input {r} --style recency-sz-hist",
                     r"<idle time \(us\)> <total size>\n(\[.*\) +[\d.]+ \w+ +\|[* ]+\|\n)+"),
    "heatmap": ("heatmap --input {r} --stdout_skip_colorset_example", "(?m)^[0-9]{20,}"),
    "heatmap-resol": ("heatmap --input {r} --resol 5 40", "(?m)^[0-9]{40}$"),
    "heatmap-guide": ("heatmap --input {r} --guide", r"target_id|region"),
    "heatmap-guide-human": ("heatmap --input {r} --guide_human", r"MiB|TiB"),
    "heatmap-flame": ("heatmap --input {r} --stdout_colorset flame", "[0-9]{20,}"),
    "heatmap-abs": ("heatmap --input {r} --abs_time --abs_addr", "[0-9]{20,}"),
    "wss": ("wss --input {r}", "percentile"),
    "wss-range": ("wss --input {r} --range 0 101 50 --sortby time --raw_number", r"(?m)^ *50"),
    "wss-all": ("wss --input {r} --all_wss", r"\d"),
    "nr_regions": ("nr_regions --input {r}", r"(?m)^ *50"),
    "footprints": ("footprints all --input {r}.mem_footprint", r"\d"),
    "footprints-rss": ("footprints rss --input {r}.mem_footprint --range 0 101 25", r"(?m)^ *25"),
    "profile": ("profile --inputs {r} {r}.profile", r"%"),
    "times": ("times --inputs {r} {r}", r"\A\d+\.\d{6}-\d+\.\d{6}\n# \(seconds\)\n"),
    "holistic": ("holistic --access_pattern {r} --footprints {r}.mem_footprint --profile {r}.profile",
                 # The maps themselves damo 3.4.3 leaves out.
                 r"(?s)# Heatmap\n# target \d+, address range \d+-\d+\n.*\n +wss( +[\d.]+ \w+){5} *\n"
                 r" +rss( +6\d\.\d+ MiB){5} *\n.*\n# Hotspot functions\n.*\S"),
    "record_info": ("record_info --input {r}", r"\d"),
}
