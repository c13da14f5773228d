"""The daemon's life: how it starts, what it says when it cannot, and that its end leaves nothing behind."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from conftest import DAMONFS, PATIENCE, PATTERN, Mount, blocked, mounts_below, wait_until


def damonfs(*arguments, **options):
    return subprocess.run([DAMONFS, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE, **options)


def daemons_at(mount_point):
    """Process ids of daemons that were started for `mount_point`."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            words = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            if b"mount" in words and str(mount_point).encode() in words:
                found.append(int(entry))
    return found


class Background:
    """What a test of `damonfs mount` without --foreground needs."""

    def __init__(self, directory):
        self.directory = directory
        self.mnt = directory / "mnt"
        self.mnt.mkdir()
        (directory / "pattern").write_text(PATTERN)
        self.backend = "synthetic:%s/pattern" % directory
        self.log = directory / "log"

    def mount(self, *options, at=None, **more):
        return damonfs("mount", at or self.mnt, "--backend", self.backend, *options, **more)

    def umount(self, at=None):
        return damonfs("umount", at or self.mnt)

    def pid(self):
        (pid,) = daemons_at(self.mnt)
        return pid

    def ended(self):
        wait_until(lambda: not daemons_at(self.mnt), "for the daemon's end")
        return mounts_below(self.directory) == []


@pytest.fixture
def background(directory):
    prepared = Background(directory)
    yield prepared
    for pid in daemons_at(prepared.mnt):
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not daemons_at(prepared.mnt), "for the daemon's end")
    for pid in daemons_at(prepared.mnt):
        os.kill(pid, signal.SIGKILL)


def one_line(done, *words):
    """Asserts that a command failed and said why in one line."""
    assert done.returncode == 1
    assert done.stderr.startswith("damonfs: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
    return True


# Starting.


def test_mount_returns_when_the_tree_can_be_used(background):
    done = background.mount("--log-file", background.log)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (background.mnt / "kernel/mm/damon/admin/kdamonds/nr_kdamonds").read_text() == "0\n"
    assert "SYNTHETIC" in background.log.read_text()
    assert background.umount().returncode == 0
    assert background.ended()


def test_a_daemon_in_the_background_holds_on_to_nothing(background):
    background.mount("--log-file", "log", cwd=background.directory)
    process = pathlib.Path("/proc/%d" % background.pid())
    assert os.readlink(process / "cwd") == "/"
    assert {os.readlink(process / "fd" / fd) for fd in "012"} == {"/dev/null"}
    assert os.getsid(background.pid()) != os.getsid(0)
    assert background.log.exists()


def test_no_log_file_in_the_background_means_syslog(background):
    assert background.mount().returncode == 0


def test_relative_linked_and_odd_mount_points(background):
    odd = background.directory / "a b\\c\té"
    odd.mkdir()
    (background.directory / "link").symlink_to(odd)
    for at in ("./a b\\c\té/", "link", "link/../link/.", odd):
        assert background.mount(at=at, cwd=background.directory).returncode == 0
        assert (odd / "kernel").is_dir()
        done = damonfs("umount", at, cwd=background.directory)
        assert (done.returncode, done.stderr) == (0, "")
        assert not (odd / "kernel").exists()


def test_a_directory_that_is_not_empty(background):
    (background.mnt / "file").write_text("")
    one_line(background.mount(), "not empty", "--nonempty")
    assert os.listdir(background.mnt) == ["file"]
    assert background.mount("--nonempty").returncode == 0
    assert sorted(os.listdir(background.mnt)) == ["damonfs", "kernel", "module"]
    background.umount()
    assert os.listdir(background.mnt) == ["file"]


# Failing to start.


@pytest.mark.parametrize("foreground", [(), ("--foreground",)])
def test_what_is_wrong_is_said_in_one_line(background, foreground):
    d = background.directory
    one_line(background.mount(*foreground, at=d / "none"), "none", "No such")
    one_line(background.mount(*foreground, at=d / "none/below"), "none", "No such")
    one_line(background.mount(*foreground, at=d / "pattern"), "pattern", "not a directory")
    one_line(background.mount(*foreground, "--log-file", d / "pattern/log"), "pattern/log")
    one_line(damonfs("mount", background.mnt, "--backend", "synthetic:%s/none" % d, *foreground),
             "none", "No such")
    (d / "pattern").write_text("process *\n  nonsense\n")
    one_line(background.mount(*foreground), "2")
    assert background.ended()


def test_wrong_usage(background):
    for arguments in ((), ("nonsense",), ("mount",), ("mount", background.mnt, "--backend", "no"),
                      ("mount", background.mnt, "--backend", "synthetic:"),
                      ("mount", background.mnt, "--log-level", "no"), ("umount",),
                      ("mount", background.mnt, "--seed", "x"), ("umount", background.mnt, "--", "a")):
        assert damonfs(*arguments).returncode == 2, arguments
    assert damonfs("--version").stdout.startswith("damonfs ")
    for help in (("--help",), ("mount", "--help"), ("umount", "--help"), ("doctor", "--help")):
        assert damonfs(*help).returncode == 0


def test_mounting_needs_privilege(background):
    os.chmod(background.directory / "pattern", 0o644)
    done = damonfs("mount", background.mnt, "--backend", background.backend,
                   preexec_fn=lambda: (os.setgid(65534), os.setuid(65534)))
    assert one_line(done)


def test_a_second_daemon_is_refused(background):
    assert background.mount().returncode == 0
    one_line(background.mount(), "already")
    one_line(background.mount("--foreground"), "already")
    assert len(mounts_below(background.directory)) == 1
    assert (background.mnt / "kernel").is_dir()


def test_of_several_daemons_one_gets_the_mount_point(background):
    results = []
    racers = [threading.Thread(target=lambda: results.append(background.mount())) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(done.returncode for done in results) == [0] + [1] * 5
    assert all(one_line(done, "already") for done in results if done.returncode)
    assert len(mounts_below(background.directory)) == 1
    assert len(daemons_at(background.mnt)) == 1


# What a daemon that was killed leaves behind.


def kill(background):
    pid = background.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not daemons_at(background.mnt), "for the daemon's end")
    with pytest.raises(OSError) as caught:
        os.listdir(background.mnt)
    assert caught.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)


