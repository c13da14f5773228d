"""The stream of trace events: kernel/tracing of the mount."""

import contextlib
import errno
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import PATIENCE, wait_until

LINE = re.compile(r" +kdamond\.\d-\d+ +\[\d{3}\] \.{5} \d+\.\d{9}: (\w+): \w+=.*\n")


@pytest.fixture
def tracing(mount):
    return mount.path / "kernel/tracing"


def read_for(fd, seconds):
    """What comes in `seconds`, of a descriptor that does not block."""
    text = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            text += os.read(fd, 1 << 16)
        except BlockingIOError:
            time.sleep(0.01)
    return text.decode()


def read_all(fd):
    """What waits in a descriptor that does not block."""
    text = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            text += os.read(fd, 1 << 16)
    return text.decode()


def start(mount, **attrs):
    mount.tree.set_up([1], **attrs)
    mount.tree.write("0/contexts/0/operations", "fvaddr")
    mount.tree.set_regions(0, [(0x10000000, 0x11000000)])
    mount.tree.command("on")


def test_files(tracing):
    names = ["damon_aggregated", "damon_monitor_intervals_tune", "damos_before_apply", "damos_esz",
             "damos_stat_after_apply_interval", "damon_region_aggregated"]
    assert (tracing / "available_events").read_text().split() == ["damon:" + name for name in names]
    assert sorted(os.listdir(tracing / "events/damon")) == sorted(names)
    assert (tracing / "events/damon/damos_esz/format").read_text().startswith("name: damos_esz\nID: ")
    assert oct(os.stat(tracing / "trace_pipe").st_mode & 0o777) == "0o440"


def test_layout_is_that_of_this_kernel(tracing):
    """Where the kernel has events of the same name and they can be seen."""
    kernel = "/sys/kernel/tracing/events/damon"
    if not os.path.isdir(kernel):
        pytest.skip("no events of DAMON in this kernel's tracefs")
    for name in set(os.listdir(kernel)) & set(os.listdir(tracing / "events/damon")):
        with open("%s/%s/format" % (kernel, name)) as file:
            wanted = re.sub("ID: .*", "", file.read())
        assert re.sub("ID: .*", "", (tracing / "events/damon" / name / "format").read_text()) == wanted


def test_nothing_without_a_kdamond(tracing):
    fd = os.open(tracing / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        os.read(fd, 4096)
    os.close(fd)


def test_events_of_a_kdamond(mount, tracing):
    fds = [os.open(tracing / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK) for _ in range(2)]
    start(mount)
    tid = mount.tree.read("0/pid")
    texts = [read_for(fd, 0.5) for fd in fds]
    for text in texts:
        lines = text.splitlines(keepends=True)[:-1]
        assert lines and all(LINE.fullmatch(line) for line in lines), text[:1000]
        assert {LINE.fullmatch(line)[1] for line in lines} == {
            "damon_aggregated", "damon_region_aggregated", "damos_before_apply",
            "damos_stat_after_apply_interval"}
        assert all("kdamond.0-%s " % tid in line for line in lines)
    # Each has all of them.
    common = min(map(len, texts))
    assert texts[0][:common] == texts[1][:common]
    for fd in fds:
        os.close(fd)


def test_a_read_waits_for_the_next_event(mount, tracing):
    process = subprocess.Popen(["head", "-n", "3", str(tracing / "trace_pipe")], stdout=subprocess.PIPE, text=True)
    time.sleep(0.2)
    assert process.poll() is None
    start(mount)
    out, _ = process.communicate(timeout=PATIENCE)
    assert len(re.findall(LINE, out)) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_read_that_waits_can_be_interrupted(tracing, number):
    process = subprocess.Popen(["cat", str(tracing / "trace_pipe")], stdout=subprocess.DEVNULL)
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(PATIENCE) == -number


def test_readers_that_wait_do_not_keep_others(mount, tracing):
    readers = [subprocess.Popen(["cat", str(tracing / "trace_pipe")], stdout=subprocess.DEVNULL) for _ in range(40)]
    time.sleep(0.3)
    mount.tree.write("nr_kdamonds", 3)
    assert mount.tree.read("nr_kdamonds") == "3"
    for reader in readers:
        reader.kill()
        reader.wait()


def test_the_daemon_ends_under_a_read_that_waits(mount, tracing):
    process = subprocess.Popen(["cat", str(tracing / "trace_pipe")], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(0.2)
    assert mount.end() == 0
    process.wait(PATIENCE)


def test_a_slow_reader_is_told_what_it_lost_and_delays_nobody(mount, tracing):
    slow = os.open(tracing / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
    # 1,000 regions each millisecond, twice: for the aggregation and for the scheme.
    start(mount, sample_us=500, aggr_us=1000, min=1000, max=2000)
    wait_until(lambda: mount.tree.running(), "for the kdamond")

    def tried():
        mount.tree.command("update_schemes_stats")
        return int(mount.tree.read("0/contexts/0/schemes/0/stats/nr_tried"))
    wait_until(lambda: tried() > 65536, "for more events than wait for a reader")
    mount.tree.command("off")
    text = read_all(slow)
    lost = re.findall(r"(?m)^\[LOST (\d+) EVENTS\]$", text)
    assert len(lost) == 1 and int(lost[0]) > 0, (len(text), text[-300:])
    assert text.count("\n") == 65536 + 1
    os.close(slow)


def test_it_cannot_be_written(tracing):
    with pytest.raises(OSError) as caught:
        os.open(tracing / "trace_pipe", os.O_WRONLY)
    assert caught.value.errno == errno.EACCES
