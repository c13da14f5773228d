"""Real services with a load, and programs whose accesses are known, for measures of how right damonfs is."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

MIB = 1 << 20


class Missing(Exception):
    """What a service needs is not installed here."""


def need(program):
    found = shutil.which(program)
    if found is None:
        raise Missing("%s is not installed" % program)
    return found


def mappings(pid):
    """[start, end, whether it is of a file (shared memory among them), name] of each mapping."""
    found = []
    for line in pathlib.Path("/proc/%d/maps" % pid).read_text().splitlines():
        fields = line.split(maxsplit=5)
        start, end = (int(word, 16) for word in fields[0].split("-"))
        found.append((start, end, fields[4] != "0", fields[5] if len(fields) > 5 else ""))
    return found


def smaps(pid, field):
    """{(start, end): bytes} of one field of each mapping."""
    found = {}
    key = None
    for line in pathlib.Path("/proc/%d/smaps" % pid).read_text().splitlines():
        match = re.match("([0-9a-f]+)-([0-9a-f]+) ", line)
        if match:
            key = (int(match[1], 16), int(match[2], 16))
        elif line.startswith(field + ":"):
            found[key] = int(line.split()[1]) * 1024
    return found


def referenced(pid, seconds):
    """{(start, end): bytes} that a process accesses within so many seconds, of mappings without a file, as the kernel says."""
    pathlib.Path("/proc/%d/clear_refs" % pid).write_text("1")
    time.sleep(seconds)
    of_file = {(start, end) for start, end, is_file, _ in mappings(pid) if is_file}
    return {key: size for key, size in smaps(pid, "Referenced").items() if key not in of_file}


class Service:
    """A running process. `hot`: [start, end) of what it accesses; None where only sums by mapping are known (referenced())."""

    def __init__(self, pid, hot=None, within=None):
        self.pid = pid
        self.hot = hot
        self.within = within or hot


@contextlib.contextmanager
def program(*command):
    """A program that prints its pid, the start and the end of what it keeps accessing, and those of the memory around it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        pid, start, end, low, high = (int(field) for field in process.stdout.readline().split())
        yield Service(pid, [(start, end)], [(low, high)])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


PRELUDE = """
import ctypes, mmap, os, sys, time
def at(memory): return ctypes.addressof(ctypes.c_char.from_buffer(memory))
def touch(memory, first, last):
    for i in range(first, last, 4096): memory[i] = 1
def say(pid, memory, first, last, size):
    print(pid, at(memory) + first, at(memory) + last, at(memory), at(memory) + size, flush=True)
M = 1 << 20
"""

RESERVED = PRELUDE + """
m = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
first = 123 << 30
touch(m, first, first + 64 * M)
say(os.getpid(), m, first, first + 64 * M, 1 << 40)
while True:
    touch(m, first, first + 64 * M)
    time.sleep(0.2)
"""

FORKED = PRELUDE + """
m = mmap.mmap(-1, 96 * M, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m.madvise(mmap.MADV_NOHUGEPAGE)
touch(m, 0, 96 * M)
child = os.fork()
if child:
    say(child, m, 32 * M, 48 * M, 96 * M)
    os.waitpid(child, 0)
total = 0
while True:
    for i in range(32 * M, 48 * M, 4096): total += m[i]
    time.sleep(0.1)
"""

SHARED = PRELUDE + """
m = mmap.mmap(-1, 96 * M, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
touch(m, 0, 96 * M)
child = os.fork()
if child:
    say(child, m, 32 * M, 48 * M, 96 * M)
    os.waitpid(child, 0)
touch(m, 0, 96 * M)
while True:
    touch(m, 32 * M, 48 * M)
    time.sleep(0.1)
"""

NUMPY = """
import os, time
import numpy
cold = numpy.ones(192 << 17)
hot = numpy.ones(32 << 17)
start = hot.ctypes.data
print(os.getpid(), start, start + hot.nbytes, min(start, cold.ctypes.data),
      max(start + hot.nbytes, cold.ctypes.data + cold.nbytes), flush=True)
while True:
    hot += 1
    time.sleep(0.1)
"""