def test_umount_cleans_up_after_a_killed_daemon(background):
    background.mount()
    kill(background)
    assert background.umount().returncode == 0
    assert mounts_below(background.directory) == []


def test_mount_cleans_up_after_killed_daemons(background):
    for _ in range(2):
        assert background.mount("--log-file", background.log).returncode == 0
        assert (background.mnt / "kernel").is_dir()
        assert len(mounts_below(background.directory)) == 1
        kill(background)
    background.mount("--log-file", background.log)
    assert "dead daemon" in background.log.read_text()


# Ending.


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_daemon_under_load(mount, how):
    mount.set_up_blocking(2)
    stop = threading.Event()
    errors = []

    def use():
        while not stop.is_set():
            try:
                mount.tree.write("0/contexts/0/schemes/nr_schemes", 2)
                for directory, _, files in os.walk(mount.path):
                    for name in files:
                        with open(os.path.join(directory, name), "rb") as file:
                            file.read()
            except OSError as error:
                errors.append(error.errno)

    users = [threading.Thread(target=use) for _ in range(6)]
    for user in users:
        user.start()
    time.sleep(0.5)
    started = time.monotonic()
    status = mount.end(how)
    stop.set()
    for user in users:
        user.join(PATIENCE)
        assert not user.is_alive()
    assert status == 0, mount.log()
    assert not mount.mounted()
    assert time.monotonic() - started < PATIENCE / 2
    assert set(errors) <= {errno.ENOENT, errno.ENODEV, errno.ENOTCONN, errno.ECONNABORTED,
                           errno.EINTR}, set(map(errno.errorcode.get, errors))


def test_a_waiting_write_does_not_keep_the_daemon(mount, start_writer):
    mount.set_up_blocking()
    writer = start_writer(mount.kdamonds / "0/state", "update_schemes_tried_regions")
    wait_until(lambda: blocked(writer), "for the writer")
    assert mount.end() == 0
    assert writer.communicate(timeout=PATIENCE)[0] in ("EINTR\n", "ENOTCONN\n", "ECONNABORTED\n")


def test_umount_with_open_files(mount):
    mount.tree.write("nr_kdamonds", 1)
    fd = os.open(mount.kdamonds / "0/state", os.O_RDWR)
    directory = os.open(mount.kdamonds, os.O_RDONLY)
    try:
        assert damonfs("umount", mount.path).returncode == 0
        assert not mount.mounted()
        assert mount.process.wait(PATIENCE) == 0
        for use in (lambda: os.read(fd, 10), lambda: os.write(fd, b"on"),
                    lambda: os.listdir(directory), lambda: os.stat("0/state", dir_fd=directory)):
            with pytest.raises(OSError) as caught:
                use()
            assert caught.value.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV)
    finally:
        os.close(fd)
        os.close(directory)


def test_umount_ends_waiting_writes(mount, start_writer):
    mount.set_up_blocking()
    writer = start_writer(mount.kdamonds / "0/state", "update_schemes_tried_regions")
    wait_until(lambda: blocked(writer), "for the writer")
    assert damonfs("umount", mount.path).returncode == 0
    assert writer.communicate(timeout=PATIENCE)[0] in ("EINTR\n", "ENOTCONN\n", "ECONNABORTED\n")
    assert mount.process.wait(PATIENCE) == 0


def test_umount_of_a_daemon_that_hangs(mount):
    mount.process.send_signal(signal.SIGSTOP)
    reader = threading.Thread(target=subprocess.run, args=(["find", mount.path],),
                              kwargs={"capture_output": True})
    reader.start()
    started = time.monotonic()
    assert damonfs("umount", mount.path).returncode == 0
    assert time.monotonic() - started < PATIENCE / 2
    reader.join(PATIENCE)
    assert not reader.is_alive()
    mount.process.send_signal(signal.SIGCONT)
    assert mount.process.wait(PATIENCE) == 0


