"""Small mistakes: each gets one line that says what is wrong and what to do, and changes nothing."""

import os
import pathlib
import subprocess

import pytest

from conftest import PATIENCE, Mount
from damon_tree import DAMONFS

PATTERN = "process *\n  map heap 0x10000000 16M\n  phase 1s\n    access heap 0 1M always\n"


def damonfs(*arguments, **options):
    return subprocess.run([DAMONFS, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=3 * PATIENCE, check=False, **options)


def line_of(done, status):
    """The one line on standard error of a command that failed."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), done.stderr
    return done.stderr.rstrip("\n")


@pytest.mark.parametrize("arguments, said", [
    (["watch", "redis-server"], ["'redis-server' is not a pid", "to run a command put -- before it", "for a running one "]),
    (["wss", "redis-server"], ["'redis-server' is not a pid", "to run a command put -- before it"]),
    (["wacth", "1"], ["there is no command 'wacth'; did you mean watch?"]),
    (["frobnicate"], ["there is no command 'frobnicate'; there are ", "mount", "watch"]),
    ([], ["which command? There are ", "damonfs help explains them"]),
    (["help", "wacth"], ["there is no command 'wacth'; did you mean watch?"]),
    (["watch", "--intervall", "1", "1"], ["there is no option --intervall; did you mean --interval?"]),
    (["--verson"], ["there is no option --verson; did you mean --version?"]),
    (["watch", "--seconds", "10x", "1"], ["'10x' is not a time; write 10s, 500ms, 2min or 1h"]),
    (["watch", "--interval", "0s", "1"], ["'0s' is too short"]),
    (["watch", "--width", "99999999", "1"], ["'99999999' is not a whole number; write one from 0 to 4096"]),
    (["watch", "--backend", "ptee", "1"], ["'ptee' is no backend; there are auto, "]),
    (["status", "--jsn"], ["there is no option --jsn; did you mean --json?"]),
    (["simulate"], ["config is required; see damonfs simulate --help"]),
    (["doctor", "one", "two"], ["'one' is one argument too many; see damonfs doctor --help"]),
])
def test_wrong_usage(arguments, said):
    line = line_of(damonfs(*arguments), 2)
    assert line.startswith("damonfs"), line
    assert [words for words in said if words not in line] == [], line


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help(word):
    done = damonfs(word)
    assert done.returncode == 0 and done.stderr == ""
    assert "watch" in done.stdout and "Exit status" in done.stdout
    about = damonfs("help", "watch")
    assert about.returncode == 0 and "--interval" in about.stdout


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version_and_commit(word):
    assert damonfs(word).stdout.startswith("damonfs ")


@pytest.mark.parametrize("time", ["0.3", "300ms", "0.3s"])
def test_times_have_units_everywhere(time, directory):
    (directory / "pattern").write_text(PATTERN)
    done = damonfs("watch", "--backend", "synthetic:%s" % (directory / "pattern"), "--json", "--seconds", time,
                   "--interval", "100ms")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 1


def test_of_several_pids_the_one_that_is_gone_is_named():
    line = line_of(damonfs("watch", os.getpid(), 4194303), 1)
    assert "there is no process 4194303" in line


@pytest.mark.parametrize("command", ["watch", "wss"])
def test_a_kernel_thread(command):
    comm = pathlib.Path("/proc/2/comm")
    if not comm.exists() or comm.read_text() != "kthreadd\n":
        pytest.skip("the kernel's threads are not seen here")
    assert "process 2 is a thread of the kernel: it has no memory of its own" in line_of(damonfs(command, 2), 1)


@pytest.mark.parametrize("command", ["watch", "wss"])
def test_a_pid_that_is_gone(command):
    child = subprocess.Popen(["true"])
    child.wait()
    assert "there is no process %d" % child.pid in line_of(damonfs(command, child.pid), 1)


def test_a_mount_on_what_is_not_empty(directory):
    (directory / "precious").mkdir()
    line = line_of(damonfs("mount", directory, "--backend", "synthetic:/nonexistent"), 1)
    assert "/nonexistent" in line  # the pattern first: it is read before anything is mounted
    (directory / "pattern").write_text(PATTERN)
    backend = ["--backend", "synthetic:%s" % (directory / "pattern")]
    line = line_of(damonfs("mount", directory, *backend), 1)
    assert "%s is not empty" % directory in line and "--nonempty" in line
    assert damonfs("mount", directory, *backend, "--nonempty").returncode == 0
    try:
        assert not (directory / "precious").exists()
    finally:
        damonfs("umount", directory)
    assert (directory / "precious").exists()


def test_a_configuration_that_switches_nothing_on(directory):
    (directory / "pattern").write_text(PATTERN)
    (directory / "config.yaml").write_text("kdamonds: [{contexts: [{operations: vaddr}]}]\n")
    (directory / "mnt").mkdir()
    done = damonfs("mount", directory / "mnt", "--backend", "synthetic:%s" % (directory / "pattern"),
                   "--config", directory / "config.yaml")
    damonfs("umount", directory / "mnt")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "kdamond 0 is set up and off" in done.stderr and "state: on" in done.stderr
    assert "kdamonds/0/state" in done.stderr


@pytest.mark.parametrize("config, said", [
    ("kdamonds: [{contexts: [{target: [{pid_target: 1}]}]}]", "there is no directory target in "
     "kernel/mm/damon/admin/kdamonds/0/contexts/0; did you mean targets?"),
    ("kdamonds: [{contexts: [{operation: vaddr}]}]", "did you mean operations?"),
    ("kdamond: [{}]", "did you mean kdamonds?"),
    ("kdamonds: [{contexts: [{schemes: [{frobnicate: 1}]}]}]", "there are access_pattern, "),
])
def test_a_configuration_with_a_slip(config, said, directory):
    (directory / "pattern").write_text(PATTERN)
    (directory / "config.yaml").write_text(config + "\n")
    for arguments in [["simulate", directory / "config.yaml", directory / "pattern"],
                      ["mount", "--backend", "synthetic:%s" % (directory / "pattern"), "--config",
                       directory / "config.yaml", directory / "mnt"]]:
        (directory / "mnt").mkdir(exist_ok=True)
        line = line_of(damonfs(*arguments), 1)
        assert "config.yaml:1: " in line and said in line


def test_a_dump_of_something_else(directory):
    line = line_of(damonfs("dump", directory), 1)
    assert "no tree of DAMON is here" in line and "/sys" in line


@pytest.mark.parametrize("arguments", [["mount", "/tmp"], ["umount", "/tmp"], ["watch", os.getpid()],
                                       ["wss", os.getpid()], ["exec", "--", "true"], ["attach", "/tmp"], ["detach"]])
def test_not_root(arguments):
    done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", DAMONFS, *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    line = line_of(done, 1)
    assert "run as root, or with the capabilities CAP_" in line


def test_modules_on_a_pattern_without_numbers(directory):
    """A pattern of nameless processes has no physical memory; the tree says so."""
    mounted = Mount(directory, pattern=PATTERN)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            (mounted.path / "module/damon_reclaim/parameters/enabled").write_text("Y")
        last = (mounted.path / "damonfs/last_errors").read_text().splitlines()[-1].split("\t")
        assert last[1] == "module/damon_reclaim/parameters/enabled"
        assert last[2:4] == ['"Y"', "EINVAL"]
        assert "no process of the pattern has a number" in last[4] and "write `process 1`" in last[4], last
    finally:
        mounted.close()


def test_the_last_refusals_can_be_read(mount):
    errors = mount.path / "damonfs/last_errors"
    assert errors.read_text() == ""
    for k in range(40):
        with pytest.raises(OSError, match="Invalid argument"):
            (mount.kdamonds / "nr_kdamonds").write_text("x%d\n" % k)
    lines = errors.read_text().splitlines()
    assert len(lines) == 32  # old ones are forgotten
    time, path, value, code, reason = lines[-1].split("\t")
    assert time[4] == time[7] == "-" and time[13] == ":"
    assert path == "kernel/mm/damon/admin/kdamonds/nr_kdamonds"
    assert (value, code, reason) == ('"x39\\n"', "EINVAL", "this is not a number")
    assert errors.stat().st_mode & 0o777 == 0o400


def in_namespace(setup, *arguments):
    """`damonfs` in a mount namespace of its own, after the commands `setup`."""
    return subprocess.run(["unshare", "-m", "sh", "-c", setup + ' && exec "$@"', "sh", DAMONFS, *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)


def test_a_root_that_cannot_be_written_to(directory):
    """A daemon of its own is mounted in /run then; who has chosen a directory is told."""
    (directory / "pattern").write_text(PATTERN)
    read_only = "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp"
    words = ["watch", "--backend", "synthetic:%s" % (directory / "pattern"), "--for", "1s", "1"]
    done = in_namespace(read_only, *words)
    assert done.returncode == 0 and "accessed" in done.stdout, done.stderr
    assert not list(pathlib.Path("/run").glob("damonfs-watch.*"))
    line = line_of(in_namespace("export TMPDIR=/tmp && " + read_only, *words), 1)
    assert "Read-only file system; set TMPDIR to a directory that can be written to" in line


def test_without_procfs_or_fuse(directory):
    line = line_of(in_namespace("mount -t tmpfs none /proc", "mount", directory, "--foreground"), 1)
    assert line == "damonfs: no procfs is mounted at /proc: mount -t proc proc /proc"
    line = line_of(in_namespace("mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9",
                                "mount", directory, "--foreground"), 1)
    assert "/dev/fuse: No such file or directory; is the kernel module loaded (modprobe fuse)?" in line
