"""Targets that follow services, and the names of their memory: real processes of the test's own, by cgroup, tree and name."""

import contextlib
import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from conftest import fails, found_by_samples, own_cgroup, real_daemon, skip_without_backend, wait_until  # noqa: E402
from damon_tree import DAMONFS, comes_true  # noqa: E402
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # noqa: E402
from test_restart import daemon_of  # noqa: E402
from test_top import Terminal  # noqa: E402

MIB = 1 << 20
PATIENCE = 30
# A server as many are: a parent, workers that share memory with it, and memory of each worker's own. Touches both all the
# time. Prints the workers' pids; SIGTERM ends all.
SERVER = """\
import mmap, os, signal, sys, time
workers, shared_size, own_size = (int(word) for word in sys.argv[1:4])
if sys.argv[4]: open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[4]))
fd = os.memfd_create("pool of buffers")
os.ftruncate(fd, shared_size)
pool = mmap.mmap(fd, shared_size)
pids = []
for number in range(workers):
    pid = os.fork()
    if pid == 0:
        own = mmap.mmap(-1, own_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        while True:
            for at in range(0, shared_size, 4096): pool[at] = 1
            for at in range(0, own_size, 4096): own[at] = 1
            time.sleep(0.005)
    pids.append(pid)
def end(*_):
    for pid in pids: os.kill(pid, signal.SIGKILL)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print(*pids, flush=True)
while True: time.sleep(60)
"""


@pytest.fixture(scope="module")
def daemon():
    with real_daemon("auto") as started:
        yield started


@pytest.fixture
def group():
    """A cgroup of the test's own: its folder, and its path as users say it."""
    folder = own_cgroup(("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/systemd"),
                        "cgroup.procs")
    if folder is None:
        pytest.skip("no cgroup can be made here")
    yield folder, "/" + folder.name
    for each in (folder / "below", folder):
        if each.exists():
            assert comes_true(lambda each=each: not (each / "cgroup.procs").read_text(), PATIENCE)
            each.rmdir()


@pytest.fixture
def start(group):
    """Starts servers, in the cgroup if wanted; they end with the test, before the cgroup goes."""
    servers = []

    def run(workers, shared=4 * MIB, own=2 * MIB, folder=None, wrapped=False, comm=b""):
        command = [sys.executable, "-c", SERVER, *map(str, (workers, shared, own)), comm.hex()]
        if wrapped:
            command = ["/bin/sh", "-c", '"$@" & wait', "wrapper", *command]
        if folder:
            command = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(folder / "cgroup.procs"), *command]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        servers.append(server)
        pids = [int(word) for word in server.stdout.readline().split()]
        assert len(pids) == workers
        return server, pids

    yield run
    for server in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 9)
        server.wait()


def beside(tree, name):
    return tree.kdamonds.parents[4] / "damonfs/kdamonds/0" / name


def follow(tree, words):
    tree.write("nr_kdamonds", 1)
    tree.write("0/contexts/nr_contexts", 1)
    tree.write("0/contexts/0/operations", "vaddr")
    write(beside(tree, "contexts/0/follow"), words)


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def targets(tree):
    """The pids in the ABI's files."""
    try:
        return [int(tree.read("0/contexts/0/targets/%d/pid_target" % i))
                for i in range(int(tree.read("0/contexts/0/targets/nr_targets")))]
    except OSError:
        return None  # they have just changed


def watched(tree):
    """The pids that the kdamond watches, each target's once."""
    rows = [line.split() for line in beside(tree, "regions").read_text().splitlines() if line[0].isdigit()]
    by_target = dict((int(row[0]), int(row[1])) for row in rows)
    return [by_target[target] for target in sorted(by_target)]


def becomes(tree, pids):
    began = time.monotonic()
    assert comes_true(lambda: sorted(watched(tree)) == sorted(pids) and sorted(targets(tree) or []) == sorted(pids),
                      PATIENCE, 0.02), (watched(tree), targets(tree), pids)
    print("in step after %.0f ms" % ((time.monotonic() - began) * 1000))


def ages(tree, pid):
    rows = [line.split() for line in beside(tree, "regions").read_text().splitlines() if line[0].isdigit()]
    return [int(row[5]) for row in rows if int(row[1]) == pid]


