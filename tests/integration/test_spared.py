"""What `status` and `doctor` say of processes that schemes leave alone, and of those that could not be looked at."""

import os
import pathlib
import subprocess
import sys

import pytest

from conftest import DAMONFS, real_daemon, wait_until

# It registers memory for io_uring to read and write past its page table; ends with standard input.
FIXED_BUFFERS = """\
import ctypes, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
memory = mmap.mmap(-1, 1 << 16)
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
ring = libc.syscall(425, 8, ctypes.create_string_buffer(120))
buffer = Iovec(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1 << 16)
done = libc.syscall(427, ring, 0, ctypes.byref(buffer), 1) if ring >= 0 else -1
print("ready" if done == 0 else "refused", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def daemon():
    with real_daemon("auto") as started:
        yield started


@pytest.fixture
def ring_user(children):
    process = subprocess.Popen([sys.executable, "-c", FIXED_BUFFERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    children.append(process)
    if process.stdout.readline() != "ready\n":
        pytest.skip("no io_uring here")
    return process


def watch(daemon, *pids):
    daemon.tree.set_up(list(pids), update_us=200000)
    daemon.tree.command("on")


def lines_about(pid, *command):
    done = subprocess.run([DAMONFS, *command], capture_output=True, text=True, check=False, timeout=60)
    return [line.strip() for line in done.stdout.splitlines() if "process %d " % pid in line]


def test_a_process_with_fixed_buffers(daemon, ring_user):
    watch(daemon, ring_user.pid)
    assert lines_about(ring_user.pid, "status", daemon.directory) == [
        "process %d has io_uring with fixed buffers: accesses by that do not show; schemes leave it alone" % ring_user.pid]
    done = subprocess.run([DAMONFS, "doctor"], capture_output=True, text=True, check=False)
    assert any(str(ring_user.pid) in line.split() and "io_uring" in line
               for line in done.stdout.partition("leave alone")[2].splitlines()), done.stdout


def test_a_process_that_is_stuck(daemon, stuck):
    watch(daemon, stuck.pid)
    assert lines_about(stuck.pid, "status", daemon.directory) == []
    stuck.tell("stick")
    assert lines_about(stuck.pid, "status", daemon.directory) == [
        "process %d is stuck with its memory map held: new accesses are unknown; schemes leave it alone" % stuck.pid]
    stuck.tell("letgo")
    wait_until(lambda: not lines_about(stuck.pid, "status", daemon.directory), "for nothing to be said")


def test_a_process_without_memory(daemon):
    if pathlib.Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("no kernel threads to be seen here")
    watch(daemon, 2, os.getpid())
    assert lines_about(2, "status", daemon.directory) == [
        "process 2 could not be looked at: nothing is known of its accesses"]
    assert lines_about(os.getpid(), "status", daemon.directory) == []