def reserved():
    return program(sys.executable, "-c", RESERVED)


def forked():
    return program(sys.executable, "-c", FORKED)


def shared():
    return program(sys.executable, "-c", SHARED)


def numpy_arrays():
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import numpy"], capture_output=True, check=False).returncode != 0:
        raise Missing("python3-numpy is not installed")
    return program(python, "-c", NUMPY)


ASAN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
  const long size = 192L << 20;
  char* memory = malloc(size);
  for (long i = 0; i < size; i += 4096) memory[i] = 1;
  char* hot = memory + (64L << 20);
  printf("%d %lu %lu %lu %lu\n", getpid(), (unsigned long)hot, (unsigned long)hot + (32L << 20), (unsigned long)memory,
         (unsigned long)memory + size);
  fflush(stdout);
  for (;;) {
    for (long i = 0; i < 32L << 20; i += 4096) ++hot[i];
    usleep(100000);
  }
}
"""


def asan(folder):
    source = folder / "asan.c"
    source.write_text(ASAN)
    binary = folder / "asan"
    done = subprocess.run([need("gcc"), "-O1", "-fsanitize=address", "-o", binary, source], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Missing("gcc has no AddressSanitizer: " + done.stderr[:200])
    return program(binary)


class Redis:
    """A redis-server of Debian's on loopback, 200 MiB of values of which a third is read."""

    KEYS = 50000
    HOT = 15000
    # Debian's package redis-server brings little but a link to this and a service that is started.
    PROGRAM = "/usr/bin/redis-check-rdb"

    def __init__(self, folder):
        need(self.PROGRAM)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--appendonly", "no", "--dir", str(folder)], executable=self.PROGRAM,
            stdout=subprocess.DEVNULL)
        self.stopped = threading.Event()
        self.connection = self.connect()
        self.fill()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def connect(self):
        for _ in range(100):
            try:
                return socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("redis-server does not answer")

    def ask(self, requests):
        self.connection.sendall(b"".join(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word)
                                               for word in words) for words in requests))

    def drain(self, size):
        while size > 0:
            size -= len(self.connection.recv(min(size, 1 << 20)))

    def fill(self):
        value = b"x" * 4000
        for first in range(0, self.KEYS, 100):
            self.ask([[b"SET", b"key:%d" % i, value] for i in range(first, first + 100)])
            self.drain(100 * len(b"+OK\r\n"))

    def read(self):
        """Reads every hot key every few seconds, spread out."""
        answer = len(b"$4000\r\n") + 4000 + len(b"\r\n")
        while not self.stopped.is_set():
            for first in range(0, self.HOT, 50):
                self.ask([[b"GET", b"key:%d" % i] for i in range(first, first + 50)])
                self.drain(50 * answer)
                time.sleep(0.005)

    def stop(self):
        self.stopped.set()
        self.reader.join()
        self.server.terminate()
        self.server.wait()


@contextlib.contextmanager
def redis(folder):
    server = Redis(folder)
    try:
        yield Service(server.server.pid)
    finally:
        server.stop()


def postgres_programs():
    for folder in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin")):
        if (folder / "initdb").exists():
            return folder
    raise Missing("postgresql is not installed")


