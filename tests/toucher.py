#!/usr/bin/python3
"""A process whose accesses to memory are commanded line by line on standard input.

usage: tests/toucher.py SIZE [FILE]     (bytes, all of which it touches once)
The memory is anonymous, or FILE mapped privately. It prints `ready pid=PID start=ADDRESS end=ADDRESS`, then for each command one line.

hot OFFSET SIZE   touches that part again and again   -> hot start=.. end=.. at=NS
rest MS           between two rounds of touching (2)  -> rest at=..
cold              touches nothing any more            -> cold at=..
huge              has its memory in huge pages        -> huge at=..
small             has its memory in small pages, that may become huge again -> small at=..
fill              fills its memory with what does not compress    -> fill at=..
check             reads all of it; how many bytes are not as filled -> check wrong=N at=..
label             fills each page with its number, so that zram keeps no more than that -> label at=..
labels            reads all of it; how many pages are not so, of a file: as labelled() -> labels wrong=N at=..
thread            a second thread touches instead     -> thread at=..
fork              a child touches the other half of all for 2 s -> fork pid=.. at=..
churn SIZE        maps, fills and unmaps memory of that size all the time -> churn at=..
reserve SIZE      maps that much, of which it touches one page in 64 places -> reserve at=..
scatter N         maps N pages, none beside another   -> scatter at=..
unmap             gives up its memory while it is touched no more         -> unmap at=..
exec SIZE         becomes a new program of that size  -> ready ...
Times are of CLOCK_MONOTONIC, in ns, as those of tests/workload. An end of file ends it.
"""

import ctypes
import functools
import mmap
import os
import random
import sys
import threading
import time

PAGE = 4096
HUGE_PAGE = 2 << 20
REST = 0.002  # seconds between two rounds: an emulated processor must get to drop its translations


BLOCK = 1 << 20
MAP_NORESERVE = 0x4000


@functools.cache
def random_block():
    return random.Random(1).randbytes(BLOCK)


