"""Nothing brings the daemon down: odd uses of every file, deadlocks, what runs out, and what others can do to it."""

import contextlib
import ctypes
import errno
import os
import pathlib
import resource
import signal
import stat
import subprocess
import time

import pytest

from conftest import DAMONFS, PATIENCE, PATTERN, Mount, fails, mounts_below, opened, own_cgroup, wait_until

ANSWER = 5  # seconds for a request, whatever else goes on
RENAME = "import os,sys\nwhile True:\n  try: os.rename(sys.argv[1], sys.argv[1] + 'x')\n  except OSError: pass"


def served(mount):
    return mount.process.poll() is None and mount.tree.read("nr_kdamonds").isdigit()


# Every operation on everything.


def use_file(path):
    """All that a program can do to a file, refused or not; nothing that waits."""
    for access in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, 3):
        for more in (0, os.O_APPEND, os.O_TRUNC, os.O_DIRECT, os.O_CREAT, os.O_SYNC, os.O_DIRECTORY, os.O_PATH):
            try:
                fd = os.open(path, access | more | os.O_NONBLOCK)
            except OSError:
                continue
            uses = [lambda: os.write(fd, b"x"), lambda: os.read(fd, 10), lambda: os.pread(fd, 5000, 3),
                    lambda: os.pwrite(fd, b"-1\n", 7), lambda: os.write(fd, b"\0" * 9000), lambda: os.write(fd, b""),
                    lambda: os.pread(fd, 10, 1 << 40), lambda: os.lseek(fd, 3, os.SEEK_SET), lambda: os.fsync(fd),
                    lambda: os.ftruncate(fd, 0), lambda: os.fstat(fd), lambda: os.fchmod(fd, 0o666),
                    lambda: os.posix_fallocate(fd, 0, 10), lambda: os.listdir(fd), lambda: os.getxattr(fd, "user.x"),
                    lambda: os.setxattr(fd, "user.x", b"y"), lambda: os.sendfile(1000, fd, 0, 10),
                    lambda: os.copy_file_range(fd, fd, 10), lambda: os.lockf(fd, os.F_TLOCK, 0),
                    lambda: os.readv(fd, [bytearray(5), bytearray(5)]), lambda: os.writev(fd, [b"y", b"z"]),
                    lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)]
            for use in uses:
                with contextlib.suppress(OSError):
                    use()
            os.close(fd)


def use_directory(path):
    for use in (lambda: os.open(path, os.O_WRONLY), lambda: os.open(path, os.O_RDWR), lambda: os.truncate(path, 0),
                lambda: os.mkdir(path / "0x"), lambda: os.rmdir(path), lambda: os.rename(path, path / "x"),
                lambda: os.listxattr(path), lambda: os.link(path, path / "x"), lambda: os.stat(path / ("n" * 255)),
                lambda: os.stat(path / ("n" * 256)), lambda: os.stat(path / "state/x"), lambda: os.listdir(path),
                lambda: os.chmod(path, 0o777), lambda: os.utime(path, (1, 2))):
        with contextlib.suppress(OSError):
            use()
    with contextlib.suppress(OSError), opened(path) as fd:
        for use in (lambda: os.read(fd, 10), lambda: os.write(fd, b"x"), lambda: os.fsync(fd),
                    lambda: os.lseek(fd, (1 << 62) + 1, os.SEEK_SET), lambda: os.listdir(fd)):
            with contextlib.suppress(OSError):
                use()


def test_every_operation_on_everything(mount):
    mount.tree.set_up([1])
    mount.tree.command("on")
    mount.tree.command("update_schemes_tried_regions")
    scheme = "0/contexts/0/schemes/0/"
    for count in ("filters/nr_filters", "core_filters/nr_filters", "ops_filters/nr_filters", "quotas/goals/nr_goals",
                  "dests/nr_dests"):
        mount.tree.write(scheme + count, 1)
    mount.tree.write("0/contexts/0/targets/0/regions/nr_regions", 1)
    mount.tree.write("0/contexts/0/monitoring_attrs/probes/nr_probes", 1)
    paths = [mount.path, *sorted(mount.path.rglob("*"))]
    assert len(paths) > 200
    for path in paths:
        if path.is_file():
            os.chmod(path, 0o666)
    for path in paths:
        if not os.path.lexists(path):
            continue  # written to a count
        (use_directory if path.is_dir() else use_file)(path)
        assert mount.process.poll() is None, "%s\n%s" % (path, mount.log())
    assert served(mount)