def test_a_daemon_that_hangs_is_not_taken_for_dead(mount, directory):
    mount.process.send_signal(signal.SIGSTOP)
    # A thread that waits for the hung tree keeps LeakSanitizer, but not an ordinary exit, waiting.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    one_line(damonfs("mount", mount.path, "--backend", "synthetic:%s" % mount.pattern, env=environment),
             "already")
    assert mount.mounted()
    mount.process.send_signal(signal.SIGCONT)
    assert mount.tree.read("nr_kdamonds") == "0"


def test_other_ways_to_unmount(mount):
    """umount(8): refused while the mount is in use, and the daemon ends with it."""
    with open(mount.kdamonds / "nr_kdamonds", "rb"):
        done = subprocess.run(["umount", mount.path], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and "busy" in done.stderr
    wait_until(lambda: subprocess.run(["umount", mount.path], capture_output=True,
                                      check=False).returncode == 0, "to unmount")
    assert mount.process.wait(PATIENCE) == 0


def test_a_detached_mount_is_served_until_the_last_file_is_closed(mount):
    mount.tree.write("nr_kdamonds", 1)
    with open(mount.kdamonds / "0/state", "rb", buffering=0) as state:
        subprocess.run(["umount", "-l", mount.path], check=True)
        assert state.read() == b"off\n"
        time.sleep(0.2)
        assert mount.process.poll() is None
    assert mount.process.wait(PATIENCE) == 0


def test_a_signal_ends_a_detached_daemon(mount, start_writer):
    mount.set_up_blocking()
    writer = start_writer(mount.kdamonds / "0/state", "update_schemes_tried_regions")
    wait_until(lambda: blocked(writer), "for the writer")
    with open(mount.kdamonds / "nr_kdamonds", "rb", buffering=0) as file:
        subprocess.run(["umount", "-l", mount.path], check=True)
        assert mount.end() == 0
        with pytest.raises(OSError):
            file.read()
    writer.communicate(timeout=PATIENCE)


def test_a_covered_mount(mount):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount.path], check=True)
    assert damonfs("umount", mount.path).returncode == 1
    one_line(damonfs("umount", mount.path), "no damonfs but tmpfs")
    assert mount.end() == 0
    subprocess.run(["umount", mount.path], check=True)
    assert damonfs("umount", mount.path).returncode == 0


def test_bind_mounts_go_as_well(mount, directory):
    (directory / "second").mkdir()
    subprocess.run(["mount", "--bind", mount.path, directory / "second"], check=True)
    assert (directory / "second/kernel").is_dir()
    assert mount.end() == 0
    assert mounts_below(directory) == []


def test_umount_of_what_is_no_damonfs(directory):
    one_line(damonfs("umount", directory), "nothing is mounted")
    one_line(damonfs("umount", directory / "none"), "No such")
    one_line(damonfs("umount", "/proc"), "no damonfs but proc")
    assert os.path.exists("/proc/self")


def test_running_kdamonds_end_with_the_daemon(mount):
    mount.set_up_blocking(3)
    threads = pathlib.Path("/proc/%d/task" % mount.process.pid)
    names = [(thread / "comm").read_text() for thread in threads.iterdir()]
    assert sorted(name for name in names if name.startswith("kdamond"))[0] == "kdamond.0\n"
    started = time.monotonic()
    assert mount.end() == 0
    assert time.monotonic() - started < PATIENCE / 4


def test_a_service_manager_is_told(directory):
    """The protocol of sd_notify(3)."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(directory / "notify"))
        receiver.settimeout(PATIENCE)
        os.environ["NOTIFY_SOCKET"] = str(directory / "notify")
        try:
            mount = Mount(directory)
        finally:
            del os.environ["NOTIFY_SOCKET"]
        try:
            if not links_libsystemd():
                pytest.skip("built without libsystemd")
            told = receiver.recv(1000).decode()
            assert "READY=1" in told and str(mount.path) in told
            assert mount.end() == 0
            assert "STOPPING=1" in receiver.recv(1000).decode()
        finally:
            mount.close()


def links_libsystemd():
    done = subprocess.run(["ldd", DAMONFS], capture_output=True, text=True, check=True)
    return "libsystemd" in done.stdout


def test_nothing_piles_up(mount):
    """Descriptors, threads and memory after much use."""
    process = pathlib.Path("/proc/%d" % mount.process.pid)

    def use(times):
        for _ in range(times):
            mount.tree.set_up([1], [2])
            subprocess.run(["find", mount.path], check=True, stdout=subprocess.DEVNULL)
            mount.tree.write("nr_kdamonds", 0)
        pages = int((process / "statm").read_text().split()[1])
        return len(os.listdir(process / "fd")), len(os.listdir(process / "task")), pages

    fds, threads, pages = use(20)
    fds_after, threads_after, pages_after = use(100)
    assert fds_after <= fds and threads_after <= threads
    assert (pages_after - pages) * 4 < 4096  # KiB
