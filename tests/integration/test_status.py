"""What MOUNT/damonfs/status.json and `damonfs status` say of kdamonds that run."""

import errno
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import DAMONFS, NOBODY, THREE_MAPPINGS, Mount, fails, open_as_nobody, opened, wait_until

MAX = (1 << 64) - 1
CONTEXT = "0/contexts/0/"
SCHEME = CONTEXT + "schemes/0/"
READER = pathlib.Path(__file__).resolve().parent.parent / "lab/stand-ins/drgn"
HEAP = 0x10000000
MIB = 1 << 20
# All of System RAM, for paddr and modules, is 16 MiB of process 1.
PHYSICAL = """\
process 1
  map heap 0x10000000 16M
  phase 1s
    access heap 0 1M always
"""


def path_of(mount):
    return mount.path / "damonfs/status.json"


def status_of(mount):
    return json.loads(path_of(mount).read_text())


def kdamond_of(mount, path="kernel/mm/damon/admin/kdamonds/0"):
    return next(each for each in status_of(mount)["kdamonds"] if each["path"] == path)


def context_of(mount):
    kdamond = kdamond_of(mount)
    assert kdamond["state"] == "on"
    return kdamond["contexts"][0]


def status_command(*args):
    return subprocess.run([DAMONFS, "status", *map(str, args)], stdin=subprocess.DEVNULL, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


@pytest.fixture
def mount(directory):
    mounted = Mount(directory, pattern=THREE_MAPPINGS)
    yield mounted
    mounted.close()


def test_it_lies_beside_the_interface_for_root_to_read(mount):
    assert sorted(os.listdir(mount.path)) == ["damonfs", "kernel", "module"]
    assert "status.json" in os.listdir(mount.path / "damonfs")
    found = path_of(mount).stat()
    assert (found.st_mode, found.st_uid, found.st_size) == (0o100400, 0, 0)
    for flags in (os.O_WRONLY, os.O_RDWR):
        with fails(errno.EACCES):
            os.open(path_of(mount), flags)


def test_nobody_else_may_read_it(mount):
    done = open_as_nobody(path_of(mount))
    assert done.returncode == 1 and "PermissionError: [Errno 13]" in done.stderr
    done = subprocess.run([DAMONFS, "status", str(mount.path)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, user=NOBODY, group=NOBODY, extra_groups=[])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "damonfs status: %s: only root may read the status; run as root\n" % mount.path


def test_a_mode_that_lets_writers_in_lets_none_in(mount):
    path_of(mount).chmod(0o666)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        with fails(errno.EACCES):
            os.open(path_of(mount), flags)
    assert status_of(mount)["schema"] == 1


def test_without_kdamonds_modules_are_off(mount):
    status = status_of(mount)
    assert status["daemon"] == {"pid": mount.process.pid, "backend": "synthetic", "dry_run": False}
    assert [(each["path"], each["state"], each["pid"], each["contexts"]) for each in status["kdamonds"]] == [
        ("module/" + name, "off", -1, []) for name in ("damon_lru_sort", "damon_reclaim", "damon_stat")]


def test_a_kdamond_that_is_off_is_listed(mount):
    mount.tree.write("nr_kdamonds", 11)
    paths = [each["path"] for each in status_of(mount)["kdamonds"]][:11]
    assert paths == ["kernel/mm/damon/admin/kdamonds/%d" % i for i in range(11)]
    assert kdamond_of(mount) == {"path": paths[0], "state": "off", "pid": -1, "contexts": []}


def test_what_on_has_begun(running):
    kdamond = kdamond_of(running)
    assert (kdamond["state"], kdamond["pid"]) == ("on", int(running.tree.read("0/pid")))
    context, = kdamond["contexts"]
    assert (context["operations"], context["addr_unit"], context["pause"]) == ("vaddr", 1, False)
    assert context["min_region_sz"] == 4096
    assert context["monitoring_attrs"] == {
        "intervals": {"sample_us": 5000, "aggr_us": 100000, "update_us": 1000000,
                      "intervals_goal": {"access_bp": 0, "aggrs": 0, "min_sample_us": 0, "max_sample_us": 0}},
        "nr_regions": {"min": 10, "max": 1000}, "probes": []}
    target, = context["targets"]
    assert (target["pid_target"], target["obsolete_target"]) == (1, False)
    regions = target["regions"]
    assert target["nr_regions"] == context["nr_regions"] == len(regions) >= 10
    assert (regions[0]["start"], regions[-1]["end"]) == (0x400000, 0x7ff000020000)
    assert all(before["end"] <= after["start"] for before, after in zip(regions, regions[1:]))
    assert all(set(each) == {"start", "end", "nr_accesses", "age", "sampling_addr", "swept"} for each in regions)


def test_accesses_are_those_of_an_aggregation(running):
    def hot():
        return [each for each in context_of(running)["targets"][0]["regions"] if each["nr_accesses"] == 20]
    wait_until(hot, "for a region that is accessed in every sample")
    assert all(HEAP <= each["start"] < HEAP + 16 * MIB for each in hot())


def test_samples_are_timed(running):
    wait_until(lambda: context_of(running)["sampling"]["last_aggregation"]["nr_samples"] == 20, "for an aggregation")
    sampling = context_of(running)["sampling"]
    assert sampling["since_start"]["nr_samples"] >= 20
    for part in sampling.values():
        for name in ("late_us", "work_us"):
            assert 0 <= part[name]["mean"] <= part[name]["max"]
        assert part["work_us"]["mean"] > 0


def test_what_is_written_counts_when_it_is_committed(running):
    before = context_of(running)
    running.tree.write(CONTEXT + "monitoring_attrs/intervals/sample_us", 10000)
    running.tree.set_scheme(0, "pageout", sz=(4096, MAX), nr_accesses=(0, 1), age=(3, 9),
                            quota={"ms": 10, "bytes": 1 << 20, "reset_interval_ms": 1000, "weights/age_permil": 7,
                                   "goals/nr_goals": 1, "goals/0/target_metric": "user_input",
                                   "goals/0/target_value": 100, "goals/0/current_value": 50,
                                   "goal_tuner": "temporal", "fail_charge_num": 1, "fail_charge_denom": 4096},
                            watermarks={"metric": "free_mem_rate", "interval_us": 1000000, "high": 999, "mid": 998,
                                        "low": 1},
                            filters=[{"type": "anon", "matching": "Y", "allow": "Y"},
                                     {"type": "addr", "matching": "Y", "addr_start": 4096, "addr_end": 8192}],
                            apply_interval_us=200000, **{"dests/nr_dests": 1, "dests/0/id": 0, "dests/0/weight": 3})
    unchanged = context_of(running)
    assert unchanged["schemes"][0]["action"] == "stat"
    assert unchanged["monitoring_attrs"] == before["monitoring_attrs"]
    running.tree.command("commit")
    context = context_of(running)
    assert context["monitoring_attrs"]["intervals"]["sample_us"] == 10000
    scheme, = context["schemes"]
    assert scheme["action"] == "pageout"
    assert scheme["access_pattern"] == {"sz": {"min": 4096, "max": MAX}, "nr_accesses": {"min": 0, "max": 1},
                                        "age": {"min": 3, "max": 9}}
    assert (scheme["apply_interval_us"], scheme["target_nid"], scheme["dests"]) == (200000, -1, [{"id": 0, "weight": 3}])
    quota = scheme["quotas"]
    assert (quota["ms"], quota["bytes"], quota["reset_interval_ms"]) == (10, 1 << 20, 1000)
    assert quota["weights"] == {"sz_permil": 0, "nr_accesses_permil": 0, "age_permil": 7}
    assert (quota["fail_charge_num"], quota["fail_charge_denom"], quota["goal_tuner"]) == (1, 4096, "temporal")
    assert quota["goals"] == [{"target_metric": "user_input", "target_value": 100, "current_value": 50, "nid": 0,
                               "path": "", "complement": False}]
    assert scheme["watermarks"] == {"metric": "free_mem_rate", "interval_us": 1000000, "high": 999, "mid": 998, "low": 1}
    assert scheme["ops_filters"] == [{"type": "anon", "matching": True, "allow": True}]
    assert scheme["core_filters"] == [{"type": "addr", "matching": True, "allow": False, "addr_start": 4096,
                                       "addr_end": 8192}]


def test_a_commit_that_fails_changes_nothing(running):
    def settings():
        context = context_of(running)
        return {name: context[name] for name in ("operations", "monitoring_attrs", "pause")}
    before = settings()
    running.tree.write(CONTEXT + "monitoring_attrs/intervals/sample_us", 10000)
    running.tree.write(CONTEXT + "monitoring_attrs/nr_regions/max", 2)
    with fails(errno.EINVAL):
        running.tree.command("commit")
    assert settings() == before


def test_intervals_are_the_tuned_ones(mount):
    mount.tree.set_up([1], sample_us=5000, aggr_us=20000)
    goal = {"access_bp": 1, "aggrs": 2, "min_sample_us": 1000, "max_sample_us": 10000}
    for name, value in goal.items():
        mount.tree.write(CONTEXT + "monitoring_attrs/intervals/intervals_goal/" + name, value)
    mount.tree.command("on")

    def intervals():
        return context_of(mount)["monitoring_attrs"]["intervals"]
    wait_until(lambda: intervals()["sample_us"] == 1000, "for the shortest intervals")
    assert intervals() == {"sample_us": 1000, "aggr_us": 4000, "update_us": 1000000, "intervals_goal": goal}
    assert mount.tree.read(CONTEXT + "monitoring_attrs/intervals/sample_us") == "5000", "as it was written"


def test_a_pause_is_seen_at_once(running):
    running.tree.write(CONTEXT + "monitoring_attrs/intervals/sample_us", 1000000)
    running.tree.write(CONTEXT + "monitoring_attrs/intervals/aggr_us", 10000000)
    running.tree.write(CONTEXT + "pause", "Y")
    running.tree.command("commit")
    context = context_of(running)
    assert context["pause"] and context["monitoring_attrs"]["intervals"]["sample_us"] == 1000000


def test_long_sleeps_do_not_hide_a_kdamond(mount):
    """A sampling interval of a quarter of an hour, in which no command is served."""
    mount.tree.set_up([1], sample_us=900 * 10**6, aggr_us=9000 * 10**6)
    mount.tree.command("on")
    for _ in range(3):
        assert context_of(mount)["monitoring_attrs"]["intervals"]["sample_us"] == 900 * 10**6


def test_modules_are_told_of(directory):
    mounted = Mount(directory, pattern=PHYSICAL)
    try:
        parameters = mounted.path / "module/damon_reclaim/parameters"
        (parameters / "wmarks_interval").write_text("900000000")  # a quarter of an hour to rest
        (parameters / "enabled").write_text("Y")
        kdamond = kdamond_of(mounted, "module/damon_reclaim")
        assert (kdamond["state"], kdamond["pid"]) == ("on", int((parameters / "kdamond_pid").read_text()))
        context, = kdamond["contexts"]
        assert context["operations"] == "paddr"
        assert [each["pid_target"] for each in context["targets"]] == [-1]
        scheme, = context["schemes"]
        assert scheme["action"] == "pageout"
        assert scheme["quotas"]["ms"] == 10
        (parameters / "enabled").write_text("N")
        assert kdamond_of(mounted, "module/damon_reclaim")["state"] == "off"
    finally:
        mounted.close()


def test_an_open_file_stays_as_it_was(running):
    with opened(path_of(running)) as old:
        text = os.read(old, 1 << 20)
        status = json.loads(text)
        running.tree.command("off")
        assert os.pread(old, 1 << 20, 0) == text
        assert b"".join(os.pread(old, 7, at) for at in range(0, len(text), 7)) == text
        assert os.pread(old, 10, len(text)) == os.pread(old, 10, 1 << 40) == b""
    assert status["kdamonds"][0]["state"] == "on"
    assert kdamond_of(running)["state"] == "off"


def test_a_thousand_regions(mount):
    mount.tree.set_up([1], min=1000, max=1100)
    mount.tree.command("on")
    wait_until(lambda: context_of(mount)["nr_regions"] >= 950, "for the regions")
    text = path_of(mount).read_text()
    assert len(text) > 4096 * 10
    assert len(json.loads(text)["kdamonds"][0]["contexts"][0]["targets"][0]["regions"]) >= 950


def test_many_readers_while_it_changes(running, children):
    code = ("import json, sys\n"
            "for _ in range(50):\n"
            "    assert json.load(open(sys.argv[1]))['kdamonds'][0]['state'] in ('on', 'off')\n")
    readers = [subprocess.Popen([sys.executable, "-c", code, path_of(running)]) for _ in range(4)]
    children += readers
    while any(reader.poll() is None for reader in readers):
        running.tree.command("off")
        running.tree.command("on")
    assert [reader.returncode for reader in readers] == [0] * 4


def test_the_command_tells_people(running):
    running.tree.set_scheme(0, "pageout", sz=(4096, MAX), age=(3, 9), quota={"ms": 10, "reset_interval_ms": 1000},
                            filters=[{"type": "anon", "matching": "Y"}])
    running.tree.command("commit")
    done = status_command(running.path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "%s: daemon %d, backend synthetic" % (running.path, running.process.pid)
    assert lines[1] == "kdamonds/0: on, pid %s" % running.tree.read("0/pid")
    assert "  operations    vaddr" in lines
    assert "  intervals     sample 5 ms, aggr 100 ms, update 1.0 s" in lines
    assert any(line.startswith("  target 0      pid 1, ") and line.endswith(" 258.1 MiB") for line in lines)
    assert "  scheme 0      pageout: sz 4.0 KiB or more, nr_accesses any, age 3 to 9" in lines
    assert any(line.startswith("    quota       time 10 ms, size no limit, each 1.0 s; effective ") for line in lines)
    assert "    filters     reject anon" in lines
    assert lines[-3:] == ["damon_lru_sort: off", "damon_reclaim: off", "damon_stat: off"]


def test_the_command_finds_daemons_by_itself(running):
    """Other daemons may be mounted on this machine, too."""
    done = status_command()
    assert "%s: daemon %d" % (running.path, running.process.pid) in done.stdout
    done = status_command("--json")
    daemons = [json.loads(line)["daemon"]["pid"] for line in done.stdout.splitlines()]
    assert running.process.pid in daemons


def test_json_is_the_file(mount):
    done = status_command("--json", mount.path)
    assert (done.returncode, done.stdout) == (0, path_of(mount).read_text())


def test_what_the_command_cannot_do(directory, mount):
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    done = status_command(elsewhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "damonfs status: %s: no damonfs is mounted here; damonfs mount %s mounts one\n" % (
        elsewhere, elsewhere)
    assert status_command("--wrong").returncode == 2
    alone = subprocess.run(["unshare", "-m", "sh", "-c", 'umount -l "$1" && exec "$2" status', "sh", str(mount.path),
                            DAMONFS], text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
    if "daemon" not in alone.stdout:  # or others are mounted here
        assert alone.returncode == 1
        assert alone.stderr == "damonfs status: no damonfs is mounted; mount one with: damonfs mount DIRECTORY\n"


def test_other_commands_do_not_mind_the_directory(running):
    done = subprocess.run([DAMONFS, "dump", str(running.path)], text=True, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0 and "status" not in done.stdout
    done = subprocess.run([DAMONFS, "exec", "--mount", str(running.path), "--", "cat",
                           "/sys/kernel/mm/damon/admin/kdamonds/0/state"], text=True, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (0, "on\n")


def test_the_stand_in_for_drgn(running, directory):
    """What the kernel's selftests get where they would read the kernel's memory."""
    out = directory / "dump"
    pid = running.tree.read("0/pid")

    def run(*args):
        return subprocess.run([READER, *args], env=dict(os.environ, DAMONFS_MOUNT=str(running.path)), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert run("/x/drgn_dump_damon_status.py", pid, str(out)).returncode == 0
    context, = json.loads(out.read_text())["contexts"]
    assert context["ops"] == {"id": 0}
    assert context["attrs"]["sample_interval"] == 5000
    assert context["schemes"][0]["action"] == 10
    assert context["schemes"][0]["pattern"]["max_sz_region"] == MAX
    assert context["adaptive_targets"][0]["obsolete"] is False
    assert run("/x/drgn_dump_damon_status.py", "1", str(out)).returncode == 1
    assert run("/x/other.py", pid, str(out)).returncode == 1
