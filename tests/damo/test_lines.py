"""damo's command lines, one by one: exit status, and what they must have caused in the tree or printed."""

import re
import signal
import subprocess
import time

import pytest

import lines
from conftest import PATIENCE, on_cgroup2, wait_until


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


@pytest.mark.parametrize("name", lines.START)
def test_start(damo, other, name):
    line, files = lines.START[name]
    if "memcg" in name and not on_cgroup2():
        pytest.skip("memory cgroups are found on cgroup2 only")
    done = damo("start " + filled(line, damo, other))
    assert done.returncode == 0, done.stdout
    assert damo.read("/0/state") == "on"
    check_files(damo, files, other)


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
    """damo writes the command alone; the goals in the files are what is committed."""
    started = damo("start {pid} --damos_action stat --damos_quota_interval 1s --damos_quota_goal user_input 100 50")
    assert started.returncode == 0, started.stdout
    damo.daemon.tree.write("0/contexts/0/schemes/0/quotas/goals/0/current_value", 77)
    done = damo("tune --quota_goals_only {pid} --damos_action stat --damos_quota_interval 1s "
                "--damos_quota_goal user_input 100 77")
    assert done.returncode == 0, done.stdout
    assert damo.read("schemes/0/quotas/goals/0/current_value") == "77"


def test_schemes(damo):
    """`damo schemes` applies them until it is interrupted, and stops then."""
    process = damo.start(damo.program, "schemes", damo.pid, "--damos_action", "stat", stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    wait_until(damo.on, "for the schemes")
    assert damo.read("schemes/0/action") == "stat"
    # damo 3.4.3 takes a signal that comes just as it has turned it on, and goes on all the same.
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    assert not damo.on()


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


@pytest.mark.parametrize("name", lines.REPORT_RECORD)
def test_report_of_a_record(damo, record, name):
    line, printed = lines.REPORT_RECORD[name]
    done = damo("report " + line.replace("{r}", record.name))
    assert done.returncode == 0, done.stdout
    assert re.search(printed, done.stdout), done.stdout
    assert "Traceback" not in done.stdout
