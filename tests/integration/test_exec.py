"""damonfs exec: a command for which our tree stands in /sys, and nothing of it stays behind."""

import errno
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE, PATTERN, wait_until
from damon_tree import DAMONFS

ADMIN = "/sys/kernel/mm/damon/admin"
NR = ADMIN + "/kdamonds/nr_kdamonds"
VIEW = "/sys/kernel/mm/.damonfs"


class Exec:
    """Runs commands with daemons of their own, on a described pattern."""

    def __init__(self, directory):
        self.pattern = directory / "pattern"
        self.pattern.write_text(PATTERN)
        self.log = directory / "daemon.log"
        self.options = ["--backend", "synthetic:%s" % self.pattern, "--log-file", str(self.log)]

    def words(self, *command):
        return [DAMONFS, "exec", *self.options, "--", *map(str, command)]

    def run(self, *command, **options):
        options = {"capture_output": True, "text": True, "timeout": PATIENCE} | options
        return subprocess.run(self.words(*command), check=False, **options)

    def start(self, *command, **options):
        return subprocess.Popen(self.words(*command), **{"stdout": subprocess.PIPE, "text": True} | options)

    def daemons(self):
        """Processes that were started with our log; the command itself is none by then."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path("/proc/%s/cmdline" % entry).read_bytes()
            except OSError:
                continue
            if str(self.log).encode() in words and b"exec" in words.split(b"\0")[1:2]:
                found.append(int(entry))
        return found

    def wait_gone(self):
        wait_until(lambda: not self.daemons(), "for the daemon to end")


@pytest.fixture
def runner(directory):
    machine = pathlib.Path("/proc/self/mounts").read_text()
    made = Exec(directory)
    yield made
    made.wait_gone()
    assert pathlib.Path("/proc/self/mounts").read_text() == machine


# What the command sees.


def test_the_tree_is_there(runner):
    done = runner.run("sh", "-c", "cat %s; echo 2 >%s; ls %s/kdamonds" % (NR, NR, ADMIN))
    assert (done.returncode, done.stdout.split()) == (0, ["0", "0", "1", "nr_kdamonds"]), done.stderr


def test_the_machine_keeps_its_own(runner):
    before = sorted(os.listdir("/sys/kernel/mm"))
    kernel = os.path.exists(NR) and pathlib.Path(NR).read_text()
    runner.run("sh", "-c", "echo 5 >" + NR)
    assert sorted(os.listdir("/sys/kernel/mm")) == before
    assert (os.path.exists(NR) and pathlib.Path(NR).read_text()) == kernel


def test_the_rest_of_sys_is_as_it_was(runner):
    code = "import os; print([sorted(os.listdir(d)) for d in %r])"
    places = ["/sys", "/sys/kernel", "/sys/module", "/sys/kernel/mm/transparent_hugepage"]
    places = [place for place in places if os.path.isdir(place)]

    def others(names):
        """Without modules of DAMON, the kernel's or ours."""
        return [name for name in names if not name.startswith("damon_")]

    here = [others(sorted(os.listdir(place))) for place in places]
    done = runner.run(sys.executable, "-c", code % places)
    assert [others(names) for names in eval(done.stdout)] == here
    done = runner.run(sys.executable, "-c", "import os; print(os.listdir('/sys/kernel/mm'))")
    assert set(eval(done.stdout)) == set(os.listdir("/sys/kernel/mm")) | {"damon", ".damonfs"}


def test_our_modules_are_there(runner):
    done = runner.run("sh", "-c", "ls -d /sys/module/damon_*; cd /sys/module/damon_reclaim/parameters && "
                      "echo 42 >min_age && cat min_age enabled")
    assert done.stdout.split() == ["/sys/module/damon_lru_sort", "/sys/module/damon_reclaim",
                                   "/sys/module/damon_stat", "42", "N"], done.stderr


def test_files_of_the_rest_can_be_used(runner):
    places = [os.path.join("/sys/kernel/mm", name) for name in os.listdir("/sys/kernel/mm") if name != "damon"]
    for place in places:
        files = [f for f in pathlib.Path(place).rglob("*") if f.is_file() and os.stat(f).st_mode & 0o400]
        if files:
            assert runner.run("cat", files[0]).stdout == files[0].read_text()


def test_sysfs_is_found_as_tools_look_for_it(runner):
    lines = runner.run("cat", "/proc/mounts").stdout.splitlines()
    assert any(line.startswith("sysfs /sys sysfs ") for line in lines)


