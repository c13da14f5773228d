"""damo's records, made from the daemon's trace events by the perf that stands in `damonfs exec`."""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from conftest import IN_GUEST, MIB, PATIENCE, wait_until


def snapshots(damo, record):
    """The regions of each snapshot of a record, as (start, end, nr_accesses)."""
    done = damo("report access --raw_form --input %s" % record)
    if done.returncode != 0 or not done.stdout.lstrip().startswith(("[", "{")):
        done = damo("report access --json --input %s" % record)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def regions(damo, record):
    """(start, end, nr_accesses) of every event in a record."""
    done = damo("convert_record_format --record_file %s --format perf_script --output_file %s.txt" % (record, record))
    assert done.returncode == 0, done.stdout
    text = (damo.directory / (record + ".txt")).read_text()
    found = re.findall(r"damon:damon_aggregated: target_id=\d+ nr_regions=\d+ (\d+)-(\d+): (\d+) (\d+)", text)
    assert found, text[:500]
    return [tuple(map(int, each)) for each in found]


def check_pattern(damo, target, record):
    """Most of what was accessed in most samples is the hot part, and most of that is among it."""
    hot = (target.hot, target.hot + 8 * MIB)
    seen = right = 0
    for start, end, nr_accesses, _ in regions(damo, record):
        if nr_accesses >= 10:
            seen += end - start
            right += max(0, min(end, hot[1]) - max(start, hot[0]))
    assert seen > 0 and right / seen > 0.6, (right, seen)


RECORDS = {
    "pid": "--timeout 3 --do_record access -o {r} {pid}",
    "target_pid": "--timeout 3 --do_record access -o {r} --target_pid {pid}",
    "json": "--timeout 3 --do_record access --output_type json -o {r} {pid}",
    "perf_script": "--timeout 3 --do_record access --output_type perf_script -o {r} {pid}",
    "intervals": "--timeout 3 --do_record access --monitoring_intervals 2ms 40ms 1s -o {r} {pid}",
    "nr_regions": "--timeout 3 --do_record access --monitoring_nr_regions_range 20 200 -o {r} {pid}",
    "snapshot": "--snapshot 0.5s 4 --do_record access -o {r} {pid}",
    "schemes": "--timeout 3 --do_record access --schemes_target_regions --damos_action stat -o {r} {pid}",
}


@pytest.mark.parametrize("name", RECORDS)
def test_record(damo, target, name):
    record = name + ".record"
    done = damo("record " + RECORDS[name].replace("{r}", record))
    assert done.returncode == 0, done.stdout
    assert not damo.on()  # damo turns off what it has turned on
    if name == "json":
        # damo 3.4.3 takes no uncompressed record for one of its own when it reads it again.
        assert json.loads((damo.directory / record).read_text())
    elif name == "snapshot":
        assert snapshots(damo, record)
    else:
        check_pattern(damo, target, record)


def test_record_perf_data(damo):
    done = damo("record --timeout 1 --do_record access --output_type perf_data -o data.record {pid}")
    assert done.returncode == 0, done.stdout
    done = damo.exec("perf", "script", "-i", "data.record")
    assert done.returncode == 0, done.stdout
    assert re.match(r" *kdamond\.0 +\d+ \[\d{3}\] +\d+\.\d{6}: damon:damon_aggregated: target_id=0 nr_regions=\d+ "
                    r"\d+-\d+: \d+ \d+\n", done.stdout), done.stdout[:300]


def test_record_of_tuned_intervals(damo):
    done = damo("record --timeout 2 --do_record access --monitoring_intervals_goal 4% 1 1ms 10s "
                "--output_type perf_data -o tuned.record {pid}")
    assert done.returncode == 0, done.stdout
    done = damo.exec("perf", "script", "-i", "tuned.record")
    assert done.returncode == 0, done.stdout
    tuned = re.findall(r"(?m): damon:damon_monitor_intervals_tune: sample_us=(\d+)$", done.stdout)
    assert tuned and all(1000 <= int(sample) <= 10_000_000 for sample in tuned), done.stdout[:300]


