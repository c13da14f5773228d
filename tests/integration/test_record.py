"""`damonfs record`: what it writes, how it ends, and what it refuses."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import DAMONFS, Mount, found_by_samples, skip_without_backend, wait_until
from damon_tree import WORKLOAD
from record_tools import HEAP, MIB, PATTERN, damonfs, record, recording, wait_for_size

SLEEPER = [sys.executable, "-c", "import time; time.sleep(1000)"]


def report(path, *words):
    done = damonfs("report", path, *words)
    assert done.returncode == 0, done.stderr
    return done


def summary(path):
    return json.loads(report(path, "--json").stdout)


def names_of(path):
    return {each["name"]: each for each in summary(path)["names"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A record of five seconds, for tests that only read it."""
    path, done = record(tmp_path_factory.mktemp("record"), "--for", "5s")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^damonfs record: \d+ snapshots in 5\.\d s: .* in .*record$", done.stderr, re.MULTILINE)
    return path


def test_it_says_what_was_hot(made):
    found = summary(made)
    assert (found["backend"], found["operations"], found["asked"]) == ("synthetic", "vaddr", "pid 1")
    assert 40 <= found["nr_snapshots"] <= 50
    names = {each["name"]: each for each in found["names"]}
    assert {name: names[name]["mapped"] for name in names} == {"program": 2 * MIB, "heap": 64 * MIB, "cache": 4 * MIB}
    # The part that is hot at the end; the one before counts as warm.
    assert 12 * MIB <= names["heap"]["last"]["hot"] <= 24 * MIB
    assert names["heap"]["last"]["warm"] >= 8 * MIB
    assert names["cache"]["last"]["hot"] == 0
    assert 12 * MIB <= found["working_set"][0]["percentiles"]["50"] <= 32 * MIB


def test_the_table(made):
    lines = report(made).stdout.splitlines()
    assert lines[0].startswith("pid 1: ")
    head = next(line for line in lines if "size" in line)
    assert head.split() == ["size", "hot", "warm", "10s+", "1min+", "10min+", "1h+", "never", "unknown"]
    heap = next(line for line in lines if line.startswith("heap"))
    assert heap.split()[1] == "64M"
    assert "Working set" in lines and "What could go" in lines


@pytest.mark.parametrize("width", [20, 30, 44, 60, 80, 200])
def test_the_table_fits(made, width):
    text = report(made, "--width", width).stdout
    assert max(len(line) for line in text.splitlines()) <= width
    assert "heap" in text and "hot" in text


def test_csv(made):
    head, *rows = report(made, "--csv", "--every", "1s").stdout.splitlines()
    assert head == "time,name,kind,bytes,hot,warm,cold_10s,cold_1min,cold_10min,cold_1h,unknown"
    assert {row.split(",")[1] for row in rows} == {"program", "heap", "cache"}
    times = sorted({float(row.split(",")[0]) for row in rows})
    assert 4 <= len(times) <= 6
    assert all(b - a >= 0.99 for a, b in zip(times, times[1:]))