@contextlib.contextmanager
def postgresql(folder):
    """A backend that reads a table of 64 MiB over and over; its buffers are 128 MiB of shared memory, the default."""
    programs = postgres_programs()
    data = folder / "data"
    for path in [folder, *folder.parents]:
        if path.stat().st_mode & 0o005 != 0o005 and path != pathlib.Path("/"):
            path.chmod(path.stat().st_mode | 0o005)
    data.mkdir()
    shutil.chown(data, "postgres")
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    subprocess.run([*user, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"], check=True, cwd="/",
                   stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*user, programs / "postgres", "-D", data, "-c", "listen_addresses=", "-c", "huge_pages=off",
                               "-c", "autovacuum=off", "-c", "max_parallel_workers_per_gather=0",
                               "-c", "synchronize_seqscans=off", "-k", data], cwd="/",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = None
    try:
        for _ in range(100):
            if (data / ".s.PGSQL.5432").exists():
                break
            time.sleep(0.1)
        client = subprocess.Popen([*user, "psql", "-qAt", "-h", data, "-U", "postgres"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, cwd="/")
        # A scan of more than a quarter of the buffers goes through a small ring; by its index it does not.
        client.stdin.write("""
            create table t as select i, repeat('x', 1900) as filler from generate_series(1, 32768) i;
            create index on t (i); analyze t;
            set enable_seqscan = off; set enable_bitmapscan = off;
            select pg_backend_pid();
            select sum(length(filler)) from t where i > 0 \\watch 0.3
        """)
        client.stdin.flush()
        line = ""
        while not line.strip().isdigit():
            line = client.stdout.readline()
        threading.Thread(target=client.stdout.read, daemon=True).start()
        time.sleep(3)
        pid = int(line)
        buffers = max(((start, end) for start, end, is_file, name in mappings(pid) if name.startswith("/dev/zero")),
                      key=lambda mapping: mapping[1] - mapping[0])
        service = Service(pid, None, [buffers])
        service.bytes = 64 * MIB
        yield service
    finally:
        if client is not None:
            client.kill()
            client.wait()
        server.send_signal(signal.SIGINT)
        server.wait()


# Touches every page of 64 MiB of 256 each 100 ms; in byte code, for a runtime has no compiler.
def java_class():
    def utf8(text):
        return b"\x01" + struct.pack(">H", len(text)) + text.encode()

    pool = [utf8("Hot"), b"\x07" + struct.pack(">H", 1), utf8("java/lang/Object"), b"\x07" + struct.pack(">H", 3),
            utf8("main"), utf8("([Ljava/lang/String;)V"), utf8("Code"), b"\x03" + struct.pack(">i", 256 * MIB),
            b"\x03" + struct.pack(">i", 64 * MIB), b"\x05" + struct.pack(">q", 100), None,  # a long takes two places
            utf8("java/lang/Thread"), b"\x07" + struct.pack(">H", 12), utf8("sleep"), utf8("(J)V"),
            b"\x0c" + struct.pack(">HH", 14, 15), b"\x0a" + struct.pack(">HH", 13, 16), utf8("java/lang/Exception")]

    def fill(limit):  # for (i = 0; i < pool[limit]; i += 4096) array[i] = (byte) i
        return bytes([0x03, 0x3D, 0x1C, 0x12, limit, 0xA2, 0, 17, 0x2B, 0x1C, 0x1C, 0x91, 0x54, 0x1C, 0x11, 0x10, 0x00, 0x60,
                      0x3D, 0xA7, 0xFF, 0xEF])

    first = bytes([0x12, 8, 0xBC, 8, 0x4C]) + fill(8)  # array = new byte[256 MiB]
    again = fill(9) + bytes([0x14, 0, 10, 0xB8, 0, 17])
    code = first + again + b"\xa7" + struct.pack(">h", -len(again))
    attribute = struct.pack(">HHI", 5, 3, len(code)) + code + struct.pack(">HH", 0, 0)
    method = struct.pack(">HHHHH", 9, 5, 6, 1, 7) + struct.pack(">I", len(attribute)) + attribute
    constants = b"".join(constant for constant in pool if constant is not None)
    return (struct.pack(">IHHH", 0xCAFEBABE, 0, 49, len(pool) + 1) + constants +
            struct.pack(">HHHHH", 0x21, 2, 4, 0, 0) + struct.pack(">H", 1) + method + struct.pack(">H", 0))


@contextlib.contextmanager
def jvm(folder):
    need("java")
    (folder / "Hot.class").write_bytes(java_class())
    process = subprocess.Popen(["java", "-Xmx600m", "-Xms600m", "-XX:+UseSerialGC", "-cp", folder, "Hot"])
    try:
        time.sleep(3)
        if process.poll() is not None:
            raise Missing("java does not run the program")
        yield Service(process.pid)
    finally:
        process.kill()
        process.wait()


if os.geteuid() != 0:
    raise SystemExit("as root only")