def test_record_of_children(damo):
    """damo makes targets of the children of its target, while it records."""
    parent = subprocess.Popen(["sh", "-c", "sleep 100 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    child = parent.stdout.readline().strip()
    process = damo.start(damo.program, "record", "--do_record", "access", "-o", "family.record", parent.pid,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # The file of the pid is written after the target was made.
        wait_until(lambda: damo.on() and damo.read("targets/nr_targets") == "2"
                   and damo.read("targets/1/pid_target") == child, "for the child")
        # damo 3.4.3 adds the child once more every second, at the end of --timeout, too, and does not write a record
        # with a target of which there is one snapshot only.
        wait_until(lambda: int(damo.read("targets/nr_targets")) > 2, "for the next second")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == signal.SIGINT
    finally:
        process.kill()
        os.kill(int(child), signal.SIGKILL)
        parent.kill()
        parent.communicate()
        process.wait(PATIENCE)
    assert not damo.on()


def test_record_of_ongoing(damo, target):
    assert damo("start {pid}").returncode == 0
    tid = damo.read("/0/pid")
    done = damo("record --timeout 3 --do_record access -o ongoing.record ongoing")
    assert done.returncode == 0, done.stdout
    assert damo.read("/0/pid") == tid  # damo leaves on what was on
    check_pattern(damo, target, "ongoing.record")


def test_record_of_a_command(damo):
    done = damo(["record", "--do_record", "access", "-o", "command.record", "sleep 1.5"])
    assert done.returncode == 0, done.stdout
    assert regions(damo, "command.record")


def test_record_interrupted(damo):
    process = damo.start(damo.program, "record", "--do_record", "access", "-o", "interrupted.record", damo.pid,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(damo.on, "for the record")
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    assert regions(damo, "interrupted.record")
    assert not damo.on()


def test_record_of_all_events(damo):
    done = damo("record --timeout 2 --do_record damon_trace_events --damos_action stat -o events.record {pid}")
    assert done.returncode == 0, done.stdout
    done = damo("report trace --input events.record.trace")
    assert done.returncode == 0, done.stdout
    assert "damon_aggregated" in done.stdout
    assert re.search("damon_region_aggregated", done.stdout)
    done = damo("report trace --input events.record.trace --event damon:damos_before_apply")
    assert done.returncode == 0, done.stdout
    assert "damos_before_apply" in done.stdout and "aggregated" not in done.stdout, done.stdout[:300]


def test_live_trace(damo):
    """Interrupted by the terminal's Ctrl-C, while nobody reads what damo prints and so damo reads nothing of perf's
    any more: damo waits for perf, which must not wait for damo."""
    assert damo("start {pid} --damos_action stat --damos_quota_interval 1s --damos_quota_space 1G").returncode == 0
    process = damo.start(damo.program, "report", "trace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, start_new_session=True)
    first = []

    def has_begun():  # before, damo does not expect a signal
        if select.select([process.stdout], [], [], 0)[0]:
            first.append(os.read(process.stdout.fileno(), 4096).decode())
        return "damon_" in "".join(first)

    wait_until(has_begun, "for the first events")
    time.sleep(5)  # two full pipes
    os.killpg(process.pid, signal.SIGINT)
    try:
        out = "".join(first) + process.communicate(timeout=PATIENCE)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    for event in ("damon_aggregated", "damos_before_apply", "damos_esz", "damos_stat_after_apply_interval"):
        assert event in out, out[:1000]


def test_heatmap_shows_the_hot_part(damo, target, record):
    """A column is 1/64 of the memory; the hot eighth of it is where it is, and nothing else is."""
    memory = "%d %d" % (target.memory, target.memory + 64 * MIB)
    done = damo("report heatmap --input %s --resol 6 64 --address_range %s --stdout_skip_colorset_example"
                % (record.name, memory))
    assert done.returncode == 0, done.stdout
    rows = re.findall("(?m)^[0-9]{64}$", done.stdout)
    assert rows, done.stdout
    last = [int(c) for c in rows[-1]]
    hot = last[17:23]
    cold = last[:14] + last[27:]
    assert min(hot) > max(cold), rows


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="no gnuplot")
def test_picture(damo, record):
    done = damo("report heatmap --input %s --output heat.png" % record.name)
    assert done.returncode == 0, done.stdout
    assert (damo.directory / "heat.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_holistic_without_perf(damo, record, tmp_path):
    """damo takes ours for one, and wants a report of functions from it, of a profile that cannot have been recorded."""
    for name in ("file", "which"):  # what damo needs
        (tmp_path / name).symlink_to(shutil.which(name))
    done = damo.exec("env", "PATH=/sys/kernel/mm/.damonfs/bin:%s" % tmp_path, damo.program, "report", "holistic",
                     "--access_pattern", record.name)
    assert done.returncode == 0, done.stdout
    said = "# Hotspot functions\n# this machine has no perf: no profile of functions\n"
    assert done.stdout.endswith(said + "\n"), done.stdout


# What is done with a record.


@pytest.mark.parametrize("line", ["validate --input {r} --nr_regions 3 1000 --aggr 50000 500000",
                                  "adjust --input {r} --output adjusted --aggregate_interval 1000000",
                                  "convert_record_format --record_file {r} --format json --output_file converted",
                                  "replay {r}", "report heatmap --input {r} --draw_range all"])
def test_use_of_a_record(damo, record, line):
    done = damo(line.replace("{r}", record.name))
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout and "fail" not in done.stdout, done.stdout


def test_validate_refuses(damo, record):
    done = damo("validate --input %s --aggr 1 2" % record.name)
    assert done.returncode != 0


# Without a record.


def test_monitor(damo):
    # Each of them starts damo twice, which takes an emulated processor half a minute.
    done = damo("monitor --delay 1 --count %d {pid}" % (1 if IN_GUEST else 2))
    assert done.returncode == 0, done.stdout
    assert re.search("[0-9]{40,}", done.stdout), done.stdout


def test_args_damon(damo):
    done = damo("args damon {pid} --damos_action cold --damos_sz_region 1 2 --out params.json")
    assert done.returncode == 0, done.stdout
    assert json.loads((damo.directory / "params.json").read_text())["kdamonds"]
    done = damo("start params.json")
    assert done.returncode == 0, done.stdout
    assert damo.read("schemes/0/action") == "cold" and damo.read("/0/state") == "on"


def test_args_accesses_filter(damo):
    done = damo("args accesses_filter --access_rate 10% 20%")
    assert done.returncode == 0 and "access_pattern" in done.stdout, done.stdout


def test_diagnose(damo):
    assert damo("start {pid} --damos_action stat").returncode == 0
    done = damo("diagnose")
    assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout


def test_version(damo):
    assert damo("version").stdout == "3.4.3\n"


@pytest.mark.parametrize("line", ["module reclaim status", "reclaim status", "lru_sort status"])
def test_modules_are_ours(damo, line):
    """What they do: test_modules.py."""
    parameters = pathlib.Path(damo.daemon.directory, "module", "damon_" + line.split()[-2], "parameters")
    (parameters / "wmarks_high").write_text("789")
    done = damo(line)
    assert done.returncode == 0 and "wmarks_high: 789" in done.stdout, done.stdout


def test_damo_killed_while_it_stages(damo):
    """What it leaves the next start overwrites."""
    for delay in (0, 0.003, 0.01):
        damo.daemon.tree.write("nr_kdamonds", 0)
        words = [damo.program, "start", str(damo.pid)] + ["--damos_action", "cold", "--damos_sz_region", "1", "2"] * 20
        process = damo.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: damo.read("/nr_kdamonds") != "0" or process.poll() is not None, "for damo to begin")
        time.sleep(delay)
        process.kill()
        process.wait()
        assert damo.read("/0/state") == "off"
        done = damo("start {pid} --damos_action stat")
        assert done.returncode == 0, done.stdout
        assert (damo.read("schemes/nr_schemes"), damo.read("schemes/0/action")) == ("1", "stat")
        assert damo.read("targets/0/pid_target") == str(damo.pid)
        assert damo.read("/0/state") == "on"
        damo.daemon.tree.clear()


# What damo says of the tree.




def test_features(damo):
    done = damo("features json")
    assert done.returncode == 0, done.stdout
    features = json.loads(done.stdout[done.stdout.index("{"):])
    assert features["interface/damon_sysfs"] is True
    ours = {name: there for name, there in features.items() if name.startswith(("sysfs/", "trace/"))}
    missing = {name for name, there in ours.items() if not there}
    assert not missing
    assert len(ours) >= 60