def block(at):
    """What the block there is filled with: different for each, and what touch() writes at each page."""
    number = (at // BLOCK).to_bytes(8, "little")
    filled = bytearray(random_block())
    for page in range(0, BLOCK, PAGE):
        filled[page:page + 9] = b"x" + number
    return bytes(filled)


def labelled(first, number):
    """What pages of a mapping hold: their number in it in each word, behind what touch() writes."""
    return b"".join((b"x" + page.to_bytes(7, "little")) * (PAGE // 8) for page in range(first, first + number))


@functools.cache
def libc():
    lib = ctypes.CDLL(None, use_errno=True)
    lib.mmap.restype = ctypes.c_void_p
    lib.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    lib.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return lib


def say(word, **values):
    print(word, *("%s=%s" % (k, hex(v) if k in ("start", "end") else v) for k, v in values.items()),
          flush=True)


class Toucher:
    def __init__(self, size, file):
        if file:
            fd = os.open(file, os.O_RDONLY)
            whole = mmap.mmap(fd, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE)
        else:
            whole = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # At the start of a huge page, so that none is hot in part only because it begins elsewhere.
        address = ctypes.addressof(ctypes.c_char.from_buffer(whole))
        skipped = -address % HUGE_PAGE
        self.whole, self.skipped = whole, skipped
        self.start = address + skipped
        self.memory = memoryview(whole)[skipped:skipped + size]
        self.part = None
        self.rest = REST
        self.thread = None
        self.lock = threading.Lock()
        self.write = file is None
        self.touch(0, size)
        say("ready", pid=os.getpid(), start=self.start, end=self.start + size)

    def touch(self, offset, size):
        pages = self.memory[offset:offset + size:PAGE]
        if self.write:
            self.memory[offset:offset + size:PAGE] = b"x" * len(pages)
        else:
            pages.tobytes()

    def touch_on(self):
        while True:
            with self.lock:
                if self.part:
                    self.touch(*self.part)
            time.sleep(self.rest)

    def run(self):
        # The first thread touches, as in most programs; commands come to another.
        threading.Thread(target=self.obey, daemon=True).start()
        while not self.thread:
            with self.lock:
                if self.part:
                    self.touch(*self.part)
            time.sleep(self.rest)
        while True:
            time.sleep(1)

    def obey(self):
        for line in sys.stdin:
            name, *args = line.split()
            with self.lock:
                getattr(self, "do_" + name)(*map(int, args))
        os._exit(0)

    def do_hot(self, offset, size):
        self.part = (offset, size)
        say("hot", start=self.start + offset, end=self.start + offset + size, at=time.monotonic_ns())

    def do_rest(self, ms):
        self.rest = ms / 1000
        say("rest", at=time.monotonic_ns())

    def do_cold(self):
        self.part = None
        say("cold", at=time.monotonic_ns())

    def advise(self, advice):
        self.whole.madvise(advice, self.skipped, len(self.memory))

    def fault_in(self, pages):
        self.advise(pages)
        self.advise(mmap.MADV_DONTNEED)
        self.touch(0, len(self.memory))

    def do_huge(self):
        self.fault_in(mmap.MADV_HUGEPAGE)
        say("huge", at=time.monotonic_ns())

    def do_small(self):
        self.fault_in(mmap.MADV_NOHUGEPAGE)
        self.advise(mmap.MADV_HUGEPAGE)
        say("small", at=time.monotonic_ns())

    def do_fill(self):
        for at in range(0, len(self.memory), BLOCK):
            self.memory[at:at + BLOCK] = block(at)
        say("fill", at=time.monotonic_ns())

    def do_check(self):
        wrong = sum(sum(a != b for a, b in zip(self.memory[at:at + BLOCK], block(at)))
                    for at in range(0, len(self.memory), BLOCK) if self.memory[at:at + BLOCK] != block(at))
        say("check", wrong=wrong, at=time.monotonic_ns())

    def labels(self, at):
        """What the pages of the block at `at` are to hold."""
        first = (self.skipped + at) // PAGE
        return labelled(first, min(BLOCK, len(self.memory) - at) // PAGE)

    def do_label(self):
        for at in range(0, len(self.memory), BLOCK):
            self.memory[at:at + BLOCK] = self.labels(at)
        say("label", at=time.monotonic_ns())

    def do_labels(self):
        wrong = 0
        for at in range(0, len(self.memory), BLOCK):
            is_there, label = self.memory[at:at + BLOCK].tobytes(), self.labels(at)
            if is_there != label:
                wrong += sum(is_there[page:page + PAGE] != label[page:page + PAGE]
                             for page in range(0, len(label), PAGE))
        say("labels", wrong=wrong, at=time.monotonic_ns())

    def do_unmap(self):
        self.part = None
        # The exported buffer keeps mmap.close() from it.
        libc().munmap(self.start, len(self.memory))
        say("unmap", at=time.monotonic_ns())

    def do_thread(self):
        self.thread = threading.Thread(target=self.touch_on, daemon=True)
        self.thread.start()
        say("thread", at=time.monotonic_ns())

    def do_fork(self):
        child = os.fork()
        if child == 0:
            end, half = time.time() + 2, len(self.memory) // 2
            while time.time() < end:
                self.touch(half, half)
                time.sleep(REST)
            os._exit(0)
        threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()
        say("fork", pid=child, at=time.monotonic_ns())

    def do_reserve(self, size):
        start = libc().mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE,
                            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        assert start != ctypes.c_void_p(-1).value
        for place in range(64):
            ctypes.memset(start + place * (size // 64), 1, 1)
        say("reserve", at=time.monotonic_ns())

    def do_scatter(self, number):
        start = libc().mmap(None, 2 * number * PAGE, mmap.PROT_READ | mmap.PROT_WRITE,
                            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        for page in range(number):
            assert libc().munmap(start + 2 * page * PAGE, PAGE) == 0
            ctypes.memset(start + (2 * page + 1) * PAGE, 1, 1)
        say("scatter", at=time.monotonic_ns())

    def do_churn(self, size):
        def churning():
            while True:
                with mmap.mmap(-1, size) as memory:
                    memory[::PAGE] = b"x" * (size // PAGE)
                    time.sleep(0.003)
        threading.Thread(target=churning, daemon=True).start()
        say("churn", at=time.monotonic_ns())

    def do_exec(self, size):
        os.execv(sys.executable, [sys.executable, os.path.realpath(__file__), str(size)])


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    Toucher(int(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else None).run()
