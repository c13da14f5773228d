"""Doing things to a DAMON tree and writing down what came of it.

A transcript is a list of steps. A step's identity (section, operation, path,
value) is the same whoever answers; its result is the answer: the text read, or
`ok`, or the name of an errno. What no two runs have alike (process ids, found
regions) is normalised before it is written down.
"""

import ctypes
import errno
import json
import os
import re
import stat
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)


def error_name(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def shown(data):
    """Bytes as they go into a transcript: escaped, long ones shortened."""
    text = data.decode("latin-1") if isinstance(data, bytes) else data
    return text if len(text) <= 60 else "%s...(%d)" % (text[:20], len(text))


def patiently(call):
    """The kernel only tries the lock of its tree, which its kdamonds take now and then: what is
    busy counts as busy when it stays so."""
    for _ in range(10):
        try:
            return call()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        time.sleep(0.03)
    return call()


class Transcript:
    """The tree below `root` (an `admin` directory), and the steps done to it."""

    def __init__(self, root):
        self.root = root
        self.steps = []
        self.section = ""
        self.counts = {}

    def begin(self, section):
        self.section = section

    def record(self, op, path, value, result):
        """Repeated steps are told apart by a number, so that each is one line."""
        key = (self.section, op, path, shown(value))
        number = self.counts[key] = self.counts.get(key, 0) + 1
        self.steps.append({"section": self.section, "op": op, "path": path,
                           "value": shown(value), "n": number, "result": shown(result)})
        return result

    def full(self, path):
        return os.path.join(self.root, path) if path else self.root

    def attempt(self, op, path, value, call):
        """Records what `call` returns (None: ok) or the errno it raises."""
        try:
            result = call()
        except OSError as error:
            result = error_name(error)
        return self.record(op, path, value, "ok" if result is None else str(result))

    # Whole files

    def raw_read(self, path):
        fd = os.open(self.full(path), os.O_RDONLY)
        try:
            data = b""
            while True:
                piece = patiently(lambda: os.read(fd, 65536))
                if not piece:
                    return data.decode("latin-1")
                data += piece
        finally:
            os.close(fd)

    def raw_write(self, path, data):
        fd = os.open(self.full(path), os.O_WRONLY)
        try:
            return patiently(lambda: os.write(fd, data.encode("latin-1")))
        finally:
            os.close(fd)

    def read(self, path, normal=None):
        """cat; `normal` makes of the text what is recorded."""
        return self.attempt("read", path, "",
                            lambda: (normal or repr)(self.raw_read(path)))

    def write(self, path, text, label=None):
        """One write(2); `label` stands for a text that differs from run to run."""
        def call():
            count = self.raw_write(path, text)
            return None if count == len(text) else "short: %d" % count
        return self.attempt("write", path, label or text, call)

    def set(self, path, text):
        """A write, and what the file reads after it, as one step."""
        def outcome(call):
            try:
                return call()
            except OSError as error:
                return error_name(error)
        count = outcome(lambda: self.raw_write(path, text))
        if isinstance(count, int):
            count = "ok" if count == len(text) else "short: %d" % count
        now = outcome(lambda: repr(self.raw_read(path)))
        return self.record("set", path, text, "%s, reads %s" % (count, shown(now)))

    # Quiet work between steps: not recorded, may not fail

    def prepare(self, path, text):
        self.raw_write(path, str(text))

    def exists(self, path):
        return os.path.exists(self.full(path))

    def wait_for(self, path, text, seconds=60):
        """Until the file reads so; whether it came to that is recorded."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.raw_read(path) == text:
                return self.record("wait", path, text, "ok")
            time.sleep(0.02)
        return self.record("wait", path, text, "never")

    # What is in a directory

    def entry(self, path):
        def call():
            status = os.lstat(self.full(path))
            if stat.S_ISDIR(status.st_mode):
                return "directory %o %d:%d" % (stat.S_IMODE(status.st_mode), status.st_uid,
                                               status.st_gid)
            return "file %o %d:%d %d bytes %d links" % (
                stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_size,
                status.st_nlink)
        return self.attempt("stat", path, "", call)

    def walk(self, path):
        """Everything at and below `path`, by name."""
        self.entry(path)
        if os.path.isdir(self.full(path)):
            for name in sorted(os.listdir(self.full(path))):
                self.walk(path + "/" + name if path else name)

    # Open files

    def open(self, path, flags=os.O_RDWR, label="rw"):
        return Opened(self, path, flags, label)

    def errno_of(self, op, path, value, function, *args):
        """A C function of libc that returns -1 and sets errno."""
        def call():
            if function(*args) == -1:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        return self.attempt(op, path, value, call)

    def take(self, file):
        """Steps that another process printed."""
        self.steps += [json.loads(line) for line in file]

    def print(self, file):
        for step in self.steps:
            print(json.dumps(step), file=file)


class Opened:
    """A file held open, its fd -1 when it could not be opened."""

    def __init__(self, transcript, path, flags, label):
        self.transcript, self.path, self.fd = transcript, path, -1

        def call():
            self.fd = os.open(transcript.full(path), flags)
        transcript.attempt("open " + label, path, "", call)

    def do(self, op, value, call):
        return self.transcript.attempt("fd " + op, self.path, value, call)

    def read(self, count):
        return self.do("read", str(count), lambda: repr(os.read(self.fd, count)))

    def pread(self, count, offset):
        return self.do("pread", "%d@%d" % (count, offset),
                       lambda: repr(os.pread(self.fd, count, offset)))

    def write(self, data):
        return self.do("write", data, lambda: os.write(self.fd, data))

    def pwrite(self, data, offset):
        return self.do("pwrite", "%s@%d" % (shown(data), offset),
                       lambda: os.pwrite(self.fd, data, offset))

    def writev(self, pieces):
        return self.do("writev", repr(pieces), lambda: os.writev(self.fd, pieces))

    def seek(self, offset, whence, name):
        return self.do("lseek", "%d %s" % (offset, name),
                       lambda: os.lseek(self.fd, offset, whence))

    def truncate(self, length):
        return self.do("ftruncate", str(length), lambda: os.ftruncate(self.fd, length))

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Sleeper:
    """A process that only sleeps, to be watched; its memory is small."""

    def __init__(self):
        self.process = subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL)
        self.pid = self.process.pid

    def end(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def is_positive(text):
    """For pids, counts and sizes that only have to be there."""
    return "a positive number" if re.fullmatch(r"[1-9][0-9]*\n", text) else repr(text)


def is_number(text):
    return "a number" if re.fullmatch(r"[0-9]+\n", text) else repr(text)