def test_a_stream_takes_no_writes(mount):
    pipe = mount.path / "kernel/tracing/trace_pipe"
    os.chmod(pipe, 0o666)
    for access in (os.O_WRONLY, os.O_RDWR):
        with opened(pipe, access) as fd, fails(errno.EINVAL):
            os.write(fd, b"x")
    with opened(pipe, os.O_WRONLY) as fd, fails(errno.EBADF):
        os.read(fd, 10)
    assert served(mount)


# No deadlock with the kernel.


def start_renaming(path, children):
    children.append(subprocess.Popen(["python3", "-c", RENAME, str(path)]))
    return children[-1]


def test_renames_beside_writes(mount, children):
    """A rename, refused, holds a directory and waits for the file that a writer holds until it is answered."""
    for name in ("kdamonds/nr_kdamonds", "kdamonds/0/contexts/nr_contexts"):
        start_renaming(mount.kdamonds.parent / name, children)
    longest = 0
    deadline = time.monotonic() + float(os.environ.get("DAMONFS_CHURN_SECONDS", 5))
    while time.monotonic() < deadline:
        for path, count in (("nr_kdamonds", 1), ("0/contexts/nr_contexts", 1), ("0/contexts/nr_contexts", 0),
                            ("nr_kdamonds", 0)):
            began = time.monotonic()
            mount.tree.write(path, count)
            longest = max(longest, time.monotonic() - began)
    print("the longest write took %.3f s" % longest)
    assert longest < ANSWER
    assert all(child.poll() is None for child in children)


RANDOM = """
import os, random, sys, time
chance = random.Random(sys.argv[3])
root, deadline, longest = sys.argv[1], time.monotonic() + float(sys.argv[2]), 0
counts = ["nr_kdamonds", "0/contexts/nr_contexts", "1/contexts/nr_contexts", "0/contexts/0/schemes/nr_schemes",
          "0/contexts/0/targets/nr_targets", "1/contexts/0/targets/nr_targets"]
def write(path):
    fd = os.open(os.path.join(root, path), os.O_WRONLY)
    try: os.write(fd, b"%d" % chance.randrange(3))
    finally: os.close(fd)
def rename(path): os.rename(os.path.join(root, path), os.path.join(root, chance.choice(counts) + "x"))
def remove(path): os.unlink(os.path.join(root, path))
def look(path): os.stat(os.path.join(root, path))
def listing(path): os.listdir(os.path.dirname(os.path.join(root, path)))
def link(path): os.link(os.path.join(root, path), os.path.join(root, "y"))
def mode(path): os.chmod(os.path.join(root, path), 0o600 + chance.randrange(2))
def make(path): os.mkdir(os.path.join(root, path) + "d")
def remove_directory(path): os.rmdir(os.path.dirname(os.path.join(root, path)))
while time.monotonic() < deadline:
    use = chance.choice([write, write, write, rename, remove, look, listing, link, mode, make, remove_directory])
    began = time.monotonic()
    try: use(chance.choice(counts))
    except OSError: pass
    longest = max(longest, time.monotonic() - began)
print(longest)
"""


def test_random_operations_are_all_answered(mount, children):
    seconds = float(os.environ.get("DAMONFS_CHURN_SECONDS", 5))
    for number in range(5):
        children.append(subprocess.Popen(["python3", "-c", RANDOM, str(mount.kdamonds), str(seconds), str(number)],
                                         stdout=subprocess.PIPE, text=True))
    longest = [float(child.communicate(timeout=seconds + PATIENCE)[0]) for child in children]
    print("the longest answers took %s s" % longest)
    assert max(longest) < ANSWER


# What runs out.


def resident(process):
    return int(pathlib.Path("/proc/%d/statm" % process.pid).read_text().split()[1]) * 4096


def test_counts_that_would_take_gigabytes(mount):
    mount.tree.set_up([1])
    context = "0/contexts/0/"
    before = resident(mount.process)
    for path in ("schemes/nr_schemes", "schemes/0/quotas/goals/nr_goals", "targets/nr_targets",
                 "targets/0/regions/nr_regions", "monitoring_attrs/probes/nr_probes", "schemes/0/dests/nr_dests"):
        for count in (1 << 31) - 1, 1 << 20, (4 << 20) // 8 + 1:
            mount.tree.write("0/contexts/0/schemes/nr_schemes", 1)
            mount.tree.write("0/contexts/0/targets/nr_targets", 1)
            with fails(errno.ENOMEM, errno.EINVAL):
                mount.tree.write(context + path, count)
            assert not [name for name in os.listdir((mount.kdamonds / (context + path)).parent) if name.isdigit()]
    # One that the kernel has room for, were there memory.
    with fails(errno.ENOMEM):
        mount.tree.write(context + "schemes/nr_schemes", 500000)
    assert mount.tree.read(context + "schemes/nr_schemes") == "0"
    assert resident(mount.process) - before < 256 << 20


