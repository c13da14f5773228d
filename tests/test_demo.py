"""scripts/demo.sh, as a new user runs it: it finds what is hot and leaves nothing behind."""

import os
import pathlib
import re
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def left_behind():
    mounts = [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if "damonfs-demo" in line]
    running = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        running += [path.parent.name] if any(b"damonfs-demo." in word for word in words) else []
    return [*mounts, *running, *pathlib.Path(tempfile.gettempdir()).glob("damonfs-demo.*")]


@pytest.mark.parametrize("hidden", [(), ("/sys/kernel/btf", "/sys/kernel/mm/page_idle")], ids=["real", "synthetic"])
def test_demo(hidden):
    """Where no real backend is possible it shows the same on paper; here that takes a mount namespace."""
    hide = "".join("[ ! -e %s ] || mount -t tmpfs none %s; " % (path, path) for path in hidden)
    before = left_behind()
    done = subprocess.run(["unshare", "-m", "sh", "-c", hide + "exec scripts/demo.sh"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=300,
                          env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"), check=False)
    assert done.returncode == 0, done.stdout
    scores = re.findall(r"(\d+)% was hot \(precision\), and (\d+)%", done.stdout)
    print(done.stdout)
    assert ("SYNTHETIC" in done.stdout) == bool(hidden), done.stdout
    assert len(scores) == 3 and all(int(share) >= 90 for pair in scores for share in pair), done.stdout
    assert left_behind() == before
