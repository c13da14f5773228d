"""Real services as units: redis, PostgreSQL, nginx and a Python server with workers, run by a systemd or, where there is none,
in control groups that are named as its units are; and what the kernel says of their memory, by name."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

MIB = 1 << 20
PATIENCE = 300  # an emulated machine is slow, the more so where others are busy
# Debian's package redis-server brings little but a link to this and a service that is started.
REDIS = "/usr/bin/redis-check-rdb"


class Missing(Exception):
    """What a service needs is not installed here."""


def until(condition, what, every=0.1):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain: " + what
        time.sleep(every)


class Cgroups:
    """Runs services in control groups of the test's own."""

    def __init__(self, name):
        roots = [pathlib.Path(root) for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")]
        self.root = next((root for root in roots if (root / "cgroup.procs").exists()), None)
        if self.root is None:
            raise Missing("no control group can be made here")
        self.folder = self.root / name
        self.folder.mkdir()
        self.process, self.words = None, []

    def start(self, words, user):
        self.words = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.folder / "cgroup.procs")]
        if user:
            self.words += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        # As systemd has it: a name of its own for a program (exec -a) is the first word.
        self.words += ["/bin/bash", "-c", 'exec -a "$1" "$0" "${@:2}"', words[0], *words[1:]]
        self.run()

    def run(self):
        self.process = subprocess.Popen(self.words, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)

    def pids(self):
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def stop(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        # All of them are the test's own: nobody else is in this group.
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.pids(), "for the group to be empty")
        self.process.wait()

    def restart(self):
        self.stop()
        self.run()

    def remove(self):
        if self.process is not None:
            self.stop()
        self.folder.rmdir()