def test_directories_that_others_hold_open(mount):
    """A listing under way costs the same however long it is."""
    mount.tree.set_up([1])
    regions = mount.kdamonds / "0/contexts/0/targets/0/regions"
    mount.tree.write("0/contexts/0/targets/0/regions/nr_regions", 20000)
    subprocess.run(["ls", "-f", regions], check=True, stdout=subprocess.DEVNULL)
    before = resident(mount.process)
    libc = ctypes.CDLL(None)
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
    held = [libc.opendir(str(regions).encode()) for _ in range(200)]
    for directory in held:
        libc.readdir(directory)
    grown = resident(mount.process) - before
    for directory in held:
        libc.closedir(directory)
    assert grown < 16 << 20


@pytest.fixture
def pids_cgroup():
    """A group whose number of threads can be bounded."""
    group = own_cgroup(("/sys/fs/cgroup/pids", "/sys/fs/cgroup"), "pids.max")
    if group is None:
        pytest.skip("no pids controller")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "for the group to be empty")
    group.rmdir()


def test_no_thread_left(directory, pids_cgroup):
    mount = Mount(directory)
    try:
        mount.tree.set_up([1])
        (pids_cgroup / "cgroup.procs").write_text(str(mount.process.pid))
        tasks = pathlib.Path("/proc/%d/task" % mount.process.pid)
        pipe = os.open(mount.path / "kernel/tracing/trace_pipe", os.O_RDONLY)
        outcomes = []
        for more in range(4):
            idle = len(os.listdir(tasks))
            (pids_cgroup / "pids.max").write_text(str(idle + more))
            try:
                mount.tree.command("on")
                outcomes.append(0)
                mount.tree.command("off")
            except OSError as error:
                outcomes.append(error.errno)
            assert mount.tree.read("0/state") == "off"
            assert mount.tree.read("0/pid") == "-1"
            wait_until(lambda: len(os.listdir(tasks)) <= idle + 1, "for the kdamond's thread to go")
        assert outcomes[:2] == [errno.EAGAIN, errno.EAGAIN] and outcomes[-1] == 0, outcomes
        (pids_cgroup / "pids.max").write_text(str(len(os.listdir(tasks))))
        with fails(errno.EAGAIN):
            os.read(pipe, 10)  # waits on a thread of its own
        os.close(pipe)
        (pids_cgroup / "pids.max").write_text("max")
        assert mount.end() == 0, mount.log()
        assert "no thread for" in mount.log()
    finally:
        mount.close()


def test_no_thread_to_start_with(directory, pids_cgroup):
    """The start fails and says why, however many threads there are."""
    (directory / "mnt").mkdir()
    (directory / "pattern").write_text(PATTERN)
    for count in (1, 2, 3, 5, 6):
        (pids_cgroup / "pids.max").write_text(str(count))
        done = subprocess.run([DAMONFS, "mount", directory / "mnt", "--foreground", "--backend",
                               "synthetic:%s/pattern" % directory], check=False, capture_output=True, text=True,
                              timeout=PATIENCE,
                              preexec_fn=lambda: (pids_cgroup / "cgroup.procs").write_text(str(os.getpid())))
        assert done.returncode == 1 and "no thread for" in done.stderr, (count, done)
        assert mounts_below(directory) == []


def test_no_descriptors_and_no_memory_left(mount):
    """Whatever is refused then changes nothing, and all works again after."""
    mount.tree.set_up([1], [1])
    pid = mount.process.pid
    as_it_was = {name: mount.tree.read(name) for name in ("nr_kdamonds", "0/state", "0/contexts/nr_contexts")}
    size = int(pathlib.Path("/proc/%d/statm" % pid).read_text().split()[0]) * 4096

    for what, value in ((resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_AS, size)):
        _, most = before = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (value, most))
        for path, text in (("0/state", "on"), ("0/contexts/0/schemes/nr_schemes", 3000),
                           ("0/state", "update_schemes_tried_regions"), ("0/state", "commit")):
            with contextlib.suppress(OSError):
                mount.tree.write(path, text)
            assert served(mount)
        resource.prlimit(pid, what, before)
        with contextlib.suppress(OSError):
            mount.tree.command("off")
        mount.tree.write("0/contexts/0/schemes/nr_schemes", 1)
        for name, text in as_it_was.items():
            assert mount.tree.read(name) == text
        mount.tree.command("on")
        mount.tree.command("off")