def test_a_cgroup_is_followed_through_newcomers_and_a_restart(tree, group, start):
    folder, path = group
    server, workers = start(2, folder=folder)
    follow(tree, "cgroup " + path)
    tree.command("on")
    becomes(tree, [server.pid, *workers])
    assert targets(tree)[0] == server.pid, "the oldest is the first"
    assert comes_true(lambda: max(ages(tree, server.pid)) >= 5, PATIENCE)
    (folder / "below").mkdir()
    other, more = start(1, folder=folder / "below")
    becomes(tree, [server.pid, *workers, other.pid, *more])
    assert max(ages(tree, server.pid)) >= 5, "what is known of those that stay is kept"
    for each in (server, other):
        os.killpg(each.pid, 9)
        each.wait()
    becomes(tree, [])
    assert tree.running(), "a service that restarts is found again"
    assert "no process" in beside(tree, "contexts/0/follow_state").read_text()
    again, workers = start(3, folder=folder)
    becomes(tree, [again.pid, *workers])
    with fails(16):  # EBUSY
        tree.write("0/contexts/0/targets/nr_targets", 1)


def test_a_wrappers_children_and_orphans_are_its_tree(tree, start):
    server, workers = start(2, wrapped=True)
    follow(tree, "tree %d" % server.pid)
    tree.command("on")
    assert comes_true(lambda: set(workers) < set(watched(tree)), PATIENCE)
    assert len(watched(tree)) == 4, "the shell, the server and its workers"
    assert len(set(watched(tree))) == 4, "none is watched twice"
    os.kill(server.pid, 9)
    server.wait()
    assert comes_true(lambda: len(watched(tree)) == 3 and set(workers) < set(watched(tree)), PATIENCE)


def test_a_killed_daemon_follows_on(start, group):
    """What is followed is what was written, also where a service has changed meanwhile."""
    folder, path = group
    server, workers = start(2, folder=folder)
    with real_daemon("auto", "--keep") as daemon:
        tree = daemon.tree
        follow(tree, "cgroup " + path)
        tree.command("on")
        becomes(tree, [server.pid, *workers])
        killed = daemon_of(daemon.process.pid)
        os.kill(killed, signal.SIGKILL)
        os.kill(workers[0], signal.SIGKILL)
        other, more = start(1, folder=folder)
        becomes(tree, [server.pid, workers[1], other.pid, *more])
        assert daemon_of(daemon.process.pid) != killed
        assert beside(tree, "contexts/0/follow").read_text() == "cgroup %s\n" % path
        with fails(errno.EBUSY):
            tree.write("0/contexts/0/targets/nr_targets", 1)
        tree.command("off")
        write(beside(tree, "contexts/0/follow"), "\n")
        tree.write("0/contexts/0/targets/nr_targets", 1)


