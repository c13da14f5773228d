"""`damonfs mount --config` and `damonfs dump`, on a described access pattern."""

import os
import pathlib
import socket
import subprocess

import pytest

from conftest import PATIENCE, Mount, mounts_below, wait_until
from damon_tree import DAMONFS

ADMIN = "kernel/mm/damon/admin/"
CONFIG = """\
kdamonds:
  - state: on
    refresh_ms: 50
    contexts:
      - operations: fvaddr
        sweep: 2.5
        monitoring_attrs: {intervals: {sample_us: 2000, aggr_us: 40000}, nr_regions: {min: 20}}
        targets:
          - pid_target: 42
            regions: [{start: 0x10000000, end: 0x10800000}, {start: 0x10800000, end: 0x11000000}]
        schemes:
          - action: pageout
            access_pattern: {sz: {max: 0xffffffffffffffff}, age: {min: 3, max: 0xffffffff}}
            quotas: {bytes: 65536, reset_interval_ms: 10, goals: [{target_value: 3, current_value: 2}]}
            filters: [{type: anon, matching: Y, allow: Y}]
            core_filters: [{type: addr, addr_start: 0, addr_end: 0x10400000}, {}]
            stats/max_nr_snapshots: 7
          - {}
  - contexts: [~]
"""


@pytest.fixture
def configured(directory):
    """Mounts with a configuration, again and again at one place."""
    mounts = []

    def mount(config):
        (directory / "config.yaml").write_text(config)
        mounts.append(Mount(directory, "--config", str(directory / "config.yaml")))
        # The tree is there a moment before it is set up.
        wait_until(lambda: mounts[-1].log().count(": serving; ") == len(mounts), "for the configuration")
        return mounts[-1]

    yield mount
    for mounted in mounts:
        mounted.close()


def dump(path):
    return subprocess.run([DAMONFS, "dump", str(path)], capture_output=True, text=True, check=True,
                          timeout=PATIENCE).stdout


def test_is_there_when_the_mount_is(directory):
    (directory / "config.yaml").write_text(CONFIG)
    (directory / "pattern").write_text("process *\n  map heap 0x10000000 16M\n  phase 1h\n")
    path = directory / "mnt"
    path.mkdir()
    subprocess.run([DAMONFS, "mount", str(path), "--backend", "synthetic:pattern", "--config", "config.yaml",
                    "--log-file", "log"], cwd=directory, check=True, timeout=PATIENCE)
    try:
        kdamonds = path / ADMIN / "kdamonds"
        assert (kdamonds / "nr_kdamonds").read_text() == "2\n"
        assert (kdamonds / "0/state").read_text() == "on\n"
        assert (kdamonds / "1/state").read_text() == "off\n"
        context = kdamonds / "0/contexts/0"
        assert (context / "monitoring_attrs/intervals/sample_us").read_text() == "2000\n"
        assert (context / "targets/0/regions/1/start").read_text() == "%d\n" % 0x10800000
        assert (context / "schemes/0/filters/0/allow").read_text() == "Y\n"
        assert (context / "schemes/1/action").read_text() == "stat\n"
    finally:
        subprocess.run([DAMONFS, "umount", str(path)], check=True)


def test_a_dump_makes_the_same_tree(configured):
    first = configured(CONFIG)
    text = dump(first.path)
    assert "state: on" in text and "pid_target: 42" in text and "max_nr_snapshots: 7" in text
    assert "sweep: 2.5" in text
    assert text.count("state:") == 1
    assert first.end() == 0
    second = configured(text)
    assert (second.kdamonds / "0/state").read_text() == "on\n"
    assert (second.path / "damonfs/kdamonds/0/contexts/0/sweep").read_text() == "2.5\n"
    assert dump(second.path) == text
    assert second.end() == 0


def test_odd_texts_survive(configured):
    mount = configured("kdamonds: [{contexts: [{schemes: [{filters: [~, ~, ~, ~]}]}]}]")
    texts = ["/with space: and #hash", "~", "/new\nline\n", "'\"\\ \u00e4"]
    for i, text in enumerate(texts):
        mount.tree.write("0/contexts/0/schemes/0/filters/%d/memcg_path" % i, text)
    text = dump(mount.path)
    assert mount.end() == 0
    again = configured(text)
    assert dump(again.path) == text
    for i, wanted in enumerate(texts):
        path = "0/contexts/0/schemes/0/filters/%d/memcg_path" % i
        assert again.tree.read(path) == wanted
    assert again.end() == 0


def test_a_new_tree_is_dumped(mount):
    text = dump(mount.path)
    assert text.startswith("kdamonds:\n  []\nmodule/damon_reclaim/parameters:\n")
    assert "  min_age: 120000000\n" in text and "\nmodule/damon_lru_sort/parameters:\n" in text
    # What is off needs no words, and what cannot be set has none.
    assert not any(name in text for name in ("enabled", "commit_inputs", "kdamond_pid", "damon_stat", "state"))


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("config, said", [
    (CONFIG.replace("fvaddr", "nvaddr"), "config.yaml:5: " + ADMIN + "kdamonds/0/contexts/0/operations: "
     "\"nvaddr\" is refused: "),
    (CONFIG.replace("42", "0"), "config.yaml:2: " + ADMIN + "kdamonds/0/state: \"on\" is refused: "),
    ("a: {", "config.yaml:1: "),
    ("protect: [sshd]", "config.yaml:1: protect: "),
    (None, "config.yaml: No such file or directory"),
])
def test_what_is_refused_leaves_no_mount(directory, config, said, background):
    if config:
        (directory / "config.yaml").write_text(config)
    (directory / "pattern").write_text("process *\n  map heap 0x10000000 16M\n  phase 1h\n")
    path = directory / "mnt"
    path.mkdir()
    options = ["--log-file", "log"] if background else ["--foreground"]
    done = subprocess.run([DAMONFS, "mount", str(path), "--backend", "synthetic:pattern", "--config",
                           "config.yaml", *options], cwd=directory, check=False, capture_output=True,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert said in done.stderr
    assert mounts_below(directory) == []


def test_nothing_to_dump(directory):
    done = subprocess.run([DAMONFS, "dump", str(directory)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no tree of DAMON is here" in done.stderr


def test_a_service_manager_does_not_hear_of_what_was_refused(directory, monkeypatch):
    (directory / "config.yaml").write_text(CONFIG.replace("42", "0"))
    (directory / "pattern").write_text("process *\n  map heap 0x10000000 16M\n  phase 1h\n")
    (directory / "mnt").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(directory / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(directory / "notify"))
        done = subprocess.run([DAMONFS, "mount", "mnt", "--foreground", "--backend", "synthetic:pattern",
                               "--config", "config.yaml"], cwd=directory, check=False, capture_output=True,
                              timeout=PATIENCE)
        assert done.returncode == 1
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(1000)


def test_the_unit_file():
    """As far as systemd-analyze can tell; it wants the program where the unit says."""
    service = pathlib.Path(__file__).resolve().parents[2] / "scripts/damonfs.service"
    if not os.access("/usr/bin/systemd-analyze", os.X_OK):
        pytest.skip("no systemd-analyze")
    done = subprocess.run(["systemd-analyze", "verify", str(service)], check=False, capture_output=True,
                          text=True)
    said = [line for line in done.stderr.splitlines() if "is not executable: No such file" not in line]
    assert said == []