# The root of the mount.


def test_the_root_is_for_its_owner_alone(directory):
    for options, mode in (((), 0o700), (("--mode", "755"), 0o755)):
        mount = Mount(directory, *options)
        try:
            assert stat.S_IMODE(os.stat(mount.path).st_mode) == mode
            listing = subprocess.run(["ls", mount.path], check=False, capture_output=True,
                                     preexec_fn=lambda: (os.setgid(65534), os.setuid(65534)))
            assert (listing.returncode == 0) == (mode == 0o755)
            assert mount.end() == 0
        finally:
            mount.close()
    for wrong in ("8", "", "777777", "rwx"):
        done = subprocess.run([DAMONFS, "mount", directory / "mnt", "--mode", wrong], check=False, capture_output=True)
        assert done.returncode == 2, wrong


def test_a_part_bound_elsewhere_can_be_opened_to_others(mount, directory):
    """As for a container: what is bound has its own modes."""
    place = directory / "bound"
    place.mkdir()
    subprocess.run(["mount", "--bind", mount.path / "kernel/mm/damon", place], check=True)
    done = subprocess.run(["ls", place / "admin"], check=False, capture_output=True, text=True,
                          preexec_fn=lambda: (os.setgid(65534), os.setuid(65534)))
    assert done.stdout == "kdamonds\n", done.stderr
    subprocess.run(["umount", place], check=True)


# The log.


def test_sighup_opens_the_log_again(directory):
    mount = Mount(directory, "--log-file", str(directory / "own.log"))
    try:
        (directory / "own.log").rename(directory / "own.log.1")
        mount.process.send_signal(signal.SIGHUP)
        wait_until((directory / "own.log").exists, "for the new log")
        with fails(errno.EINVAL):
            mount.tree.write("nr_kdamonds", "nonsense")
        wait_until(lambda: "nonsense" in (directory / "own.log").read_text(), "for a line")
        assert "nonsense" not in (directory / "own.log.1").read_text()
        # Where there is nothing to be opened, it goes on.
        (directory / "own.log").unlink()
        (directory / "own.log").symlink_to("own.log.1")
        mount.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert served(mount)
        assert mount.end() == 0
    finally:
        mount.close()


def test_sighup_without_a_log_file(mount):
    mount.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert served(mount)


def test_a_log_file_is_no_link_and_nobody_elses(directory):
    (directory / "mnt").mkdir()
    (directory / "pattern").write_text(PATTERN)
    (directory / "precious").write_text("precious")
    (directory / "link").symlink_to("precious")
    (directory / "theirs").write_text("")
    os.chown(directory / "theirs", 65534, 65534)
    os.mkfifo(directory / "fifo")
    for name, reason in (("link", "link"), ("theirs", "another user"), ("fifo", "fifo"), ("mnt", "mnt")):
        done = subprocess.run([DAMONFS, "mount", directory / "mnt", "--foreground", "--log-file", directory / name,
                               "--backend", "synthetic:%s/pattern" % directory], check=False, capture_output=True,
                              text=True, timeout=PATIENCE)
        assert done.returncode == 1 and reason in done.stderr, done
    assert (directory / "precious").read_text() == "precious"
    assert mounts_below(directory) == []


def test_a_full_disk_harms_nothing(directory):
    disk = directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], check=True)
    try:
        log = disk / "log"
        mount = Mount(directory, "--log-file", str(log))
        try:
            for _ in range(10):
                for _ in range(20):
                    with fails(errno.EINVAL):
                        mount.tree.write("nr_kdamonds", "nonsense of some length, to fill a page soon")
                time.sleep(0.11)
            assert log.stat().st_size <= 4096
            mount.tree.set_up([1])
            mount.tree.command("on")
            mount.tree.command("off")
            os.truncate(log, 0)
            time.sleep(1)
            with fails(errno.EINVAL):
                mount.tree.write("nr_kdamonds", "nonsense")
            assert "lines could not be written" in log.read_text()
            assert mount.end() == 0
        finally:
            mount.close()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_refused_writes_are_logged_at_a_bounded_rate(mount):
    began = time.monotonic()
    for _ in range(2000):
        with fails(errno.EINVAL):
            mount.tree.write("nr_kdamonds", "nonsense")
    time.sleep(1)
    with fails(errno.EINVAL):
        mount.tree.write("nr_kdamonds", "at last")
    lasted = time.monotonic() - began
    lines = mount.log().count("refused: ")
    assert 20 <= lines <= 20 * (lasted + 2)
    assert "refused writes were left out" in mount.log() and "at last" in mount.log()


