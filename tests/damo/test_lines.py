"""damo's command lines, one by one: exit status, and what they must have caused in the tree or printed."""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest

import lines
from conftest import MIB, check_schemes, on_cgroup2, wait_until


def filled(text, damo, other):
    return text.replace("{pid}", str(damo.pid)).replace("{other}", str(other))


@pytest.fixture
def other():
    """A second process to watch."""
    process = subprocess.Popen(["sleep", "100"])
    yield process.pid
    process.kill()
    process.wait()


def check_files(damo, files, other):
    wanted = {name: filled(value, damo, other) for name, value in files.items()}
    assert {name: damo.read(name) for name in wanted} == wanted


def needs_paddr(damo):
    damo.daemon.tree.write("nr_kdamonds", 1)
    damo.daemon.tree.write("0/contexts/nr_contexts", 1)
    if "paddr" not in damo.read("avail_operations").split():
        assert not {"pte", "idle"} & set(os.environ.get("DAMONFS_REQUIRE", "").split(",")), "no paddr"
        pytest.skip("the backend does not watch physical addresses: no BPF")
    damo.daemon.tree.clear()


@pytest.mark.parametrize("name", lines.START)
def test_start(damo, other, name):
    line, files = lines.START[name]
    if "memcg" in name and not on_cgroup2():
        pytest.skip("memory cgroups are found on cgroup2 only")
    if files.get("operations") == "paddr":
        needs_paddr(damo)
    done = damo(("start " + filled(line, damo, other)).rstrip())
    assert done.returncode == 0, done.stdout
    assert damo.read("/0/state") == "on"
    check_files(damo, files, other)


def test_start_of_a_numa_node(damo):
    """The RAM of the node, which is all RAM where there is but one."""
    needs_paddr(damo)
    done = damo("start --numa_node 0")
    assert done.returncode == 0, done.stdout
    where = "targets/0/regions/"
    watched = [tuple(int(damo.read("%s%d/%s" % (where, n, bound))) for bound in ("start", "end"))
               for n in range(int(damo.read(where + "nr_regions")))]
    ram = [(int(start, 16), int(last, 16) + 1) for start, last in re.findall(
        "(?m)^([0-9a-f]+)-([0-9a-f]+) : System RAM$", pathlib.Path("/proc/iomem").read_text())]
    assert watched and set(watched) <= set(ram), (watched, ram)
    if not pathlib.Path("/sys/devices/system/node/node1").exists():
        assert watched == ram


def test_action(damo):
    """On the target's own memory, for which that is no harm."""
    started = damo("start {pid} --damos_action cold --damos_access_rate 0% 0%")
    assert started.returncode == 0, started.stdout

    def stats():
        done = damo("report damon --damos_stats --raw")
        assert done.returncode == 0, done.stdout
        return {name: int(value.replace(",", "")) for name, value in re.findall(r"(?m)^(\w+): ([\d,]+)$", done.stdout)}

    wait_until(lambda: stats()["sz_applied"] > 16 * MIB, "for the action")
    now = stats()
    assert 0 < now["nr_applied"] <= now["nr_tried"] and now["sz_applied"] <= now["sz_tried"]


@pytest.mark.parametrize("name", lines.REFUSED)
def test_refused(damo, other, name):
    done = damo("start " + filled(lines.REFUSED[name], damo, other))
    assert done.returncode != 0, done.stdout
    assert not damo.on()


def test_probe_hits(damo, target):
    """The target's memory is anonymous: every sample of it hits. (Regions at its ends come of ones that lay across.)"""
    started = damo("start --target_pid {pid} --probe --probe_filter allow anon --probe --probe_filter reject anon "
                   "--probe --probe_filter allow pgidle_unset --damos_action stat")
    assert started.returncode == 0, started.stdout
    time.sleep(3)
    done = damo("report access --json --dont_merge_regions")
    assert done.returncode == 0, done.stdout
    regions = [region for snapshot in json.loads(done.stdout)[0]["snapshots"] for region in snapshot["regions"]]
    hits = {}
    for region in regions:
        start, end = (int(str(region[name]).replace(",", "")) for name in ("start", "end"))
        if start < target.memory + 64 * MIB and target.memory < end:
            hits[(start, end)] = region["probe_hits"], int(str(region["nr_accesses"]["samples"]))
    hot = (target.hot, target.hot + 8 * MIB)
    inside = [(h, n) for (start, end), (h, n) in hits.items()
              if 2 * (min(end, hot[1]) - max(start, hot[0])) > end - start]
    assert len(hits) > len(inside) > 0, hits
    assert all(h[:2] == [20, 0] for h, _ in inside), hits
    # Accesses as a probe counts them are those that the monitoring counts.
    assert all(h[2] == n for h, n in hits.values()), hits
    assert max(n for _, n in inside) > 10
    text = damo("report access")
    assert re.search(r"(?m) 20 0 \d+ *$", text.stdout), text.stdout
    attributes = damo("report attrs")
    assert attributes.returncode == 0, attributes.stdout
    assert "- allow anon (weight: 0)\n" in attributes.stdout, attributes.stdout
    assert re.search(r"(?m)^\d+ .* [1-9]\d* 0 \d+ *$", attributes.stdout), attributes.stdout