def test_tracefs_has_our_events(runner):
    if not os.path.isdir("/sys/kernel/tracing"):
        pytest.skip("no tracefs in this kernel")
    text = runner.run("cat", "/sys/kernel/tracing/available_events").stdout
    ours = [line for line in text.splitlines() if line.startswith("damon:")]
    assert ours == ["damon:damon_aggregated", "damon:damon_monitor_intervals_tune", "damon:damos_before_apply",
                    "damon:damos_esz", "damon:damos_stat_after_apply_interval",
                    "damon:damon_region_aggregated"]


def test_mkdir_is_refused(runner):
    assert runner.run("mkdir", "/sys/kernel/mm/new").returncode != 0


def test_exec_in_exec(runner):
    inner = runner.words("sh", "-c", "cat " + NR)
    done = runner.run("sh", "-c", 'echo 3 >%s; "$@"; cat %s' % (NR, NR), "sh", *inner)
    assert done.stdout.split() == ["0", "3"], done.stderr


def test_exec_in_exec_finds_the_daemon(mount):
    """The view's own tree can be named, though the inner view replaces the outer one."""
    mount.tree.write("nr_kdamonds", 4)
    done = in_mount(mount, DAMONFS, "exec", "--mount", VIEW + "/sys", "--", "cat", NR)
    assert done.stdout == "4\n", done.stderr


# The command is the process.


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_exit_status(runner, status):
    assert runner.run("sh", "-c", "exit %d" % status).returncode == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP])
def test_death_by_a_signal(runner, number):
    assert runner.run("sh", "-c", "kill -%d $$" % number).returncode == -number
    # As a shell has it.
    line = " ".join("'%s'" % word for word in runner.words("sh", "-c", "kill -%d $$" % number))
    assert subprocess.run(["sh", "-c", line + "; exit $?"], check=False, capture_output=True,
                          timeout=PATIENCE).returncode == 128 + number


def test_not_found_and_not_runnable(runner, directory):
    done = runner.run("/no/such/command")
    assert done.returncode == 127 and "/no/such/command" in done.stderr
    plain = directory / "plain"
    plain.write_text("")
    done = runner.run(plain)
    assert done.returncode == 126 and "Permission denied" in done.stderr


@pytest.mark.parametrize("words", [[], ["--"], ["ls"], ["--nonsense", "--", "true"], ["--mount", "--", "true"],
                                   ["--mount", "/x", "--backend", "pte", "--", "true"],
                                   ["--backend", "nonsense", "--", "true"]])