# Descriptors and paths.


def test_a_daemon_keeps_no_inherited_descriptors(directory):
    (directory / "mnt").mkdir()
    (directory / "pattern").write_text(PATTERN)
    read, write = os.pipe()
    words = [DAMONFS, "mount", directory / "mnt", "--backend", "synthetic:%s/pattern" % directory]
    done = subprocess.run(words, check=False, pass_fds=[write], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    try:
        os.close(write)
        os.set_blocking(read, False)
        assert os.read(read, 1) == b"", "the other end is closed"
        os.close(read)
    finally:
        subprocess.run([DAMONFS, "umount", directory / "mnt"], check=True, timeout=PATIENCE)


def test_links_of_others_are_not_followed(directory):
    (directory / "pattern").write_text(PATTERN)
    (directory / "above/mnt").mkdir(parents=True)
    words = [DAMONFS, "mount", directory / "link/mnt", "--backend", "synthetic:%s/pattern" % directory]
    (directory / "link").symlink_to("above")
    os.chown(directory / "link", 65534, 65534, follow_symlinks=False)
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and "link of another user" in done.stderr
    assert mounts_below(directory) == []
    os.chown(directory / "link", 0, 0, follow_symlinks=False)
    assert subprocess.run(words, check=False, timeout=PATIENCE).returncode == 0
    assert mounts_below(directory) == [str(directory / "above/mnt")]
    subprocess.run([DAMONFS, "umount", directory / "link/mnt"], check=True, timeout=PATIENCE)


# Beside a daemon that is stopped or dead.

STOPPED = """
set -e
B=%(damonfs)s; D=%(directory)s; S=synthetic:$D/pattern
mkdir -p $D/a $D/b
$B mount $D/a --foreground --backend $S 2>$D/log & P=$!
until [ -e $D/a/kernel ]; do sleep 0.05; done
%(before)s
kill -STOP $P
trap 'kill -CONT $P; kill $P || true; wait' EXIT
%(what)s
"""


def beside_a_stopped_daemon(directory, what, before=""):
    """Runs `what` in a mount namespace of its own, where $B is the program, $D/a a mount whose daemon is stopped, $D/b free."""
    (directory / "pattern").write_text(PATTERN)
    script = STOPPED % {"damonfs": DAMONFS, "directory": directory, "before": before, "what": what}
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(["unshare", "-m", "sh", "-c", script], check=False, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=3 * PATIENCE, env=environment)


@pytest.mark.parametrize("what, said", [
    ("$B exec --mount $D/a -- true", "does not answer"),
    ("$B dump $D/a", "nobody answers"),
    ("$B mount $D/a --backend $S", "serves here already"),
    ("$B watch --mount $D/a --seconds 1 $$", "nobody answers"),
    ("$B attach $D/a", "does not answer"),
    ("$B status", "does not answer"),
])
def test_commands_at_a_stopped_daemon_say_so(directory, what, said):
    done = beside_a_stopped_daemon(directory, what + " && exit 9 || exit 7")
    assert done.returncode == 7 and said in done.stderr, done


@pytest.mark.parametrize("what", [
    "$B exec --backend $S -- true", "$B exec --backend $S -- cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds",
    "$B mount $D/b --backend $S && $B umount $D/b", "$B umount $D/a", "$B doctor >/dev/null || [ $? = 1 ]",
    "$B watch --backend $S --seconds 0.1 --json $$ >/dev/null"])
def test_commands_beside_a_stopped_daemon_work(directory, what):
    done = beside_a_stopped_daemon(directory, what)
    assert done.returncode == 0, done


def test_exec_beside_an_attached_daemon_that_is_stopped(directory):
    done = beside_a_stopped_daemon(directory, "$B exec -- true && exit 9; $B exec --backend $S -- true; $B detach",
                                   before="$B attach $D/a")
    assert done.returncode == 0 and "does not answer" in done.stderr, done


def test_exec_takes_the_attached_daemon_and_no_other(directory):
    nr = "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"
    (directory / "pattern").write_text(PATTERN)
    script = STOPPED.replace("kill -STOP $P", ":") % {
        "damonfs": DAMONFS, "directory": directory, "before": "echo 3 >$D/a%s" % nr.removeprefix("/sys"),
        "what": "$B exec -- cat %s || echo refused; $B attach $D/a; $B exec -- cat %s; $B detach" % (nr, nr)}
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], check=False, capture_output=True, text=True,
                          timeout=3 * PATIENCE)
    assert done.returncode == 0, done
    # No real backend may work here.
    assert done.stdout in ("0\n3\n", "refused\n3\n"), done
    assert "a daemon of its own, not the one at /" in done.stderr
    assert "uses the daemon that serves at /sys/kernel/mm/.damonfs/sys" in done.stderr