def test_a_name_of_any_bytes(tree, start):
    server, _ = start(0, comm=b"two w\n\xff<b>")
    follow(tree, "comm two w\\n\\xff<b>")
    tree.command("on")
    becomes(tree, [server.pid])
    assert beside(tree, "contexts/0/follow").read_text() == "comm two w\\n\\xff<b>\n"
    done = subprocess.run([DAMONFS, "watch", "--comm", b"two w\n\xff<b>", "--seconds", "1"], capture_output=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert b"comm two w\\n\\xff<b>" in done.stdout.splitlines()[0]


def test_a_dump_has_what_is_followed(tree, group, start):
    folder, path = group
    start(0, folder=folder)
    follow(tree, "cgroup " + path)
    assert comes_true(lambda: len(targets(tree) or []) == 1, PATIENCE)
    mount = str(tree.kdamonds.parents[4])
    dumped = subprocess.run([DAMONFS, "dump", mount], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "follow: cgroup " + path in dumped
    assert "pid_target" not in dumped


def smaps(pids, name, field):
    """Bytes of mappings called `name` in all these processes; those of one file count once, as much as any has."""
    found = {}
    for pid in pids:
        for line in pathlib.Path("/proc/%d/smaps" % pid).read_text().splitlines():
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                key = (words[4], words[2]) if words[4] != "0" else (pid, words[0])
                here = name in line
            elif here and words[0] == field + ":":
                found[key] = max(found.get(key, 0), int(words[1]) * 1024)
    return sum(found.values())


@found_by_samples
def test_watch_says_what_the_memory_of_a_tree_is(start):
    server, workers = start(3, shared=32 * MIB, own=8 * MIB)
    done = subprocess.run([DAMONFS, "watch", "--tree", str(server.pid), "--seconds", "4", "--json"],
                          capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        skip_without_backend("auto", done.stderr)
    last = json.loads(done.stdout.splitlines()[-1])
    assert sorted(each["pid"] for each in last["processes"]) == sorted([server.pid, *workers])
    names = {each["name"]: each for each in last["names"]}
    pool = names["memfd:pool of buffers"]
    assert pool["kind"] == "shared"
    assert pool["processes"] == 4
    assert pool["bytes"] == pytest.approx(32 * MIB, rel=0.05), "shared memory counts once"
    assert max(each["accessed_bytes"] for each in names.values()) > MIB, names


@found_by_samples
def test_wss_by_name_agrees_with_smaps(start):
    server, workers = start(3, shared=32 * MIB, own=8 * MIB)
    done = subprocess.run([DAMONFS, "wss", "--tree", str(server.pid), "--for", "3s", "--by", "file", "--json",
                           "--max-cpu", "100"], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(done.stderr)
    found = json.loads(done.stdout)
    assert found["processes"] == 4
    names = {each["name"]: each for each in found["by"]}
    pids = [server.pid, *workers]
    for name in ("memfd:pool of buffers", "[heap]"):
        truth = smaps(pids, name, "Rss")
        print(name, names[name]["bytes"], truth)
        assert names[name]["bytes"] == pytest.approx(truth, rel=0.05), name


def end(server):
    os.killpg(server.pid, 9)
    server.wait()


def recorded(path):
    """The names of the processes in a record, by their pids; none while it has no snapshot."""
    done = subprocess.run([DAMONFS, "report", path, "--json"], capture_output=True, text=True, timeout=60, check=False)
    return {each["pid"]: each["comm"] for each in json.loads(done.stdout)["targets"]} if done.returncode == 0 else {}


def test_a_record_has_a_service_before_and_after_its_restart(directory, group, start):
    folder, cgroup = group
    first, workers = start(1, folder=folder, comm=b"before")
    path = directory / "record"
    with open(directory / "said", "w+", encoding="utf-8") as said:
        process = subprocess.Popen([DAMONFS, "record", "--cgroup", cgroup, "-o", path, "--every", "100ms"], stderr=said)
        try:
            before = {first.pid: "before", workers[0]: "before"}
            wait_until(lambda: process.poll() is not None or recorded(path) == before, "for the service")
            if process.poll() is not None:
                skip_without_backend("auto", pathlib.Path(said.name).read_text(encoding="utf-8"))
            end(first)
            second, workers = start(2, folder=folder, comm=b"after")
            after = dict.fromkeys([second.pid, *workers], "after")
            assert comes_true(lambda: recorded(path) == before | after, PATIENCE), recorded(path)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
    assert recorded(path) == before | after, "also those that have ended, and each with its own name"


def test_top_shows_a_service_that_restarts(directory, group, start):
    folder, cgroup = group
    first, _ = start(0, folder=folder, comm=b"before")
    terminal = Terminal(directory)
    try:
        terminal.start("--cgroup", cgroup, "--interval", "200ms", locale="C", width=120)
        wait_until(lambda: any(word in " ".join(terminal.screen()) for word in (" before", "status 1")), "for the service")
        if "status 1" in " ".join(terminal.screen()):
            skip_without_backend("auto", " ".join(terminal.screen()))
        end(first)
        start(0, folder=folder, comm=b"after")
        terminal.shows(" after")
        wait_until(lambda: " before" not in "\n".join(terminal.screen()), "for what has ended to go")
        terminal.press("q")
        terminal.shows("status 0")
    finally:
        terminal.close()


def exported(path, service):
    """The values of a service in a file of metrics: the number of its processes, and its memory by kind."""
    processes, memory = None, {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            if sample.labels.get("service") != service:
                continue
            if sample.name == "damonfs_processes":
                processes = sample.value
            if sample.name == "damonfs_memory_bytes":
                kind = sample.labels["kind"]
                memory[kind] = memory.get(kind, 0) + sample.value
    return processes, memory


def test_the_file_of_metrics_keeps_up_with_a_service(directory, group, start):
    folder, cgroup = group
    path = directory / "damonfs.prom"
    first, _ = start(1, folder=folder)
    with real_daemon("auto", "--metrics-file", str(path), "--metrics-period", "200ms") as daemon:
        follow(daemon.tree, "cgroup " + cgroup)
        daemon.tree.command("on")
        assert comes_true(lambda: exported(path, cgroup)[0] == 2, PATIENCE), path.read_text()
        end(first)
        assert comes_true(lambda: exported(path, cgroup) == (0, {}), PATIENCE), path.read_text()
        second, workers = start(3, folder=folder, shared=32 * MIB)
        # Shared memory counts once, and what a worker has since its fork on its own.
        assert comes_true(lambda: exported(path, cgroup)[1].get("shmem", 0) == pytest.approx(32 * MIB, rel=0.05) and
                          exported(path, cgroup)[0] == 4, PATIENCE), (path.read_text(), second.pid, workers)
        daemon.tree.clear()


# Code that was made at run time, as its program tells perf.
JIT = r"""import mmap, os, time
code = mmap.mmap(-1, 64 << 10, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                 prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
for at in range(0, 64 << 10, 4096): code[at] = 1
start = next(int(line.split("-")[0], 16) for line in open("/proc/self/maps") if " rwxp " in line)
with open("/tmp/perf-%d.map" % os.getpid(), "w") as file: file.write("%x 8000 py::a b\x1b\n" % start)
print("ready", flush=True)
while True:
    for at in range(0, 64 << 10, 4096): code[at] = 1
    time.sleep(0.01)
"""


def test_code_made_at_run_time_has_the_names_that_perf_gets(children):
    process = subprocess.Popen([sys.executable, "-c", JIT], stdout=subprocess.PIPE, text=True, umask=0o022)
    children.append(process)
    names = pathlib.Path("/tmp/perf-%d.map" % process.pid)
    try:
        assert process.stdout.readline() == "ready\n"

        def by_symbol():
            done = subprocess.run([DAMONFS, "wss", str(process.pid), "--for", "1s", "--by", "symbol", "--json",
                                   "--max-cpu", "100"], capture_output=True, text=True, timeout=120, check=False)
            if done.returncode:
                skip_without_backend("auto", done.stderr)
            return {each["name"]: each["bytes"] for each in json.loads(done.stdout)["by"] if each["kind"] == "jit"}

        assert by_symbol() == {"[jit]:py::a b\\x1b": 32 << 10, "[jit]:?": 32 << 10}
        os.chown(names, 12345, 12345)
        assert by_symbol() == {"[jit]": 64 << 10}, "what somebody else may have written is not believed"
    finally:
        names.unlink(missing_ok=True)


def one_line(*arguments):
    done = subprocess.run([DAMONFS, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    assert done.stderr.count("\n") <= 3, done.stderr
    return done.returncode, done.stderr


def test_targets_that_are_none_are_told_of():
    for command in ("watch", "wss"):
        code, said = one_line(command, "--unit", "no-such-unit")
        assert code == 1 and "no-such-unit.service" in said
        code, said = one_line(command, "--cgroup", "/no/such/group")
        assert code == 1 and "/no/such/group" in said
        code, said = one_line(command, "--comm", "no such name")
        assert code == 1 and "no such name" in said
        code, said = one_line(command, "--tree", "4194303")
        assert code == 1 and "4194303" in said
        code, said = one_line(command, "--comm", "a", "--unit", "b")
        assert code == 2 and "not several" in said
        code, said = one_line(command, "--cgroup", "/a/../b")
        assert code == 2 and "no path of a cgroup" in said
        code, said = one_line(command, "redis-server")
        assert code == 2 and "--comm redis-server" in said