@pytest.mark.parametrize("name", lines.TUNE)
def test_tune(damo, other, name):
    line, files = lines.TUNE[name]
    started = damo("start {pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal user_input 100 50")
    assert started.returncode == 0, started.stdout
    tid = damo.read("/0/pid")
    done = damo("tune " + filled(line, damo, other))
    assert done.returncode == 0, done.stdout
    assert damo.read("/0/pid") == tid  # the same kdamond goes on
    check_files(damo, files, other)


def test_stop(damo):
    assert damo("start {pid}").returncode == 0
    done = damo("stop")
    assert done.returncode == 0, done.stdout
    assert damo.read("/0/state") == "off"


def test_stop_of_nothing(damo):
    done = damo("stop")
    assert done.returncode == 1
    assert "not turned on" in done.stdout


def test_start_twice(damo):
    assert damo("start {pid}").returncode == 0
    tid = damo.read("/0/pid")
    done = damo("start {pid}")
    assert done.returncode != 0
    assert damo.read("/0/pid") == tid


def test_start_of_a_command(damo):
    done = damo(["start", "sleep 3"])
    assert done.returncode == 0, done.stdout
    assert damo.read("/0/state") == "on"
    assert int(damo.read("targets/0/pid_target")) > 0


def test_start_of_nobody(damo):
    assert damo("start --target_pid 999999999").returncode != 0
    assert damo.read("/0/state") == "off"


def test_tune_quota_goals_only(damo):
    """damo writes the command alone; the goals in the files are what is committed: far from its goal the quota grows,
    beyond it it shrinks."""
    started = damo("start {pid} --damos_action stat --damos_quota_interval 100ms "
                   "--damos_quota_goal user_input 100 50")
    assert started.returncode == 0, started.stdout

    def quota():
        damo.daemon.tree.command("update_schemes_effective_quotas")
        return int(damo.read("schemes/0/quotas/effective_bytes"))

    wait_until(lambda: quota() > MIB, "for the quota to grow")
    damo.daemon.tree.write("0/contexts/0/schemes/0/quotas/goals/0/current_value", 1000)
    done = damo("tune --quota_goals_only {pid} --damos_action stat --damos_quota_interval 100ms "
                "--damos_quota_goal user_input 100 1000")
    assert done.returncode == 0, done.stdout
    wait_until(lambda: quota() < MIB, "for the quota to shrink")


def test_schemes(damo):
    check_schemes(damo)


@pytest.mark.parametrize("name", lines.REPORT_RUNNING)
def test_report(damo, name):
    line, printed = lines.REPORT_RUNNING[name]
    started = damo("start {pid} --damos_action stat")
    assert started.returncode == 0, started.stdout
    done = damo("report " + line)
    assert done.returncode == 0, done.stdout
    assert re.search(printed, done.stdout), done.stdout
    assert "Traceback" not in done.stdout
    assert damo.read("/0/state") == "on"


def test_report_of_what_is_hot(damo):
    """Only regions of an access rate of 50% and more, of 200 Hz."""
    assert damo("start {pid} --damos_action stat").returncode == 0
    time.sleep(2)
    done = damo("report access --access_rate 50% 100%")
    assert done.returncode == 0, done.stdout
    rates = [int(rate) for rate in re.findall(r"(?m)^\d+ +addr .* access (\d+) hz ", done.stdout)]
    assert rates and min(rates) >= 100, done.stdout
    assert float(re.search(r"(?m)^total size: ([\d.]+) MiB$", done.stdout)[1]) < 32, done.stdout


@pytest.mark.parametrize("name", lines.REPORT_RECORD)
def test_report_of_a_record(damo, record, name):
    line, printed = lines.REPORT_RECORD[name]
    done = damo("report " + line.replace("{r}", record.name))
    assert done.returncode == 0, done.stdout
    assert re.search(printed, done.stdout), done.stdout
    assert "Traceback" not in done.stdout
