"""Many who use the mount at once, and commands that wait: nobody hangs, nobody sees what is not so."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from conftest import PATIENCE, blocked, fails, wait_until


def churn(mount, seconds):
    """Writers that make and remove directories, and readers everywhere; errors that nobody may see."""
    mount.tree.write("nr_kdamonds", 3)
    deadline = time.monotonic() + seconds
    wrong = []

    def write(number):
        chance = random.Random(number)
        contexts = "%d/contexts/nr_contexts" % number
        below = mount.kdamonds / ("%d/contexts/0" % number)
        while time.monotonic() < deadline:
            mount.tree.write(contexts, 1)
            mount.tree.write("%d/contexts/0/schemes/nr_schemes" % number, chance.randrange(1, 4))
            if not (below / "schemes/0/action").exists():
                wrong.append("not there")
            mount.tree.write(contexts, 0)
            if (below / "schemes/0/action").exists() or below.exists():
                wrong.append("still there")
            if os.stat(below.parent).st_nlink != 2:
                wrong.append("links: %d" % os.stat(below.parent).st_nlink)

    def read():
        while time.monotonic() < deadline:
            for directory, _, files in os.walk(mount.kdamonds):
                for name in files:
                    try:
                        with open(os.path.join(directory, name), "rb") as file:
                            file.read()
                    except OSError as error:
                        if error.errno not in (errno.ENOENT, errno.ENODEV):
                            wrong.append(repr(error))

    def find():
        while time.monotonic() < deadline:
            subprocess.run(["find", mount.path, "-type", "f", "-links", "1"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    jobs = [lambda n=n: write(n) for n in range(3)] + [read] * 4 + [find] * 3
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + PATIENCE)
        assert not thread.is_alive(), "somebody hangs"
    return wrong


def test_many_readers_and_writers(mount):
    assert churn(mount, float(os.environ.get("DAMONFS_CHURN_SECONDS", 5))) == []


def test_waiting_writes_keep_nobody_from_the_tree(mount, start_writer):
    count = 40  # far more than the session has threads for requests
    mount.set_up_blocking(count)
    writers = [start_writer(mount.kdamonds / str(k) / "state", "update_schemes_tried_regions")
               for k in range(count)]
    wait_until(lambda: all(map(blocked, writers)), "for the writers")
    started = time.monotonic()
    mount.tree.write("0/contexts/0/schemes/nr_schemes", 5)
    assert len(os.listdir(mount.kdamonds / "0/contexts/0/schemes")) == 6
    subprocess.run(["find", mount.path], check=True, stdout=subprocess.DEVNULL)
    assert mount.tree.read("0/state") == "on"
    assert time.monotonic() - started < PATIENCE / 2
    for writer in writers:
        writer.send_signal(signal.SIGUSR1)
    assert [writer.communicate(timeout=PATIENCE)[0] for writer in writers] == ["EINTR\n"] * count
    for k in range(count):
        mount.tree.command("off", k)


def test_a_waiting_write_ends_with_its_process(mount, start_writer):
    mount.set_up_blocking()
    writer = start_writer(mount.kdamonds / "0/state", "update_schemes_tried_regions")
    wait_until(lambda: blocked(writer), "for the writer")
    writer.kill()
    assert writer.wait(PATIENCE) == -signal.SIGKILL
    mount.tree.command("off")


def test_a_second_command_is_refused_at_once(mount, start_writer):
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 2):
        pytest.skip("before Linux 6.2 writes to one file of a FUSE wait for each other")
    mount.set_up_blocking()
    writer = start_writer(mount.kdamonds / "0/state", "update_schemes_tried_regions")
    wait_until(lambda: blocked(writer), "for the writer")
    with fails(errno.EBUSY):
        mount.tree.command("update_schemes_stats")
    writer.send_signal(signal.SIGUSR1)
    assert writer.communicate(timeout=PATIENCE)[0] == "EINTR\n"
    mount.tree.command("off")


def test_a_directory_is_there_as_soon_as_it_was_made(mount):
    """Also while the kernel still forgets those before it, which had the same name."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        for _ in range(400):
            mount.tree.write("nr_kdamonds", 0)
            mount.tree.write("nr_kdamonds", 1)
            assert mount.tree.read("0/pid") == "-1"
            mount.tree.write("0/contexts/nr_contexts", 1)
            mount.tree.write("0/contexts/0/targets/nr_targets", 1)
            assert "pid_target" in os.listdir(mount.kdamonds / "0/contexts/0/targets/0")
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
