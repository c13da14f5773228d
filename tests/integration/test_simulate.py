"""`damonfs simulate`, and `damonfs mount --dry-run` on a real process."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import score  # noqa: E402
from conftest import real_daemon  # noqa: E402
from damon_tree import DAMONFS  # noqa: E402

MIB = 1 << 20
PATTERN = """\
memory 256M
process 1
  map a 0x10000000 192M
  phase 1h
    access a 64M 64M always
"""
CONFIG = """\
kdamonds:
  - contexts:
      - operations: fvaddr
        targets:
          - pid_target: 1
            regions: [{start: 0x10000000, end: 0x1c000000}]
        schemes:
          - action: pageout
            access_pattern:
              sz: {max: 0xffffffffffffffff}
              nr_accesses: {max: 0}
              age: {min: 10, max: 0xffffffff}
            quotas: {bytes: 4194304, reset_interval_ms: 1000}
"""


@pytest.fixture
def simulate(tmp_path):
    """Runs it on CONFIG and PATTERN, or others, and returns what it printed."""

    def run(*options, config=CONFIG, pattern=PATTERN, status=0):
        (tmp_path / "config.yaml").write_text(config)
        (tmp_path / "a.pattern").write_text(pattern)
        done = subprocess.run([DAMONFS, "simulate", "config.yaml", "a.pattern", *options],
                              cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=300)
        assert done.returncode == status, done.stderr
        assert status or done.stderr == ""
        return done.stderr if status else done.stdout

    return run


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_rows_as_json(simulate):
    rows = rows_of(simulate("--for", "1min", "--every", "25s", "--json"))
    assert [row["time"] for row in rows] == [25.0, 50.0, 60.0]
    assert {(row["kdamond"], row["scheme"], row["action"]) for row in rows} == {(0, 0, "pageout")}
    for row in rows:
        # Windows of a second, the first of which begins at the first application.
        assert row["sz_tried"] <= 4 * MIB * (row["time"] + 1)
        assert row["mapped_bytes"] == 192 * MIB
        assert row["effective_bytes"] == 4 * MIB
    # Two thirds are cold; borders of the hot part are found by chance.
    assert 124 * MIB <= rows[-1]["sz_applied"] <= 132 * MIB + rows[-1]["brought_back_bytes"]
    assert abs(rows[-1]["resident_bytes"] - 64 * MIB) < 6 * MIB


def test_tables_and_a_map(simulate):
    text = simulate("--for", "1min", "--every", "10s")
    lines = text.splitlines()
    assert lines[0] == "kdamond 0, scheme 0: pageout"
    assert len([line for line in lines if line.lstrip().startswith("in all")]) == 1
    marks = [line.split("|")[1] for line in lines if line.count("|") == 2]
    assert len(marks) == 6
    third = len(marks[-1]) // 3
    assert "@" * (third - 8) in marks[-1][third:2 * third]
    assert set(marks[-1][:third - 4]) == {"."}


def test_the_same_seed_the_same_output(simulate):
    pattern = PATTERN + "    access a 0 32M 1%\n"
    options = ("--for", "30s", "--json")
    first = simulate(*options, "--seed", "5", pattern=pattern)
    assert first == simulate(*options, "--seed", "5", pattern=pattern)
    assert first != simulate(*options, "--seed", "6", pattern=pattern)


def test_length_of_the_pattern_and_twenty_rows(simulate):
    rows = rows_of(simulate("--json", pattern=PATTERN.replace("1h", "10s")))
    assert [row["time"] for row in rows] == [0.5 * i for i in range(1, 21)]


def test_a_goal_is_reached(simulate):
    goal = CONFIG.replace("quotas: {", "quotas: {goal_tuner: consist, goals: [{target_metric: "
                          "node_mem_free_bp, target_value: 5000}], ").replace("bytes: 4194304, ", "")
    # Each page is wanted again after 100 s on average.
    rows = rows_of(simulate("--for", "2h", "--every", "10s", "--json", config=goal,
                            pattern=PATTERN.replace("always", "always\n    access a 0.01/s")))
    resident = [row["resident_bytes"] / MIB for row in rows[len(rows) // 2:]]
    # 128 MiB are to be free.
    assert abs(sum(resident) / len(resident) - 128) < 13


@pytest.mark.parametrize("config, said", [
    (CONFIG.replace("pageout", "pagein"), "config.yaml:8: kernel/mm/damon/admin/kdamonds/0/contexts/0/"
     "schemes/0/action: \"pagein\" is refused: "),
    (CONFIG.replace("bytes: 4194304", "bytes: 4M"), "(EINVAL: Invalid argument)"),
    (CONFIG.replace("pid_target: 1", "pid_target: 2"), "config.yaml:2: kernel/mm/damon/admin/kdamonds/"
     "0/state: \"on\" is refused: targets/0: pid_target 2: the pattern has no process 2"),
    (CONFIG.replace("action", "acton"), "there is no file acton in kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/0; did you mean action?"),
    ("kdamonds: [", "config.yaml:1: "),
])
def test_bad_configurations(simulate, config, said):
    assert said in simulate(config=config, status=1)


def test_bad_calls(simulate, tmp_path):
    assert "a.pattern, line 1" in simulate(pattern="what", status=1)
    assert "--for" in simulate("--for", "1 day", status=2)
    assert "--every" in simulate("--every", "0s", status=2)
    assert "--what" in simulate("--what", status=2)
    done = subprocess.run([DAMONFS, "simulate", "none.yaml", "a.pattern"], cwd=tmp_path, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "none.yaml: No such file or directory" in done.stderr


def test_what_is_not_simulated_is_said(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.replace(
        "quotas: {", "quotas: {goals: [{target_metric: some_mem_psi_us, target_value: 1000}], "))
    (tmp_path / "a.pattern").write_text(PATTERN)
    done = subprocess.run([DAMONFS, "simulate", "config.yaml", "a.pattern", "--for", "5s"], cwd=tmp_path,
                          check=True, capture_output=True, text=True)
    assert done.stderr == ("damonfs simulate: waiting for memory (PSI) is not simulated: "
                           "some_mem_psi_us is 0\n")


def resident(pid):
    """Bytes."""
    return int(pathlib.Path("/proc/%d/statm" % pid).read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_dry_run_leaves_a_real_process_alone():
    backend = os.environ.get("DAMONFS_BACKEND", "auto")
    size = 64 * MIB
    with real_daemon(backend, "--dry-run") as daemon, subprocess.Popen([sys.executable, str(TESTS / "toucher.py"), str(size)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            _, values = score.fields(child.stdout.readline())
            start, end = score.number(values["start"]), score.number(values["end"])
            before = resident(child.pid)
            assert before > size
            assert "DRY RUN" in daemon.said()
            tree = daemon.tree
            tree.set_up([child.pid])
            context = "0/contexts/0/"
            tree.write(context + "operations", "fvaddr")
            tree.write(context + "targets/0/regions/nr_regions", 1)
            tree.write(context + "targets/0/regions/0/start", start)
            tree.write(context + "targets/0/regions/0/end", end)
            tree.write(context + "schemes/0/action", "pageout")
            tree.command("on")
            applied = 0
            deadline = time.monotonic() + 60
            while applied < 2 * size:
                assert time.monotonic() < deadline
                time.sleep(0.2)
                tree.command("update_schemes_stats")
                applied = int(tree.read(context + "schemes/0/stats/sz_applied"))
            assert resident(child.pid) >= before - MIB
        finally:
            child.kill()


@pytest.mark.parametrize("sweep, least", [("0", 48), ("1", 64)])
def test_no_scheme_acts_on_memory_whose_accesses_cannot_be_told(simulate, sweep, least):
    """64 of 192 MiB are unknown: the scheme takes the others for cold, and these never; without sweeps
    a region that holds a little of them is taken for cold now and then."""
    pattern = PATTERN.replace("map a 0x10000000 192M", "map a 0x10000000 128M\n  map b 0x18000000 64M unknown")
    pattern = pattern.replace("access a 64M 64M always", "access b always")
    config = CONFIG.replace("            quotas: {bytes: 4194304, reset_interval_ms: 1000}\n", "")
    rows = rows_of(simulate("--for", "2min", "--sweep", sweep, "--json", config=config, pattern=pattern))
    assert least * MIB <= rows[-1]["resident_bytes"] <= 80 * MIB
