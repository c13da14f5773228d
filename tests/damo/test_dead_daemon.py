"""The daemon is killed under a damo that runs: what becomes of damo, and that nothing stays behind."""

import os
import signal
import subprocess
import time

import pytest

from conftest import Damo, PATIENCE, wait_until
from damon_tree import DAMONFS, Daemon

GONE = "Transport endpoint is not connected"


@pytest.fixture
def damo(damo_program, target, tmp_path):
    """With a daemon of its own."""
    with Daemon() as daemon:
        yield Damo(damo_program, daemon, tmp_path, target.pid)
        subprocess.run([DAMONFS, "umount", daemon.directory], check=True, timeout=PATIENCE)


def start(damo, *words):
    """A damo in the background that has turned its kdamond on."""
    process = damo.start(damo.program, *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_until(damo.on, "for damo to turn it on")
    time.sleep(1)  # see check_schemes()
    process.namespace = os.readlink("/proc/%d/ns/mnt" % process.pid)
    return process


def kill_daemon(damo):
    damo.daemon.process.kill()
    damo.daemon.process.wait()


def living_in(namespace):
    """Processes that see that view; but for zombies, which see nothing."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/ns/mnt" % entry) == namespace:
                found.append(int(entry))
        except OSError:
            pass
    return found


def check_end(process):
    """Returns what damo said."""
    out, _ = process.communicate(timeout=PATIENCE)
    wait_until(lambda: not living_in(process.namespace), "for all in the view to end")
    return out


def test_schemes(damo):
    process = start(damo, "schemes", str(damo.pid), "--damos_action", "stat")
    kill_daemon(damo)
    began = time.monotonic()
    out = check_end(process)
    assert GONE in out and "Traceback" not in out, out
    assert process.returncode == 0  # as when its kdamond ends by itself
    assert time.monotonic() - began < 10


def test_record_with_a_timeout(damo):
    """damo looks whether its target lives; what was recorded until then can be read."""
    process = start(damo, "record", "--timeout", "4", "--do_record", "access", "-o", "dead.record", str(damo.pid))
    kill_daemon(damo)
    began = time.monotonic()
    out = check_end(process)
    assert "the stream of events has ended" in out and GONE in out and "Traceback" not in out, out
    assert time.monotonic() - began < 10
    with Daemon() as another:
        done = Damo(damo.program, another, damo.directory, damo.pid)("report access --input dead.record")
    assert done.returncode == 0 and "\ntotal size: " in done.stdout, done.stdout


def test_record_until_interrupted(damo):
    process = start(damo, "record", "--do_record", "access", "-o", "dead.record", str(damo.pid))
    kill_daemon(damo)
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    check_end(process)
    assert process.returncode != 0


@pytest.mark.parametrize("line", ["start {pid}", "report access", "stop"])
def test_afterwards(damo, line):
    """In a view that was made while the daemon lived. What damo says of it differs, tracebacks among it."""
    words = " ".join([damo.program, line.replace("{pid}", str(damo.pid))])
    process = damo.start("sh", "-c", "echo ready; read _; exec " + words, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = process.stdout.readline()
    assert said.startswith("damonfs exec: uses the daemon that serves at ")
    assert process.stdout.readline() == "ready\n"
    process.namespace = os.readlink("/proc/%d/ns/mnt" % process.pid)
    kill_daemon(damo)
    out = check_end(process)
    assert process.returncode == 1 and (GONE in out or "not supported" in out), out
