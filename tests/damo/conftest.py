"""damo, unmodified, behind `damonfs exec`: nothing here ever reaches the kernel's own DAMON.

With DAMO_IN_GUEST only what guests.py names runs, in forks of one damo; with DAMO_TRANSCRIPT its command lines and
what they printed are written to that file, for tests/lab/damo_beside_kernel.py.
"""

import errno
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import guests  # noqa: E402
from damon_tree import BUILD, DAMONFS, WORKLOAD, Daemon, comes_true  # noqa: E402
from forked import Forked  # noqa: E402

IN_GUEST = "DAMO_IN_GUEST" in os.environ
PATIENCE = 400 if IN_GUEST else 90  # seconds, for whatever damo does
COLOURS = re.compile("\x1b\\[[0-9;]*m")
MIB = 1 << 20


def on_cgroup2():
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def wait_until(condition, what):
    assert comes_true(condition, PATIENCE, 0.005), "waited in vain: " + what


def pytest_collection_modifyitems(items):
    if IN_GUEST:
        items[:] = filter(guests.chosen, items)


@functools.cache
def forked(program, mount, directory):
    """The damo whose forks run command lines on a mount."""
    return Forked(program, [DAMONFS, "exec", "--mount", mount, "--"], directory)


def is_other(word):
    """Whether a word of a command line is the second process that some watch, a sleep."""
    try:
        return pathlib.Path("/proc/%d/comm" % int(word)).read_text() == "sleep\n"
    except (OSError, ValueError):
        return False


def note(words, pid, done):
    """Adds to the transcript what became of a command line."""
    names = {str(pid): "{pid}", **{word: "{other}" for word in words if is_other(word)}}
    line = {"test": os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].rpartition(" ")[0],
            "words": [names.get(word, word) for word in words], "status": done.returncode, "out": done.stdout}
    with open(os.environ["DAMO_TRANSCRIPT"], "a") as transcript:
        print(json.dumps(line), file=transcript)


class Damo:
    """Runs damo on one daemon's tree, in a directory of its own."""

    def __init__(self, program, daemon, directory, pid):
        self.program = program
        self.daemon = daemon
        self.directory = directory
        self.pid = pid
        self.environment = dict(os.environ, HOME=str(directory), PATH="%s:%s" % (
            os.path.dirname(program), os.environ["PATH"]))
        self.environment.pop("PYTHONPATH", None)

    def exec(self, *command, **options):
        """Any command in the view; what subprocess.run() gives, with text."""
        options = {"timeout": PATIENCE, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.STDOUT, "text": True} | options
        done = subprocess.run([DAMONFS, "exec", "--mount", self.daemon.directory, "--", *map(str, command)],
                              cwd=self.directory, env=self.environment, check=False, **options)
        done.stdout = COLOURS.sub("", re.sub("^damonfs exec: uses the daemon .*\n", "", done.stdout or ""))
        return done

    def __call__(self, line, **options):
        """`line` is one of damo's; {pid} in it is the target's."""
        # An underscore between two ranges is a blank within a word.
        words = line.replace("{pid}", str(self.pid)).split(" ") if isinstance(line, str) else list(line)
        words = [re.sub(r"(\d)_(\d)", r"\1 \2", word) for word in words]
        if IN_GUEST:
            status, out, _ = forked(self.program, self.daemon.directory, self.directory)(words, PATIENCE)
            done = subprocess.CompletedProcess(words, status, COLOURS.sub("", out))
        else:
            done = self.exec(self.program, *words, **options)
        if "DAMO_TRANSCRIPT" in os.environ:
            note(words, self.pid, done)
        return done

    def start(self, *command, **options):
        """The same in the background."""
        return subprocess.Popen([DAMONFS, "exec", "--mount", self.daemon.directory, "--", *map(str, command)],
                                cwd=self.directory, env=self.environment, **{"stdin": subprocess.DEVNULL} | options)

    def read(self, name):
        """A file of the tree, below the first context unless it begins with a slash."""
        return self.daemon.tree.read(name[1:] if name[0] == "/" else "0/contexts/0/" + name)

    def on(self):
        """Whether the first kdamond is there and on. damo makes them anew as it starts."""
        try:
            return self.read("/0/state") == "on"
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return False


def check_schemes(damo):
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


@pytest.fixture(scope="session")
def damo_program():
    done = subprocess.run([str(TESTS.parent / "scripts/damo.sh"), str(BUILD / "damo")], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=600)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def target():
    """A process with 8 hot MiB of 64; its pid, and where its memory and the hot part begin."""
    process = subprocess.Popen([WORKLOAD, "--size", "64M", "--hot", "8M", "--offset", "16M"],
                               stdout=subprocess.PIPE, text=True)
    try:
        ready, hot = process.stdout.readline(), process.stdout.readline()
        process.memory = int(re.search("start=(0x[0-9a-f]+)", ready)[1], 16)
        process.hot = int(re.search("start=(0x[0-9a-f]+)", hot)[1], 16)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def session_daemon():
    with Daemon() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("damo")


@pytest.fixture
def damo(damo_program, session_daemon, home, target):
    """Nothing is on before and after."""
    session_daemon.tree.clear()
    yield Damo(damo_program, session_daemon, home, target.pid)
    session_daemon.tree.clear()


@pytest.fixture(scope="session")
def record(damo_program, session_daemon, home, target):
    """A record of the target, for reports; its file. Of some 30 snapshots, the first 20 of which wss leaves out."""
    damo = Damo(damo_program, session_daemon, home, target.pid)
    session_daemon.tree.clear()
    done = damo("record --timeout %d --do_record access cpu_profile mem_footprint vmas proc_stats -o a.record {pid}" % (
        8 if IN_GUEST else 3))
    assert done.returncode == 0, done.stdout
    assert (home / "a.record").exists(), done.stdout
    session_daemon.tree.clear()
    return home / "a.record"
