"""An older damo (2.9.9, of July 2025), which knows less of the tree: what people still have installed."""

import re
import subprocess

import pytest

from conftest import TESTS, Damo, check_schemes
from damon_tree import BUILD

VERSION = "2.9.9"


@pytest.fixture(scope="module")
def older_program():
    done = subprocess.run([str(TESTS.parent / "scripts/damo.sh"), str(BUILD / ("damo-" + VERSION)), VERSION], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=600)
    return done.stdout.strip()


@pytest.fixture
def older(older_program, session_daemon, home, target):
    session_daemon.tree.clear()
    yield Damo(older_program, session_daemon, home, target.pid)
    session_daemon.tree.clear()


# `damo start LINE`, and what it leaves.
START = {
    "defaults": ("{pid}", {"operations": "vaddr", "targets/0/pid_target": "{pid}", "schemes/nr_schemes": "0"}),
    "intervals": ("--monitoring_intervals 10ms 200ms 3s {pid}", {
        "monitoring_attrs/intervals/sample_us": "10000", "monitoring_attrs/intervals/aggr_us": "200000"}),
    "scheme": ("{pid} --damos_action stat --damos_sz_region 4K max --damos_age 1s max", {
        "schemes/0/action": "stat", "schemes/0/access_pattern/sz/min": "4096",
        "schemes/0/access_pattern/age/min": "10"}),
    "filters": ("{pid} --damos_action stat --damos_filter allow anon --damos_filter reject addr 4096 8192", {
        "schemes/0/ops_filters/0/type": "anon", "schemes/0/core_filters/0/type": "addr"}),
    "quotas": ("{pid} --damos_action stat --damos_quotas 10ms 1M 1s 1 2 3", {
        "schemes/0/quotas/ms": "10", "schemes/0/quotas/weights/age_permil": "3"}),
    "goal": ("{pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal user_input 100 50", {
        "schemes/0/quotas/goals/0/target_value": "100"}),
}


@pytest.mark.parametrize("name", START)
def test_start(older, name):
    line, files = START[name]
    done = older("start " + line)
    assert done.returncode == 0, done.stdout
    assert older.read("/0/state") == "on"
    wanted = {path: value.replace("{pid}", str(older.pid)) for path, value in files.items()}
    assert {path: older.read(path) for path in wanted} == wanted


def test_it_is_that_version(older):
    assert older("version").stdout.strip() == VERSION


def test_tune_and_stop(older):
    assert older("start {pid}").returncode == 0
    tid = older.read("/0/pid")
    done = older("tune --monitoring_intervals 4ms 80ms 2s {pid} --damos_action stat")
    assert done.returncode == 0, done.stdout
    assert older.read("/0/pid") == tid
    assert older.read("monitoring_attrs/intervals/sample_us") == "4000"
    assert older.read("schemes/0/action") == "stat"
    done = older("stop")
    assert done.returncode == 0, done.stdout
    assert not older.on()


def test_record_and_reports(older):
    done = older("record --timeout 3 -o older.record {pid}")
    assert done.returncode == 0, done.stdout
    assert not older.on()
    for line, printed in (("heatmap --input older.record", "(?m)^[0-9]{20,}"),
                          ("wss --input older.record", r"(?m)^ *50"),
                          ("access --input older.record", "total size")):
        done = older("report " + line)
        assert done.returncode == 0, done.stdout
        assert re.search(printed, done.stdout), done.stdout


def test_record_of_snapshots(older):
    assert older("start {pid} --damos_action stat").returncode == 0
    done = older("record --snapshot 0.5s 2 -o snapshots.record")
    assert done.returncode == 0, done.stdout
    done = older("report access --input snapshots.record")
    assert done.returncode == 0 and "total size" in done.stdout, done.stdout


def test_reports_of_what_runs(older):
    assert older("start {pid} --damos_action stat").returncode == 0
    for line, printed in (("access", "total size"), ("damon", "state: on")):
        done = older("report " + line)
        assert done.returncode == 0, done.stdout
        assert re.search(printed, done.stdout), done.stdout


def test_schemes(older):
    check_schemes(older)


def test_features(older):
    done = older("features supported")
    assert done.returncode == 0, done.stdout
    assert "schemes_quota_goals" in done.stdout
