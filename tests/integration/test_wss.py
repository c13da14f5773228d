"""damonfs wss: what it prints, what it refuses, and that its schemes can be used."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from damon_tree import DAMONFS, WORKLOAD  # noqa: E402

MIB = 1 << 20


def wss(*arguments, timeout=120, **options):
    return subprocess.run([DAMONFS, "wss", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          text=True, capture_output=True, timeout=timeout, check=False, **options)


def probe():
    done = wss("--for", "200ms", "--interval", "100ms", "--", "sleep", "60")
    return done.returncode, done.stderr


CODE, WHY = probe()
pytestmark = pytest.mark.skipif("CAP_" in WHY or "BTF" in WHY, reason=WHY.strip())


@pytest.fixture(name="workload")
def start_workload():
    """A process with 64 MiB of which 8 are hot."""
    process = subprocess.Popen([WORKLOAD, "--size", "64M", "--hot", "8M", "--no-huge",
                                "--loop-sleep-us", "1000"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("ready")
    yield process
    process.kill()
    process.wait()


def one_line(done, code=1):
    assert done.returncode == code, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_json_is_as_documented(workload):
    done = wss("--for", "3s", "--json", workload.pid)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["pid", "rss_bytes", "unknown_bytes", "windows", "idle", "cost"]
    assert found["pid"] == workload.pid
    assert 64 * MIB <= found["rss_bytes"] < 80 * MIB
    assert found["unknown_bytes"] < 8 * MIB
    for entry in found["windows"] + found["idle"]:
        assert set(entry) == {"seconds", "bytes"}
    assert set(found["cost"]) == {"cpu_percent", "sweeps", "pages_made_old", "longest_call_ms"}
    assert found["cost"]["sweeps"] >= 3
    assert found["cost"]["pages_made_old"] >= 64 * MIB / 4096


def test_a_table_has_the_working_set_what_is_idle_and_the_cost(workload):
    done = wss("--for", "3s", workload.pid)
    assert done.returncode == 0, done.stderr
    for words in (f"process {workload.pid} (workload)", "working set", "over 1 s", "idle",
                  "could go", "% of a processor", "pages made old"):
        assert words in done.stdout


def test_csv_has_a_row_a_sweep(workload):
    done = wss("--for", "2s", "--interval", "500ms", "--csv", workload.pid)
    assert done.returncode == 0, done.stderr
    header, *rows = [line.split(",") for line in done.stdout.splitlines()]
    assert header[:3] == ["seconds", "rss_bytes", "unknown_bytes"]
    assert 2 <= len(rows) <= 5
    assert all(len(row) == len(header) for row in rows)
    seconds = [float(row[0]) for row in rows]
    assert seconds == sorted(seconds)
    assert int(rows[-1][header.index("window_1s_bytes")]) >= 8 * MIB
    assert rows[0][header.index("window_60s_bytes")] == ""


def test_a_command_is_run_and_measured():
    done = wss("--for", "30s", "--interval", "200ms", "--json", "--", WORKLOAD, "--size", "32M",
               "--hot", "4M", "--no-huge", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "has ended with status 0" in done.stderr
    assert json.loads(done.stdout)["rss_bytes"] >= 32 * MIB


def test_a_command_that_is_not_there():
    assert wss("--", "/no/such/program").returncode == 127


def test_the_end_of_the_process_ends_it_with_what_was_found(workload):
    measuring = subprocess.Popen([DAMONFS, "wss", "--json", str(workload.pid)], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(2.5)
    workload.kill()
    workload.wait()
    out, err = measuring.communicate(timeout=30)
    assert measuring.returncode == 0, err
    assert "has ended" in err
    assert json.loads(out)["pid"] == workload.pid


def test_a_signal_ends_it_with_what_was_found(workload):
    measuring = subprocess.Popen([DAMONFS, "wss", "--json", str(workload.pid)], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(2.5)
    measuring.send_signal(signal.SIGINT)
    out, err = measuring.communicate(timeout=30)
    assert measuring.returncode == 128 + signal.SIGINT, err
    assert json.loads(out)["cost"]["sweeps"] >= 1


def test_a_small_budget_is_kept_by_sampling_which_is_said(workload):
    done = wss("--for", "4s", "--interval", "200ms", "--max-cpu", "0.2", "--json", workload.pid)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sampled_share"] < 1
    assert all("error_bytes" in window for window in found["windows"])


def test_a_kernel_thread_is_refused():
    assert "thread of the kernel" in one_line(wss(2))


def test_a_process_that_is_gone_is_refused():
    process = subprocess.Popen(["true"])
    process.wait()
    assert str(process.pid) in one_line(wss(process.pid))


def test_a_zombie_is_refused():
    process = subprocess.Popen(["true"])
    time.sleep(0.3)
    assert "has ended" in one_line(wss(process.pid))
    process.wait()


def test_itself_is_refused():
    done = subprocess.run(["sh", "-c", f"exec {DAMONFS} wss $$"], stdin=subprocess.DEVNULL,
                          text=True, capture_output=True, timeout=60, check=False)
    assert "this command itself" in one_line(done)


def test_without_rights_it_is_refused(workload):
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", DAMONFS,
                           "wss", str(workload.pid)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60, check=False)
    one_line(done)


@pytest.mark.parametrize("arguments", [
    [], ["1", "--", "true"], ["--interval", "1ms", "1"], ["--max-cpu", "0", "1"],
    ["--max-cpu", "101", "1"], ["--for", "1s", "--interval", "2s", "1"],
    ["--for", "1s", "--emit-scheme", "2s", "1"], ["--json", "--csv", "1"], ["--for", "0s", "1"],
    ["--emit-scheme", "10ms", "1"], ["--emit-scheme", "2s", "--json", "1"], ["-5"], ["nobody"]])
def test_wrong_usage(arguments):
    done = wss(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr


def test_an_emitted_scheme_runs_in_a_dry_run_and_in_a_simulation(workload, tmp_path):
    done = wss("--for", "2s", "--emit-scheme", "2s", workload.pid)
    assert done.returncode == 0, done.stderr
    assert "working set" in done.stderr
    scheme = tmp_path / "scheme.yaml"
    scheme.write_text(done.stdout)
    mount = tmp_path / "mount"
    mount.mkdir()
    mounted = subprocess.run([DAMONFS, "mount", str(mount), "--dry-run", "--config", str(scheme)],
                             stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=60,
                             check=False)
    try:
        assert mounted.returncode == 0, mounted.stderr
        kdamond = mount / "kernel/mm/damon/admin/kdamonds/0"
        assert (kdamond / "state").read_text() == "on\n"
        context = kdamond / "contexts/0"
        assert int((context / "targets/0/pid_target").read_text()) == workload.pid
        assert (context / "schemes/0/access_pattern/age/min").read_text() == "20\n"
    finally:
        subprocess.run([DAMONFS, "umount", str(mount)], check=False, timeout=60)
    pattern = tmp_path / "cold.pattern"
    pattern.write_text("clock virtual\nprocess *\n map heap 1G 64M\nphase 1min\n"
                       " access heap 0 8M 100/s\n")
    simulated = subprocess.run([DAMONFS, "simulate", str(scheme), str(pattern), "--json"],
                               stdin=subprocess.DEVNULL, text=True, capture_output=True,
                               timeout=120, check=False)
    assert simulated.returncode == 0, simulated.stderr
    assert "pageout" in simulated.stdout


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
