"""damonfs watch: what it prints, how it ends, and that it leaves nothing behind."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from conftest import skip_without_backend  # noqa: E402
from damon_tree import DAMONFS, Daemon  # noqa: E402

PATTERN = TESTS / "integration" / "watch.pattern"
SYNTHETIC = ["--backend", "synthetic:%s" % PATTERN]


def leftovers():
    """Mounts and directories of watches."""
    mounts = [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()
              if "damonfs-watch." in line]
    return mounts + [str(path) for path in pathlib.Path("/tmp").glob("damonfs-watch.*")]


@pytest.fixture(autouse=True)
def leaves_nothing():
    before = leftovers()
    yield
    assert [thing for thing in leftovers() if thing not in before] == []


def watch(*arguments, **options):
    return subprocess.run([DAMONFS, "watch", *arguments], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60, check=False, **options)


def start_watch(*arguments, **options):
    return subprocess.Popen([DAMONFS, "watch", *arguments], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_json_has_a_snapshot_a_line():
    done = watch(*SYNTHETIC, "--seconds", "2", "--interval", "0.5", "--json")
    assert done.returncode == 0, done.stderr
    snapshots = [json.loads(line) for line in done.stdout.splitlines()]
    assert 2 <= len(snapshots) <= 4  # fewer than four where the machine is busy
    for snapshot in snapshots:
        assert set(snapshot) == {"time", "monotonic", "elapsed", "pid", "samples_per_aggregation",
                                 "attrs", "settled", "unknown_bytes", "regions"}
        assert snapshot["samples_per_aggregation"] == 20
        assert 5000 <= snapshot["attrs"]["sample_us"] <= 50000
        assert snapshot["attrs"]["aggr_us"] == 20 * snapshot["attrs"]["sample_us"]
        assert abs(snapshot["time"] - time.time()) < 60
        assert abs(snapshot["monotonic"] - time.monotonic()) < 60
        ends = 0
        for region in snapshot["regions"]:
            assert ends <= region["start"] < region["end"]
            ends = region["end"]
            assert 0 <= region["nr_accesses"] <= 20
    elapsed = [snapshot["elapsed"] for snapshot in snapshots]
    assert elapsed == sorted(elapsed)


def test_a_map_in_plain_text_has_rows_a_legend_and_a_summary():
    done = watch(*SYNTHETIC, "--seconds", "2", "--interval", "0.5", "--width", "100")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert "SYNTHETIC" in lines[0]
    assert any("not accessed" in line and "20 samples" in line for line in lines)
    rows = [line for line in lines if re.match(r" *[0-9.]+ s \|[ .:=+*%#@-]+\|", line)]
    assert len(rows) >= 3
    assert all(len(line) <= 100 for line in rows)
    assert any("watched" in line for line in lines[-3:])
    assert any("accessed within " in line for line in lines[-4:])


def test_fixed_intervals_are_kept():
    done = watch(*SYNTHETIC, "--seconds", "1", "--interval", "0.5", "--json", "--sample", "10ms")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        attrs = json.loads(line)["attrs"]
        assert (attrs["sample_us"], attrs["aggr_us"]) == (10000, 200000)
    done = watch(*SYNTHETIC, "--sample", "1s", "--aggr", "10ms")
    assert done.returncode == 2
    assert "--sample must not be longer" in done.stderr


def test_intervals_grow_where_little_is_accessed(tmp_path):
    (tmp_path / "idle.pattern").write_text(PATTERN.read_text().replace("access data 16M 8M always", "access data 0.001/s")
                                           .replace("  access stack 5%\n", ""))
    done = watch("--backend", "synthetic:%s" % (tmp_path / "idle.pattern"), "--seconds", "3", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[0]["settled"] is False
    assert rows[-1]["attrs"]["sample_us"] >= 10000


def test_it_says_that_it_is_too_early_and_that_nothing_was_accessed(tmp_path):
    (tmp_path / "idle.pattern").write_text("process *\nmap heap 0x555555600000 4M\nmap data 0x7f0000000000 64M unknown\n"
                                           "map stack 0x7ffffff00000 1M\nphase 1h\n")
    idle = ["--backend", "synthetic:%s" % (tmp_path / "idle.pattern")]
    done = watch(*idle, "--seconds", "0.5", "--interval", "0.5")
    assert "| too early" in done.stdout and "too early: " in done.stdout.splitlines()[-1]
    done = watch(*idle, "--seconds", "3", "--sample", "5ms")
    assert done.stdout.splitlines()[-1] == "nothing was accessed in 5 ms samples; 64.0 MiB could not be looked at"
    assert "?" * 20 in done.stdout


def test_on_a_terminal_it_is_drawn_in_place_in_colour():
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen([DAMONFS, "watch", *SYNTHETIC, "--seconds", "1.5", "--interval", "0.5"],
                          stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                          env=environment) as process:
        os.close(follower)
        text = b""
        while select.select([leader], [], [], 30)[0]:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # EIO: the other side has closed
                break
            if not piece:
                break
            text += piece
        os.close(leader)
        assert process.wait(30) == 0
    assert b";48;5;" in text and "█".encode() in text
    assert re.search(rb"\x1b\[[0-9]+A", text)
    assert text.rstrip().endswith(b"\x1b[?7h")


def test_no_color_keeps_to_blocks_on_a_terminal():
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([DAMONFS, "watch", *SYNTHETIC, "--seconds", "0.5", "--interval", "0.5",
                           "--no-color"], stdin=subprocess.DEVNULL, stdout=follower, timeout=60,
                          env=environment, check=False)
    text = os.read(leader, 65536).decode()
    os.close(follower)
    os.close(leader)
    assert done.returncode == 0
    assert "48;5;" not in text and "·" in text


def test_ctrl_c_and_sigterm_end_it_and_its_daemon():
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start_watch(*SYNTHETIC, "--interval", "0.2", "--json")
        process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 128 + number


def test_a_signal_before_the_tree_is_there_leaves_nothing():
    for delay in (0, 0.01, 0.03, 0.1):
        process = start_watch(*SYNTHETIC, "--json")
        time.sleep(delay)
        process.terminate()
        process.communicate(timeout=30)


def test_its_daemon_ends_even_when_it_is_killed():
    process = start_watch(*SYNTHETIC, "--interval", "0.2", "--json")
    process.stdout.readline()
    directories = leftovers()
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while any("fuse" in thing for thing in leftovers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [thing for thing in leftovers() if "fuse" in thing] == []
    for thing in directories:
        if thing.startswith("/tmp/"):
            os.rmdir(thing)  # that much a killed program does leave


def test_a_reader_that_has_enough_ends_it():
    process = start_watch(*SYNTHETIC, "--interval", "0.2", "--json")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 1
    process.stderr.close()


def test_a_process_that_is_not_there_is_refused():
    child = subprocess.Popen(["true"])
    child.wait()
    done = watch(str(child.pid))
    assert done.returncode == 1
    assert "No such process" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--json"], ["1", "--", "true"], ["1", "--interval", "0"]])
def test_options_that_make_no_sense_are_refused(arguments):
    done = watch(*arguments)
    assert done.returncode != 0
    assert done.stderr


@pytest.fixture
def daemon():
    with Daemon("synthetic:%s" % PATTERN) as started:
        yield started


def test_a_tree_in_use_is_left_alone(daemon):
    daemon.tree.write("nr_kdamonds", 2)
    daemon.tree.write("1/refresh_ms", 77)
    done = watch("--mount", daemon.directory, str(os.getpid()), "--seconds", "1")
    assert done.returncode == 1
    assert "in use" in done.stderr and "2 kdamond" in done.stderr
    assert daemon.tree.read("1/refresh_ms") == "77"


def test_a_running_daemon_is_used_and_left_as_it_was(daemon):
    done = watch("--mount", daemon.directory, str(os.getpid()), "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["regions"]
    assert daemon.tree.read("nr_kdamonds") == "0"


def test_a_mount_point_without_a_tree_is_refused(tmp_path):
    done = watch("--mount", str(tmp_path), str(os.getpid()))
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr


# With a command; its accesses are real, so these need a real backend.


@pytest.fixture(scope="module")
def real():
    doctor = subprocess.run([DAMONFS, "doctor"], capture_output=True, text=True, check=False)
    if doctor.returncode != 0:
        skip_without_backend("auto", doctor.stdout)


def test_the_exit_status_is_the_commands(real):
    assert watch("--json", "--", "sh", "-c", "sleep 1; exit 7").returncode == 7
    assert watch("--json", "--", "sh", "-c", "sleep 1; kill -9 $$").returncode == 128 + 9


def test_a_command_that_is_not_there_is_127(real):
    done = watch("--", "/nonexistent/command")
    assert done.returncode == 127
    assert "/nonexistent/command" in done.stderr


def test_a_commands_output_does_not_mix_with_json(real):
    done = watch("--json", "--interval", "0.3", "--", "sh", "-c", "echo hello; sleep 1")
    assert done.returncode == 0
    assert "hello" in done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()]


def test_a_command_is_ended_when_time_is_up(real):
    began = time.monotonic()
    done = watch("--json", "--seconds", "1", "--", "sleep", "30")
    assert done.returncode == 0
    assert time.monotonic() - began < 20


def test_the_end_of_a_process_ends_watching_it(real):
    with subprocess.Popen(["sleep", "1.5"]) as process:
        done = watch("--json", "--interval", "0.3", str(process.pid))
    assert done.returncode == 0
    assert "has ended" in done.stderr


def test_a_command_finds_its_hot_part_drawn(real):
    # An interval that a busy machine leaves the command some time in.
    done = watch("--interval", "0.5", "--seconds", "5", "--sample", "40ms", "--aggr", "400ms",
                 "--width", "120", "--", sys.executable, "-c",
                 "import mmap, time\n"
                 "m = mmap.mmap(-1, 64 << 20); m[::4096] = b'x' * (64 << 8)\n"
                 "end = time.time() + 20\n"
                 "while time.time() < end: m[:8 << 20:4096] = b'y' * (8 << 8); time.sleep(0.002)\n")
    assert done.returncode == 0
    assert "@@" in done.stdout