def test_attach_replaces_a_view_whose_daemon_died(directory):
    nr = "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"
    done = beside_a_stopped_daemon(directory, """
        kill -KILL $P; wait $P || true
        $B mount $D/b --backend $S; echo 5 >$D/b%s
        $B attach $D/b; cat %s; $B attach $D/b && exit 9
        $B detach; $B umount $D/b; $B umount $D/a
        grep -e $D -e damonfs-view /proc/self/mounts && exit 8
        trap - EXIT; exit 0""" % (nr.removeprefix("/sys"), nr), before="$B attach $D/a")
    assert (done.returncode, done.stdout) == (0, "5\n"), done
    assert "whose daemon has died" in done.stderr and "already" in done.stderr


# Attaches with a failure, then a kill, at the second thing that it mounts.
HALF = """
set -e; B=%(damonfs)s; D=%(directory)s
! mountpoint -q /sys/kernel/tracing || umount -l /sys/kernel/tracing # with it, the second would be a file there
mkdir -p $D/a; $B mount $D/a --backend synthetic:$D/pattern; trap "$B umount $D/a" EXIT
before=$(cat /proc/self/mounts)
at_the_second() { strace -f -qq -o /dev/null -e trace=move_mount -e inject=move_mount:$1:when=2 $B attach $D/a; }
at_the_second error=ENOSPC && exit 9
test "$before" = "$(cat /proc/self/mounts)"
at_the_second signal=KILL && exit 8
grep -q ^damonfs-view /proc/self/mounts
$B attach $D/a
cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds
$B attach $D/a && exit 7
$B detach
test "$before" = "$(cat /proc/self/mounts)"
"""


def test_attach_rolls_back_what_is_half_made(directory):
    if subprocess.run(["sh", "-c", "strace -qq -o /dev/null true"], check=False).returncode != 0:
        pytest.skip("no strace")
    (directory / "pattern").write_text(PATTERN)
    done = subprocess.run(["unshare", "-m", "sh", "-c", HALF % {"damonfs": DAMONFS, "directory": directory}],
                          check=False, capture_output=True, text=True, timeout=3 * PATIENCE)
    assert (done.returncode, done.stdout) == (0, "0\n"), done
    assert "No space left" in done.stderr and "in part" in done.stderr and "already" in done.stderr, done


# A service manager.


def test_the_watchdog_is_fed(directory):
    import socket

    from test_daemon import links_libsystemd

    if not links_libsystemd():
        pytest.skip("built without libsystemd")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(directory / "notify"))
        receiver.settimeout(PATIENCE)
        own = {"NOTIFY_SOCKET": str(directory / "notify"), "WATCHDOG_USEC": "200000"}
        os.environ.update(own)
        try:
            mount = Mount(directory)
        finally:
            for name in own:
                del os.environ[name]
        try:
            told = [receiver.recv(1000).decode() for _ in range(4)]
            assert told.count("WATCHDOG=1") >= 2
            # A daemon whose kernel side is cut off serves nobody.
            # One that is stopped serves nobody.
            mount.process.send_signal(signal.SIGSTOP)
            receiver.settimeout(1)
            with pytest.raises(TimeoutError):
                for _ in range(10):
                    receiver.recv(1000)
            mount.process.send_signal(signal.SIGCONT)
            assert receiver.recv(1000).decode() == "WATCHDOG=1"
            assert mount.end() == 0
        finally:
            mount.close()


def test_locked_memory(directory):
    mount = Mount(directory, "--lock-memory")
    try:
        status = pathlib.Path("/proc/%d/status" % mount.process.pid).read_text()
        locked = next(line for line in status.splitlines() if line.startswith("VmLck:"))
        assert int(locked.split()[1]) > 1024
        mount.tree.set_up([1])
        mount.tree.command("on")
        assert mount.end() == 0
    finally:
        mount.close()