def test_wrong_usage(words):
    done = subprocess.run([DAMONFS, "exec", *words], check=False, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 2 and done.stderr


def test_a_daemon_that_cannot_start(runner):
    runner.pattern.write_text("nonsense")
    done = runner.run("echo", "ran")
    assert done.returncode == 1 and done.stdout == "" and "pattern" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_signals_reach_the_command(runner, number):
    process = runner.start("sh", "-c", "trap 'echo got; exit 9' %d; echo ready; while :; do sleep 0.05; done" % number)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == "got\n"
    assert process.wait(PATIENCE) == 9


def test_input_output_and_environment(runner):
    done = runner.run("sh", "-c", 'cat; echo "$MARK" >&2; echo "$PATH"', input="text\n",
                      env=dict(os.environ, MARK="mark"))
    assert done.stdout.splitlines()[0] == "text" and done.stderr == "mark\n"
    assert done.stdout.splitlines()[1] == "%s/bin:%s" % (VIEW, os.environ["PATH"])


def test_working_directory(runner, directory):
    assert runner.run("pwd", cwd=directory).stdout.strip() == os.path.realpath(directory)
    # One in /sys is entered again, in the view.
    assert runner.run("sh", "-c", "ls damon/admin", cwd="/sys/kernel/mm").stdout == "kdamonds\n"


def test_what_damo_knows_of_another_damon_is_hidden(runner, directory):
    known = pathlib.Path(directory, ".damo.sysinfo")
    command = ["sh", "-c", "cat ~/.damo.sysinfo; echo ours >~/.damo.sysinfo; cat ~/.damo.sysinfo"]
    known.write_text("the kernel's\n")
    done = runner.run(*command, env=dict(os.environ, HOME=str(directory)))
    assert (done.stdout, done.stderr) == ("ours\n", "")
    assert known.read_text() == "the kernel's\n"
    known.write_text("perf: %s/bin/perf\n" % VIEW)
    done = runner.run(*command, env=dict(os.environ, HOME=str(directory)))
    assert done.stdout == "perf: %s/bin/perf\nours\n" % VIEW
    assert known.read_text() == "ours\n"


def test_no_other_descriptors_are_kept(runner):
    """Who waits for the end of a pipe that the command had must not wait for the daemon."""
    read, write = os.pipe()
    process = runner.start(sys.executable, "-c", "import os; os.write(%d, b'done\\n')" % write, pass_fds=[write])
    os.close(write)
    assert process.wait(PATIENCE) == 0
    assert os.read(read, 10) == b"done\n"
    assert os.read(read, 10) == b""
    os.close(read)


# Its daemon.


def test_the_command_has_no_child_of_ours(runner):
    done = runner.run(sys.executable, "-c", "import os\ntry: print(os.waitpid(-1, 0))\nexcept ChildProcessError: print('none')")
    assert done.stdout == "none\n"


def test_killed_command_leaves_no_daemon(runner):
    process = runner.start("sh", "-c", "echo ready; exec sleep 100")
    assert process.stdout.readline() == "ready\n"
    assert len(runner.daemons()) == 1
    process.kill()
    process.wait()
    runner.wait_gone()


def test_killed_daemon_means_errors(runner):
    code = ("import errno, os, sys\nfd = os.open(%r, os.O_RDONLY)\nprint('ready', flush=True)\nsys.stdin.readline()\n"
            "for f in (lambda: os.read(fd, 9), lambda: os.listdir(%r)):\n"
            "  try: f(); print('worked')\n  except OSError as e: print(errno.errorcode[e.errno])" % (NR, ADMIN))
    process = runner.start(sys.executable, "-c", code, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    for daemon in runner.daemons():
        os.kill(daemon, signal.SIGKILL)
    runner.wait_gone()
    out, _ = process.communicate("go\n", timeout=PATIENCE)
    assert set(out.split()) <= {"ENOTCONN", "ECONNABORTED", "EIO"}, out
    assert process.returncode == 0


def test_daemon_killed_under_a_write_that_waits(runner):
    """A command that waits for the daemon is let go."""
    setup = ("cd %s/kdamonds; echo 1 >nr_kdamonds; cd 0; echo 1 >contexts/nr_contexts; cd contexts/0; "
             "echo vaddr >operations; echo 1 >targets/nr_targets; echo 1 >targets/0/pid_target; "
             "echo 1 >schemes/nr_schemes; echo stat >schemes/0/action; echo 1000000000 >schemes/0/apply_interval_us; "
             "cd ../..; echo on >state && echo ready; echo update_schemes_tried_regions >state; echo let go" % ADMIN)
    process = runner.start("sh", "-c", setup, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    for daemon in runner.daemons():
        os.kill(daemon, signal.SIGKILL)
    assert process.communicate(timeout=PATIENCE)[0] == "let go\n"


# A daemon that runs already.


def in_mount(mount, *command, **options):
    options = {"capture_output": True, "text": True, "timeout": PATIENCE, "check": False} | options
    return subprocess.run([DAMONFS, "exec", "--mount", str(mount.path), "--", *map(str, command)], **options)


def test_running_daemon(mount):
    mount.tree.write("nr_kdamonds", 2)
    assert in_mount(mount, "cat", NR).stdout == "2\n"
    assert in_mount(mount, "sh", "-c", "echo 1 >" + NR).returncode == 0
    assert mount.tree.read("nr_kdamonds") == "1"
    assert mount.process.poll() is None


def test_running_daemon_ends(mount):
    process = subprocess.Popen([DAMONFS, "exec", "--mount", str(mount.path), "--", "sh", "-c",
                                "echo ready; read _; cat %s 2>&1" % NR],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    assert mount.end() == 0
    out, _ = process.communicate("\n", timeout=PATIENCE)
    assert process.returncode != 0 and "cat" in out


def test_no_such_daemon(directory, mount):
    for place, reason in ((directory, "no damonfs"), (directory / "none", "No such file")):
        done = subprocess.run([DAMONFS, "exec", "--mount", str(place), "--", "echo", "ran"], check=False,
                              capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 1 and done.stdout == "" and reason in done.stderr


def test_dead_daemon(mount):
    mount.process.kill()
    mount.process.wait()
    done = in_mount(mount, "echo", "ran")
    assert done.returncode == 1 and "died" in done.stderr
    subprocess.run([DAMONFS, "umount", str(mount.path)], check=True, timeout=PATIENCE)


# Its perf.

TURN_ON = ("cd %s/kdamonds; echo 1 >nr_kdamonds; echo 1 >0/contexts/nr_contexts; cd 0/contexts/0; "
           "echo fvaddr >operations; echo 1 >targets/nr_targets; cd targets/0; echo 1 >pid_target; "
           "echo 1 >regions/nr_regions; echo 285212672 >regions/0/end; echo 268435456 >regions/0/start; "
           "cd ../../../..; echo on >state; " % ADMIN)


def test_perf_records_until_its_command_ends(runner, directory):
    done = runner.run("sh", "-c", TURN_ON + "cd %s; perf record -e 'damon:*' -- sh -c 'sleep 0.5; exit 4'; echo status $?; "
                      "perf script --ns" % directory)
    lines = done.stdout.splitlines()
    assert lines[0] == "status 4", done.stderr
    assert "[ perf record: Captured and wrote " in done.stderr
    assert lines[1:] and all(re.fullmatch(r" +kdamond\.0 +\d+ \[\d{3}\] \d+\.\d{9}: damon:damon_(region_)?aggregated: target_id=0 .*",
                                          line) for line in lines[1:]), lines[:3]


def test_perf_records_until_it_is_told_to_end(runner, directory):
    code = TURN_ON + "perf record -q -e damon:damon_aggregated -o %s/data & sleep 0.5; kill -INT $!; wait $!; echo $?" % directory
    # A shell's background commands ignore SIGINT unless it does job control.
    assert runner.run("bash", "-mc", code).stdout == "0\n"
    assert (directory / "data").read_text().count("damon_aggregated") > 5


def test_perf_of_a_daemon_that_dies(runner, directory):
    process = runner.start("perf", "record", "-e", "damon:*", "-o", directory / "data", stderr=subprocess.PIPE)
    wait_until(lambda: (directory / "data").exists(), "for perf")
    for daemon in runner.daemons():
        os.kill(daemon, signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "stream of events has ended" in err


def test_perf_refuses(runner):
    for words in (["damon:nonsense"], ["damon:damos_esz,cycles"], ["damon:damos_esz", "-p", "1"]):
        done = runner.run("perf", "record", "-e", *words)
        assert done.returncode == 129 and done.stderr.startswith("perf (damonfs): "), words


def test_other_uses_of_perf_are_handed_over(runner):
    real = shutil.which("perf")
    if real is None:
        pytest.skip("no perf")
    done = runner.run("perf", "--version")
    assert done.stdout == subprocess.run([real, "--version"], check=True, capture_output=True, text=True).stdout


def test_without_a_perf(runner, directory):
    """Nothing has a profile to report then, which is no failure: damo takes ours for a perf, and would give up."""
    path = dict(os.environ, PATH=str(directory))
    done = runner.run("perf", "report", "-i", "profile", "--stdio", env=path)
    assert (done.returncode, done.stderr) == (0, "")
    # damo shows what is behind the first five lines.
    assert done.stdout.splitlines()[5:] == ["# this machine has no perf: no profile of functions"]
    done = runner.run("perf", "--version", env=path)
    assert done.returncode == 0 and "damonfs" in done.stdout
    done = runner.run("perf", "stat", "true", env=path)
    assert done.returncode == 127 and "no perf" in done.stderr


KDAMOND_ON = """\
cd %s/kdamonds; echo 1 >nr_kdamonds; echo 1 >0/contexts/nr_contexts; cd 0
echo 1 >contexts/0/targets/nr_targets; echo 1234 >contexts/0/targets/0/pid_target; echo on >state
pid=$(cat pid); echo $pid
""" % ADMIN


def test_ps_finds_kdamonds(runner):
    done = runner.run("sh", "-c", KDAMOND_ON + """\
        ps --pid $pid >/dev/null && echo alive
        ps -p $pid -o %cpu
        ps -p $pid -o pid=,comm=
        ps -C kdamond.0 -o pid= | grep -w $pid
        ps -e -o pid,comm | grep -w "$pid kdamond.0"
        ps aux | grep -w $pid | grep -c 'kdamond[.]0$'
        ps -p $$ -o comm=
        echo off >state; ps -p $pid >/dev/null || echo gone""")
    pid, alive, header, cpu, row, by_name, among_all, lines, shell, gone = done.stdout.splitlines()
    assert (alive, header.strip(), gone) == ("alive", "%CPU", "gone")
    assert re.fullmatch(r"\d+\.\d", cpu.strip())
    assert row.split() == [pid, "kdamond.0"] == among_all.split()
    assert by_name.strip() == pid and lines == "1" and shell.strip() == "sh"


def test_pgrep_finds_the_kdamonds_of_this_tree_only(runner, mount):
    mount.tree.set_up([1234])
    mount.tree.command("on")
    others = mount.tree.read("0/pid")
    look = "pgrep kdamond; pidof kdamond.0; echo end;"
    done = runner.run("sh", "-c", look + KDAMOND_ON + look + "pgrep -c kdamond; pgrep -lx kdamond.0; pgrep -n kdamond")
    before, rest = done.stdout.split("end\n", 1)
    assert before == "" and others not in rest.split()
    pid = rest.split()[0]
    assert rest.split() == [pid, pid, pid, "end", "1", pid, "kdamond.0", pid]


def test_a_wrapper_before_our_programs_is_not_called_by_them(runner, directory):
    wrapper = directory / "pgrep"
    wrapper.write_text("#!/bin/sh\necho wrapped >&2\nexec %s/bin/pgrep \"$@\"\n" % VIEW)
    wrapper.chmod(0o755)
    done = runner.run("sh", "-c", "PATH=%s:$PATH; pgrep -x none; echo $?; pgrep kdamond; echo $?" % directory)
    assert done.stdout == "1\n1\n" and done.stderr.count("wrapped") == 2, done.stderr
    done = runner.run("sh", "-c", "PATH=%s; pgrep -x none" % directory)
    assert done.returncode == 1 and done.stderr.count("wrapped") == 1, done.stderr


def test_perf_list(runner):
    out = runner.run("perf", "list", "damon:*").stdout
    assert re.findall(r"damon:(\w+) +\[Tracepoint event\]", out)[-6:] == [
        "damon_aggregated", "damon_monitor_intervals_tune", "damos_before_apply", "damos_esz",
        "damos_stat_after_apply_interval", "damon_region_aggregated"]


# Privilege.


def test_without_privilege(runner):
    def drop():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    done = runner.run("echo", "ran", preexec_fn=drop)
    assert done.returncode == 1 and done.stdout == ""
    assert "CAP_SYS_ADMIN" in done.stderr


@pytest.mark.parametrize("words", [["attach", "/tmp"], ["detach"]])
def test_attach_without_privilege(words):
    def drop():
        os.setgid(65534)
        os.setuid(65534)

    done = subprocess.run([DAMONFS, *words], check=False, capture_output=True, text=True, preexec_fn=drop,
                          timeout=PATIENCE)
    assert done.returncode == 1 and "CAP_SYS_ADMIN" in done.stderr


# The terminal.


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="$ ", TERM="dumb")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.text = ""

    def type(self, text):
        self.text = ""
        os.write(self.fd, text.encode())

    def expect(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode()
                except OSError as error:
                    assert error.errno == errno.EIO and text in self.text, self.text
                    return

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal():
    opened = Terminal()
    opened.expect("$ ")
    yield opened
    opened.close()


def test_the_command_has_the_terminal(runner, terminal):
    code = "import os; print('foreground', os.tcgetpgrp(0) == os.getpgrp(), os.isatty(1), os.getpid() == os.getpgrp())"
    terminal.type(" ".join(runner.words(sys.executable, "-c", '"%s"' % code)) + "\n")
    terminal.expect("foreground True True True")


def test_ctrl_c(runner, terminal):
    terminal.type(" ".join(runner.words("sh", "-c", '"echo re""ady; sleep 100"')) + "\n")
    terminal.expect("\nready")
    time.sleep(0.1)
    terminal.type("\x03")
    terminal.expect("$ ")
    terminal.type("echo status=$?.\n")
    terminal.expect("status=130.")


def test_ctrl_z(runner, terminal):
    # Not sh, which may be dash: while a child that it has vforked is stopped before its exec, it does not stop.
    terminal.type(" ".join(runner.words("bash", "-c", '"echo re""ady; sleep 0.5; echo nr=\\$(cat %s).; exit 3"' % NR)) + "\n")
    terminal.expect("\nready")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("echo stopped=$(jobs -s | wc -l).\n")
    terminal.expect("stopped=1.")
    terminal.type("fg; echo status=$?.\n")
    terminal.expect("status=3.")
    assert "nr=0." in terminal.text  # the tree is still there