class Unit:
    """Runs a service as a unit of the systemd that runs here."""

    def __init__(self, name):
        self.name = name
        self.file = pathlib.Path("/etc/systemd/system") / name

    @staticmethod
    def control(*words):
        return subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout

    def start(self, words, user):
        quoted = " ".join('"%s"' % word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") for word in words[1:])
        self.file.write_text("[Service]\nExecStart=@%s %s\n%sTimeoutStopSec=20\nStandardOutput=null\nStandardError=null\n"
                             % (words[0], quoted, "User=%s\n" % user if user else ""))
        self.control("daemon-reload")
        self.control("start", self.name)

    def pids(self):
        folder = self.control("show", "--property=ControlGroup", "--value", self.name).strip()
        file = pathlib.Path("/sys/fs/cgroup%s/cgroup.procs" % folder)
        return [int(line) for line in file.read_text().split()] if folder and file.exists() else []

    def restart(self):
        self.control("restart", self.name)

    def remove(self):
        self.control("stop", self.name)
        self.file.unlink()
        self.control("daemon-reload")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A service that `host` runs. `named`: what some of its memory is called that must be in each report."""

    user, named = None, ()
    nr_processes = 1

    def __init__(self, host, folder):
        self.host, self.folder = host, folder
        self.prepare()
        host.start(self.words(), self.user)
        self.load()

    def prepare(self):
        """What must be there before it starts."""

    def load(self):
        """Waits until it works, and gives it something to have in memory."""
        until(lambda: len(self.host.pids()) >= self.nr_processes, "for the processes")

    def restart(self):
        before = set(self.host.pids())
        self.close()
        self.host.restart()
        self.load()
        assert not before & set(self.host.pids())

    def close(self):
        """Ends what talks to it."""

    def end(self):
        self.close()
        self.host.remove()


class Redis(Service):
    """Some 30 MiB of values."""

    named = ("[anon]", "/libc.so.6")

    def prepare(self):
        if not pathlib.Path(REDIS).exists():
            raise Missing("redis-tools is not installed")
        self.port = free_port()

    def words(self):
        return [REDIS, "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.folder)]

    def ask(self, *requests):
        self.connection.sendall(b"".join(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
                                         for words in requests))
        return b"".join(self.stream.readline() for _ in requests)

    def load(self):
        def connects():
            with contextlib.suppress(OSError):
                self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
                return True
            return False

        until(connects, "for redis")
        self.stream = self.connection.makefile("rb")
        for first in range(0, 30000, 100):
            self.ask(*[[b"SET", b"key:%d" % i, b"x" * 1000] for i in range(first, first + 100)])

    def save(self):
        """Has it write its values from a child, for some seconds; the child."""
        before = set(self.host.pids())
        assert self.ask([b"CONFIG", b"SET", b"rdb-key-save-delay", b"300"], [b"BGSAVE"]).startswith(b"+OK")
        until(lambda: set(self.host.pids()) - before, "for a child that saves")
        return (set(self.host.pids()) - before).pop()

    def close(self):
        self.stream.close()
        self.connection.close()


class PostgreSql(Service):
    """Ten clients, who have read a table of 16 MiB into shared buffers of 64."""

    user, named = "postgres", ("[shared anon]", "[heap]", "/postgres")
    nr_processes = 15

    def prepare(self):
        self.programs = next((folder for folder in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
                              if (folder / "initdb").exists()), None)
        if self.programs is None or not shutil.which("psql"):
            raise Missing("postgresql is not installed")
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.clients, self.filled = [], False
        self.data = self.folder / "data"
        self.data.mkdir()
        shutil.chown(self.data, "postgres")
        subprocess.run([*self.as_user, self.programs / "initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-N"],
                       check=True, cwd="/", stdout=subprocess.DEVNULL)

    def words(self):
        return [str(self.programs / "postgres"), "postgres", "-D", str(self.data), "-k", str(self.data), "-c", "listen_addresses=",
                "-c", "huge_pages=off", "-c", "shared_buffers=64MB", "-c", "autovacuum=off", "-c", "fsync=off"]

    def load(self):
        until(lambda: (self.data / "postmaster.pid").exists() and "ready" in (self.data / "postmaster.pid").read_text(), "for PostgreSQL")
        self.clients = [self.client() for _ in range(10)]
        if not self.filled:
            self.ask(self.clients[0], "create table t as select i, repeat('x', 1900) as filler from generate_series(1, 8192) i")
            self.filled = True
        for client in self.clients:
            self.ask(client, "select sum(length(filler)) from t")
        super().load()

    def client(self):
        return subprocess.Popen([*self.as_user, "psql", "-qAt", "-h", self.data, "-U", "postgres"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, cwd="/")

    @staticmethod
    def ask(client, statement):
        client.stdin.write(statement + "; select 'done';\n")
        client.stdin.flush()
        while client.stdout.readline() != "done\n":
            assert client.poll() is None

    def close(self):
        for client in self.clients:
            client.stdin.close()
            client.wait(PATIENCE)
            client.stdout.close()
        self.clients = []


class Nginx(Service):
    """A process and two workers, which have served some requests. $DAMONFS_SERVICES: a root in which nginx is unpacked."""

    named = ("[heap]", "/nginx", "/libc.so.6")
    nr_processes = 3

    def prepare(self):
        unpacked = pathlib.Path(os.environ.get("DAMONFS_SERVICES", "/")) / "usr/sbin/nginx"
        self.program = str(unpacked) if unpacked.exists() else shutil.which("nginx")
        if self.program is None:
            raise Missing("nginx is not installed")
        self.port = free_port()
        (self.folder / "page").write_text("x" * 100000)
        (self.folder / "nginx.conf").write_text("""
            daemon off; user root; worker_processes 2; pid %(folder)s/pid; error_log %(folder)s/error;
            events { worker_connections 64; }
            http { access_log off; client_body_temp_path %(folder)s/1; proxy_temp_path %(folder)s/2; fastcgi_temp_path %(folder)s/3;
                   uwsgi_temp_path %(folder)s/4; scgi_temp_path %(folder)s/5; proxy_cache_path %(folder)s/cache keys_zone=zone:16m;
                   server { listen 127.0.0.1:%(port)d; root %(folder)s; } }
            """ % {"folder": self.folder, "port": self.port})

    def words(self):
        return [self.program, "nginx", "-e", str(self.folder / "error"), "-c", str(self.folder / "nginx.conf")]

    def load(self):
        def serves():
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
                    connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                    with connection.makefile("rb") as stream:
                        return len(stream.read()) > 100000
            return False

        until(serves, "for nginx")
        for _ in range(20):
            assert serves()
        super().load()


PREFORK = """\
import mmap, os, signal, socket, sys, time
size, own_size = 32 << 20, 4 << 20
fd = os.memfd_create("pool of buffers")
os.ftruncate(fd, size)
pool = mmap.mmap(fd, size)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def work():
    own = mmap.mmap(-1, own_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, 4096): pool[at] = 1
    for at in range(0, own_size, 4096): own[at] = 1
    while True:
        connection, _ = server.accept()
        with connection:
            for at in range(0, size // 8, 4096): pool[at] = 1
            connection.sendall(b"%d" % os.getpid())
workers = set()
def start():
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
    workers.add(pid)
def end(*_):
    for pid in workers: os.kill(pid, signal.SIGKILL)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
for _ in range(4): start()
while True:
    workers.discard(os.wait()[0])
    start()
"""


class Prefork(Service):
    """A Python server: a process that starts four workers, and another one for each that ends."""

    named = ("memfd:pool of buffers", "[anon]", "[heap]")
    nr_processes = 5

    def prepare(self):
        self.port = free_port()
        (self.folder / "server.py").write_text(PREFORK)

    def words(self):
        return ["/usr/bin/python3", "prefork", str(self.folder / "server.py"), str(self.port)]

    def ask(self):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
                return int(connection.recv(20) or 0)
        return 0

    def load(self):
        super().load()
        until(self.ask, "for the server")
        # Each has touched what it will before it answers.
        until(lambda: self.resident() >= 4 * (36 << 20), "for the workers")

    def resident(self):
        total = 0
        for pid in self.host.pids():
            with contextlib.suppress(OSError):
                total += int(pathlib.Path("/proc/%d/statm" % pid).read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total


SERVICES = {"redis": Redis, "postgresql": PostgreSql, "nginx": Nginx, "prefork": Prefork}


def name_of(words):
    """What damonfs calls the mapping of a line of maps, of those that matter here."""
    path = words[5] if len(words) > 5 else "[anon]"
    plain = path.removesuffix(" (deleted)")
    if plain == "/dev/zero":
        return "[shared anon]"
    if plain.startswith("/memfd:"):
        return plain[1:]
    return plain if plain.startswith("/SYSV") or plain.startswith("/dev/shm/") else path


def present(pid, start, end):
    """The numbers, from `start` on, of the pages that are in memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    with open("/proc/%d/pagemap" % pid, "rb", buffering=0) as file:
        file.seek(start // page * 8)
        data = file.read((end - start) // page * 8)
    return {i for i, (entry,) in enumerate(struct.iter_unpack("Q", data)) if entry >> 63}


def bytes_by_name(pids):
    """What the kernel says is in memory, by name: memory of each process's own as in smaps, added up; what processes map
    together once, by pagemap."""
    own, shared = {}, {}
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in pids:
        name = None
        for line in pathlib.Path("/proc/%d/smaps" % pid).read_text(errors="replace").splitlines():
            if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
                words = line.split(maxsplit=5)
                name = name_of(words)
                if words[4] != "0" and (words[1][3] == "s" or words[1][1] != "w"):
                    start, end = (int(word, 16) for word in words[0].split("-"))
                    pages = shared.setdefault((name, words[3], words[4]), set())
                    pages |= {int(words[2], 16) // page + number for number in present(pid, start, end)}
                    name = None
            elif name and line.startswith("Rss:"):
                own[name] = own.get(name, 0) + int(line.split()[1]) * 1024
    for (name, _, _), pages in shared.items():
        own[name] = own.get(name, 0) + len(pages) * page
    return own


def differences(found, truth):
    """Names of a MiB and more of which `found` ({name: bytes}) is more than 5 % off: (name, found, truth)."""
    return [(name, found.get(name, 0), size) for name, size in truth.items()
            if size >= MIB and abs(found.get(name, 0) - size) > size // 20]
