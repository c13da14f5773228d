"""Records for tests: of described accesses, made by `damonfs record`."""

import contextlib
import pathlib
import signal
import subprocess
import time

from damon_tree import DAMONFS

MIB = 1 << 20
HEAP = 0x10000000
# A hot part of a quarter of the heap, which moves after three seconds.
PATTERN = """\
process *
  map program 0x400000 2M
  map heap 0x10000000 64M
  map cache 0x7ff000000000 4M file
  phase 3s
    access heap 0 16M always
  phase 3s
    access heap 32M 16M always
"""
PATIENCE = 60


def damonfs(*words, **options):
    return subprocess.run([DAMONFS, *map(str, words)], stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)


def record(directory, *words, pattern=PATTERN, name="record", every="100ms", **options):
    """Records what `pattern` describes; the path of the record and what the command has said."""
    file = pathlib.Path(directory) / "pattern"
    file.write_text(pattern)
    path = pathlib.Path(directory) / name
    done = damonfs("record", "--backend", "synthetic:%s" % file, "-o", path, "--every", every, *words, **options)
    return path, done


@contextlib.contextmanager
def recording(directory, *words, pattern=PATTERN, preexec_fn=None):
    """A record that goes on: its path and the process."""
    file = pathlib.Path(directory) / "pattern"
    file.write_text(pattern)
    path = pathlib.Path(directory) / "record"
    process = subprocess.Popen(
        [DAMONFS, "record", "--backend", "synthetic:%s" % file, "-o", str(path), "--every", "50ms", *map(str, words)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn)
    try:
        yield path, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def wait_for_size(path, size, process):
    """Waits until a record has grown beyond `size`."""
    for _ in range(PATIENCE * 20):
        if path.exists() and path.stat().st_size > size:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("the record does not grow")
