"""Nobody is taken for another: which process a number in pid_target means, and for how long.

Real processes with a real backend; without one all of this is skipped.
"""

import contextlib
import errno
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import fails, found_by_samples, real_daemon, wait_until
from damon_tree import DAMONFS

MIB = 1 << 20


@pytest.fixture
def daemon():
    with real_daemon("auto") as started:
        yield started


def sleeper(children):
    children.append(subprocess.Popen(["sleep", "600"]))
    return children[-1]


def end(process):
    process.kill()
    process.wait()


def next_with_number(pid, children):
    """Another process that has the number `pid`, which must be free."""
    for _ in range(200):
        try:
            pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        except OSError:
            pytest.skip("numbers of processes cannot be chosen here")
        process = sleeper(children)
        if process.pid == pid:
            return process
        end(process)
    pytest.skip("the number %d does not come again" % pid)


def watched_by(daemon):
    """The processes that a daemon holds, by their numbers now."""
    held = set()
    for info in pathlib.Path("/proc/%d/fdinfo" % daemon.process.pid).iterdir():
        with contextlib.suppress(OSError):
            held |= {int(line.split()[1]) for line in info.read_text().splitlines() if line.startswith("Pid:")}
    return held


def name_targets(tree, *processes):
    tree.set_up([process.pid for process in processes])


def test_a_number_that_has_passed_on_is_not_switched_on(daemon, children):
    first = sleeper(children)
    name_targets(daemon.tree, first)
    end(first)
    second = next_with_number(first.pid, children)
    with fails(errno.EINVAL):
        daemon.tree.command("on")
    assert daemon.tree.read("0/contexts/0/targets/0/pid_target") == str(first.pid)
    assert "gone" in daemon.said()
    daemon.tree.write("0/contexts/0/targets/0/pid_target", second.pid)
    daemon.tree.command("on")


def test_a_number_that_has_passed_on_is_not_committed(daemon, children):
    first, other = sleeper(children), sleeper(children)
    name_targets(daemon.tree, first, other)
    daemon.tree.command("on")
    end(first)
    second = next_with_number(first.pid, children)
    with fails(errno.EINVAL):
        daemon.tree.command("commit")
    assert second.pid not in watched_by(daemon)
    assert daemon.tree.running()


def test_a_number_that_was_nobodys_stays_so(daemon, children):
    first = sleeper(children)
    end(first)
    name_targets(daemon.tree, first)  # is taken, as by the kernel
    next_with_number(first.pid, children)
    with fails(errno.EINVAL):
        daemon.tree.command("on")


def test_a_dump_names_the_process_not_its_number(children, directory):
    process = sleeper(children)
    config = directory / "dump.yaml"
    with real_daemon("auto") as daemon:
        name_targets(daemon.tree, process)
        config.write_text(subprocess.run([DAMONFS, "dump", daemon.directory], capture_output=True, text=True,
                                         check=True).stdout)
    with real_daemon("auto", "--config", str(config)) as daemon:
        wait_until(lambda: ": serving;" in daemon.said(), "for the configuration")
        daemon.tree.command("on")
        assert process.pid in watched_by(daemon)
    end(process)
    stranger = next_with_number(process.pid, children)
    with real_daemon("auto", "--config", str(config)) as daemon:
        wait_until(lambda: ": serving;" in daemon.said(), "for the configuration")
        assert daemon.tree.read("0/contexts/0/targets/0/pid_target") == str(stranger.pid)
        with fails(errno.EINVAL):
            daemon.tree.command("on")
        assert stranger.pid not in watched_by(daemon)
    # Switched on from the start, it does not start at all.
    config.write_text(config.read_text().replace("kdamonds:\n  - ", "kdamonds:\n  - state: on\n    "))
    point = directory / "mnt"
    point.mkdir()
    done = subprocess.run([DAMONFS, "mount", str(point), "--foreground", "--config", str(config)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "another process" in done.stderr, done.stderr


INNER = """
import os, subprocess, sys, time
targets, state = sys.argv[1] + "/0/contexts/0/targets/0/pid_target", sys.argv[1] + "/0/state"
child = subprocess.Popen(["sleep", "600"])
time.sleep(0.3)
def write(path, text):
    try:
        with open(path, "w") as file: file.write(text)
        return "done"
    except OSError as error:
        return error.strerror
write(targets, str(child.pid))
print(child.pid, write(state, "on"), flush=True)
sys.stdin.readline()
print(write(state, "off"), flush=True)
write(targets, "999999")
print(write(state, "on"), flush=True)
child.kill()
"""


def test_a_number_means_who_it_means_to_its_writer(daemon):
    daemon.tree.set_up([os.getpid()])
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    inner = subprocess.Popen([*unshare, sys.executable, "-c", INNER, str(daemon.tree.kdamonds)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = inner.stdout.readline().split()
    if not said:
        inner.wait()
        pytest.skip("pid namespaces are not permitted here")
    try:
        number, on = int(said[0]), said[1]
        held = watched_by(daemon)
        names = [pathlib.Path("/proc/%d/comm" % pid).read_text().strip() for pid in held if pid > 0]
        assert on == "done" and "sleep" in names and number not in held, names
        inner.stdin.write("\n")
        inner.stdin.flush()
        assert inner.stdout.readline() == "done\n"
        assert inner.stdout.readline() == os.strerror(errno.EINVAL) + "\n"
        assert inner.wait(30) == 0
    finally:
        inner.kill()
        inner.wait()


@found_by_samples
def test_a_threads_id_means_its_process(daemon, make_target):
    target = make_target(32 * MIB)
    target.tell("thread")
    tid = next(tid for tid in map(int, os.listdir("/proc/%d/task" % target.pid)) if tid != target.pid)
    daemon.tree.set_up([tid])
    daemon.tree.command("on")
    assert daemon.tree.read("0/contexts/0/targets/0/pid_target") == str(tid)
    wait_until(lambda: any(region["nr_accesses"] > 10 for region in daemon.tree.snapshot()["regions"]),
               "for accesses to be seen")


def test_a_kernel_thread_has_nothing_to_watch(daemon):
    if pathlib.Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("no kernel threads to be seen here")
    done = subprocess.run([DAMONFS, "watch", "--seconds", "1", "2"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 1
    assert "thread of the kernel" in done.stderr and "nothing was accessed" not in done.stdout
    # The kernel's DAMON takes it.
    daemon.tree.set_up([2])
    daemon.tree.command("on")
    wait_until(lambda: "kernel thread" in daemon.said(), "for a line in the log")


def test_another_namespaces_proc_is_refused(directory):
    done = subprocess.run(["unshare", "--pid", "--fork", "--mount", DAMONFS, "mount", str(directory), "--foreground"],
                          capture_output=True, text=True, timeout=60, check=False)
    if "unshare:" in done.stderr:
        pytest.skip("pid namespaces are not permitted here")
    assert done.returncode == 1 and "pid namespace" in done.stderr, done.stderr


def test_protecting_nobody_is_refused(directory, children):
    process = sleeper(children)
    end(process)
    with real_daemon("auto"):  # a real backend there is
        pass
    done = subprocess.run([DAMONFS, "mount", str(directory), "--foreground", "--protect", "pid=%d" % process.pid],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "pid=%d" % process.pid in done.stderr, done.stderr