def test_a_report_goes_to_a_file(made, tmp_path):
    report(made, "--json", "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out").read_text())["schema"] == 1
    done = damonfs("report", made, "-o", tmp_path / "no/where")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no/where: No such file or directory" in done.stderr
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([DAMONFS, "report", str(made)], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "No space left on device" in done.stderr


def test_the_same_record_gives_the_same_reports(made):
    for words in ([], ["--json"], ["--csv"], ["--html"], ["--pattern"]):
        assert report(made, *words).stdout == report(made, *words).stdout


@pytest.mark.skipif(not shutil.which("zstd"), reason="no zstd")
def test_zstd_unpacks_it(made):
    done = subprocess.run(["zstd", "-dc", "--no-progress"], stdin=made.open("rb"), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=True)
    size = int.from_bytes(done.stdout[:4], "little")
    head = json.loads(done.stdout[4:4 + size])
    assert head["schema"] == 1 and head["backend"] == "synthetic"


# How it ends.


def test_a_signal_ends_it_well(directory):
    for how in (signal.SIGINT, signal.SIGTERM):
        with recording(directory) as (path, process):
            wait_for_size(path, 1500, process)
            process.send_signal(how)
            assert process.wait(20) == 0, process.stderr.read()
            assert " snapshots in " in process.stderr.read()
        assert summary(path)["nr_snapshots"] > 1
        path.unlink()


def test_a_killed_one_is_readable(directory):
    with recording(directory) as (path, process):
        wait_for_size(path, 1500, process)
        process.kill()
        process.wait(20)
    assert "parts of the record" not in report(path).stderr
    assert summary(path)["nr_snapshots"] > 1


def test_it_is_readable_while_it_grows(directory):
    with recording(directory) as (path, process):
        wait_for_size(path, 400, process)
        assert summary(path)["nr_snapshots"] >= 1


def test_a_limit_of_files(directory):
    limit = 3000
    def set_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    with recording(directory, preexec_fn=set_limit) as (path, process):
        assert process.wait(50) == 1
        said = process.stderr.read()
    assert re.search(r"damonfs record: cannot write .*record: File too large\n", said)
    assert re.search(r"record is readable, with what was found until \d\d:\d\d:\d\d\n", said)
    assert path.stat().st_size <= limit
    assert summary(path)["nr_snapshots"] > 1


def test_a_disk_that_fills(directory):
    """A file system of its own that holds one page."""
    (directory / "pattern").write_text(PATTERN)
    disk = directory / "disk"
    disk.mkdir()
    script = """
        mount -t tmpfs -o size=4k none "$1" || exit 99
        "$2" record --backend "synthetic:$3" -o "$1/record" --every 20ms
        status=$?
        cp "$1/record" "$4"
        exit $status"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", disk, DAMONFS, directory / "pattern",
                           directory / "copy"], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    if done.returncode == 99:
        pytest.skip("no tmpfs: %s" % done.stderr)
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr and "is readable" in done.stderr
    assert summary(directory / "copy")["nr_snapshots"] > 1


def test_a_bound_keeps_the_end(directory):
    path, done = record(directory, "--for", "4s", "--max-size", "64K", "--exact", every="10ms")
    assert done.returncode == 0, done.stderr
    assert path.stat().st_size <= 64 << 10
    assert summary(path)["nr_snapshots"] > 1


# What is recorded.


def test_a_kdamond_that_runs(directory):
    mount = Mount(directory, pattern=PATTERN)
    try:
        mount.tree.set_up([1])
        mount.tree.command("on")
        path = directory / "record"
        done = damonfs("record", "--mount", mount.path, "--kdamond", 0, "--for", "1s", "--every", "100ms", "-o", path)
        assert done.returncode == 0, done.stderr
        assert mount.tree.running(0)
        assert summary(path)["asked"] == "kdamond 0"
        assert set(names_of(path)) == {"described memory"}
        # It goes on until the kdamond ends.
        process = subprocess.Popen([DAMONFS, "record", "--mount", mount.path, "--kdamond", "0", "--every", "100ms", "-o",
                                    directory / "second"], stderr=subprocess.PIPE, text=True)
        wait_for_size(directory / "second", 300, process)
        mount.tree.command("off")
        assert process.wait(20) == 0
        assert "the kdamond has ended" in process.stderr.read()
        done = damonfs("record", "--mount", mount.path, "--kdamond", 7, "-o", directory / "third")
        assert (done.returncode, done.stderr) == (1, "damonfs record: there is no kdamond 7 at %s\n" % mount.path)
        assert not (directory / "third").exists()
        mount.tree.clear()
    finally:
        mount.close()


def test_a_command(directory):
    path, done = record(directory, "--", "sh", "-c", "sleep 1; exit 7")
    assert done.returncode == 7
    assert "the command has ended with status 7" in done.stderr
    assert summary(path)["asked"] == "command sh"


def test_a_command_that_is_not_there(directory):
    path, done = record(directory, "--", "no-such-program")
    assert done.returncode == 127 and not path.exists()


@found_by_samples
def test_a_real_process(directory, children):
    target = subprocess.Popen([WORKLOAD, "--size", "64M", "--hot", "8M", "--offset", "16M"], stdout=subprocess.PIPE,
                              text=True)
    children.append(target)
    target.stdout.readline()
    path = directory / "record"
    done = damonfs("record", target.pid, "--for", "6s", "-o", path)
    if done.returncode != 0:
        skip_without_backend("auto", done.stderr)
    found = summary(path)
    assert [(each["pid"], each["comm"]) for each in found["targets"]] == [(target.pid, "workload")]
    # What is in memory, by name, is what the kernel says.
    with open("/proc/%d/smaps" % target.pid, encoding="ascii") as smaps:
        rss = sum(int(line.split()[1]) << 10 for line in smaps if line.startswith("Rss:"))
    assert abs(found["memory"]["bytes"] - rss) <= 0.05 * rss
    assert any(each["name"].endswith("/libc.so.6") and each["kind"] == "file" for each in found["names"])
    assert 6 * MIB <= found["memory"]["hot"] <= 16 * MIB


@found_by_samples
def test_processes_by_their_name(directory, children):
    """Two of a name that nobody else has."""
    name = "rec%d" % os.getpid()
    for _ in range(2):
        children.append(subprocess.Popen(["perl", "-e", "$0 = '%s'; $x = 'a' x 1e7; sleep 1000" % name]))
    wait_until(lambda: all(open("/proc/%d/comm" % child.pid, encoding="ascii").read() == name + "\n" for child in children),
               "for the names")
    path = directory / "record"
    done = damonfs("record", "--comm", name, "--for", "3s", "-o", path)
    if done.returncode != 0:
        skip_without_backend("auto", done.stderr)
    found = summary(path)
    assert found["asked"] == "comm " + name
    assert sorted(each["pid"] for each in found["targets"]) == sorted(child.pid for child in children)


@found_by_samples
def test_a_process_that_ends(directory, children):
    target = subprocess.Popen(SLEEPER)
    children.append(target)
    path = directory / "record"
    process = subprocess.Popen([DAMONFS, "record", str(target.pid), "-o", path, "--every", "100ms"],
                               stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or (path.exists() and path.stat().st_size > 400), "for a snapshot")
        if process.poll() is not None:
            skip_without_backend("auto", process.stderr.read())
        target.kill()
        target.wait()
        assert process.wait(30) == 0
        assert "has ended" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
    assert summary(path)["nr_snapshots"] > 0


# What is refused.


@pytest.mark.parametrize("words, said", [
    ([], "what is to be recorded?"),
    (["1", "--", "true"], "one of processes, a command and --kdamond, not several"),
    (["--kdamond", "0"], "--kdamond requires --mount"),
    (["1", "--mount", "/x", "--backend", "idle"], "--backend is for a daemon of our own"),
    (["1", "--every", "1ms"], "--every must be 10ms at the least"),
    (["1", "--every", "often"], "--every"),
    (["1", "--max-size", "0"], "some size is wanted"),
    (["1", "2", "--comm", "x"], "not several"),
])
def test_options_that_do_not_go_together(words, said):
    done = damonfs("record", *words)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert said in done.stderr


def test_a_file_that_is_there_is_kept(directory):
    (directory / "record").write_text("precious")
    path, done = record(directory, "--for", "1s")
    assert done.returncode == 1
    assert "is there already: give another name, or --force to replace it" in done.stderr
    assert path.read_text() == "precious"


def test_nothing_is_left_where_nothing_was_recorded(directory):
    path, done = record(directory, "--for", "1s", "--max-size", "1K")
    assert done.returncode == 1 and "a record needs 65536 bytes at least" in done.stderr
    done = damonfs("record", "999999999", "-o", path)
    assert done.returncode == 1
    assert not path.exists()


@pytest.mark.parametrize("content, said", [
    (b"", "it is no record of damonfs"), (b"#!/bin/sh\n", "it is no record of damonfs"),
    (os.urandom(100000), "it is no record of damonfs")], ids=["empty", "script", "noise"])
def test_other_files_are_no_records(directory, content, said):
    path = directory / "other"
    path.write_bytes(content)
    done = damonfs("report", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "damonfs report: %s: %s\n" % (path, said)


def test_a_record_that_is_cut_off(made, tmp_path):
    whole = made.read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[:-100])
    done = report(path)
    assert re.search(r"parts of the record are damaged or cut off \(\d+ bytes, 0 of \d+ frames\)", done.stderr)
    assert 0 < summary(path)["nr_snapshots"] < summary(made)["nr_snapshots"]
    path.write_bytes(whole[:40])
    done = damonfs("report", path)
    assert (done.returncode, done.stderr) == (1, "damonfs report: %s: the record holds no snapshot yet\n" % path)


def test_a_record_that_is_damaged_in_the_middle(made, tmp_path):
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 0x55
    path = tmp_path / "damaged"
    path.write_bytes(content)
    done = report(path)
    assert "1 of" in done.stderr and "what follows is of the rest" in done.stderr
    assert summary(path)["nr_snapshots"] < summary(made)["nr_snapshots"]


# Patterns.

CONFIG = """\
kdamonds:
  - contexts:
      - targets: [{pid_target: 1}]
"""


def simulated(directory, pattern, length):
    config = directory / "config.yaml"
    config.write_text(CONFIG)
    done = damonfs("simulate", config, pattern, "--for", length, "--every", "200ms", "--sweep", "0")
    assert done.returncode == 0, done.stderr
    return re.findall(r"(?m)^ *([^|\n]+?) \|([^|\n]*)\|", done.stdout)


def hot_columns(row):
    """Where a row of a heat map is accessed in more than half of the samples."""
    return [i for i, mark in enumerate(row) if mark in "*%#@"]


def test_a_pattern_plays_what_was_recorded(made, tmp_path):
    """Described, recorded, described again, and simulated: the same columns are hot at the same times."""
    (tmp_path / "first").write_text("clock virtual\n" + PATTERN)
    (tmp_path / "second").write_text(report(made, "--pattern").stdout)
    first = simulated(tmp_path, tmp_path / "first", "5s")
    second = simulated(tmp_path, tmp_path / "second", "5s")
    assert [time for time, _ in first] == [time for time, _ in second]
    compared = 0
    for (time, a), (_, b) in zip(first, second):
        # Regions take a moment to settle after the start and after the hot part has moved.
        seconds = float(time.split()[0]) if time.endswith(" s") else 0
        if not (1.4 < seconds < 2.6 or 4.4 < seconds):
            continue
        a, b = hot_columns(a), hot_columns(b)
        assert a and b, (time, first, second)
        assert abs(a[0] - b[0]) <= 1 and abs(a[-1] - b[-1]) <= 1, (time, a, b)
        assert abs(len(a) - len(b)) <= 2, (time, a, b)
        compared += 1
    assert compared >= 6


def test_a_pattern_has_the_mappings(made):
    text = report(made, "--pattern", "--every", "500ms").stdout
    assert re.search(r"(?m)^process 1$", text) and "clock virtual" in text
    maps = re.findall(r"(?m)^  map (\S+) (\S+) (\d+)K( file)?$", text)
    assert ("heap", "%#x" % HEAP, "65536", "") in maps
    assert ("cache", "0x7ff000000000", "4096", " file") in maps
    assert all(int(us) % 500000 == 0 for us in re.findall(r"(?m)^  phase (\d+)us$", text))
