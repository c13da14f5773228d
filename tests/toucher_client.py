"""Commands a tests/toucher.py: a process whose accesses to memory are known."""

import array
import mmap
import pathlib
import subprocess
import sys

import score

TOUCHER = pathlib.Path(__file__).resolve().parent / "toucher.py"


def smaps_bytes(pid, name, part=(0, 1 << 64)):
    """The sum of one field of smaps, such as "Rss", over the mappings of a process that touch `part`."""
    total, inside = 0, False
    for line in pathlib.Path("/proc/%d/smaps" % pid).read_text().splitlines():
        fields = line.split()
        if not fields[0].endswith(":"):
            begin, end = (score.number("0x" + word) for word in fields[0].split("-"))
            inside = begin < part[1] and part[0] < end
        elif inside and fields[0] == name + ":":
            total += int(fields[1]) * 1024
    return total


def pagemap(target, part=None):
    """The entries for the pages of `part` of a target's memory, or of all of it."""
    start, end = part or target.range
    entries = array.array("Q")
    with open("/proc/%d/pagemap" % target.pid, "rb") as file:
        file.seek(start // mmap.PAGESIZE * 8)
        entries.frombytes(file.read((end - start) // mmap.PAGESIZE * 8))
    return entries


def resident(target, part=None):
    """Bytes of that which are in memory."""
    return sum(entry >> 63 for entry in pagemap(target, part)) * mmap.PAGESIZE


class Target:
    """A toucher that is told what to do; ends with the `with` that it is used in."""

    def __init__(self, size, file=None, cgroup=None):
        """`cgroup`: the cgroup.procs to be in from the start."""
        command = [sys.executable, str(TOUCHER), str(size)] + ([str(file)] if file else [])
        if cgroup:
            command = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', cgroup, *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1)
        self.pid = self.process.pid
        self.be_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def be_ready(self):
        word, values = score.fields(self.process.stdout.readline())
        assert word == "ready"
        self.range = (score.number(values["start"]), score.number(values["end"]))

    def tell(self, *command):
        """Carries a command out and returns the values of the answer."""
        self.process.stdin.write(" ".join(map(str, command)) + "\n")
        word, values = score.fields(self.process.stdout.readline())
        assert word == command[0]
        return values

    def hot(self, offset, size):
        """Makes a part hot; returns it."""
        self.tell("hot", offset, size)
        return (self.range[0] + offset, self.range[0] + offset + size)

    def exec(self, size):
        self.process.stdin.write("exec %d\n" % size)
        self.be_ready()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Stuck(Target):
    """A tests/stuck.py: a process whose memory map can be locked for as long as one likes."""

    def __init__(self, size):
        self.process = subprocess.Popen([sys.executable, str(TOUCHER.with_name("stuck.py")), str(size)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.be_ready()

    def be_ready(self):
        word, values = score.fields(self.process.stdout.readline())
        assert word == "ready"
        self.pid = int(values["pid"])
        self.range = (score.number(values["start"]), score.number(values["end"]))
