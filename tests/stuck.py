#!/usr/bin/python3
"""A process that holds the lock of its memory map for writing until it is let go, as one in mmap() of a file on a dead server.

usage: tests/stuck.py SIZE      (bytes of anonymous memory, all of which it touches once)
It prints `ready pid=PID start=ADDRESS end=ADDRESS` of the process and of its memory, then for each command one line:
stick    it waits in mmap() from now on, for a file system that does not answer
letgo    the file system answers
Ends, and lets go, at an end of file. Needs root and /dev/fuse. The mount is in a namespace of its own.
"""

import ctypes
import mmap
import os
import struct
import sys
import threading
import time

LOOKUP, GETATTR, OPEN, READ, WRITE, INIT, FORGET, INTERRUPT, BATCH_FORGET = 1, 3, 14, 15, 16, 26, 2, 36, 42
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
PAGE = mmap.PAGESIZE
POINT = "/run"  # in that namespace; the root of a guest need not have /mnt
NO_ANSWER = (FORGET, INTERRUPT, BATCH_FORGET)

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attributes(node):
    mode = 0o40755 if node == 1 else 0o100644
    return struct.pack("<6Q10I", node, PAGE, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, PAGE, 0)


class Server:
    """A file system of one file of one page, whose answer to a write is kept back."""

    def __init__(self):
        checked(libc.unshare(CLONE_NEWNS))
        checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0" % self.fd
        checked(libc.mount(b"stuck", POINT.encode(), b"fuse.stuck", 0, options.encode()))
        self.kept = threading.Event()  # a write is here
        self.may_answer = threading.Event()

    def answer(self, unique, data=b"", error=0):
        os.write(self.fd, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)

    def keep(self, unique, size):
        self.kept.set()
        self.may_answer.wait()
        self.answer(unique, struct.pack("<II", size, 0))

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 20)
            except OSError:
                return
            opcode, unique = struct.unpack_from("<4xIQ", request)
            node = struct.unpack_from("<16xQ", request)[0]
            if opcode == INIT:
                self.answer(unique, struct.pack("<4I2H2I2H8I", 7, 31, 1 << 16, 0, 0, 0, 1 << 16, 1, 0, 0, *[0] * 8))
            elif opcode == LOOKUP:
                self.answer(unique, struct.pack("<4Q2I", 2, 0, 3600, 3600, 0, 0) + attributes(2))
            elif opcode == GETATTR:
                self.answer(unique, struct.pack("<QII", 3600, 0, 0) + attributes(node))
            elif opcode == OPEN:
                self.answer(unique, struct.pack("<QII", 0, 0, 0))
            elif opcode == READ:
                self.answer(unique, bytes(PAGE))
            elif opcode == WRITE:
                size = struct.unpack_from("<40x16xI", request)[0]
                threading.Thread(target=self.keep, args=(unique, size), daemon=True).start()
            elif opcode not in NO_ANSWER:
                self.answer(unique, error=0 if opcode in (18, 25) else 38)  # RELEASE, FLUSH; ENOSYS


def be_stuck(size, commands, answers):
    """Obeys by one byte each: gets stuck."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[::PAGE] = b"x" * (size // PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    file = os.open(POINT + "/file", os.O_RDWR)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    read_write = mmap.PROT_READ | mmap.PROT_WRITE
    os.write(answers, b"%d %d %d\n" % (os.getpid(), start, start + size))
    while os.read(commands, 1):
        shared = libc.mmap(None, PAGE, read_write, mmap.MAP_SHARED, file, 0)
        ctypes.memset(shared, 1, PAGE)
        # What replaces it must wait until the page is written, with the map locked.
        libc.mmap(shared, PAGE, read_write, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10, -1, 0)
        os.write(answers, b"free\n")


def main():
    server = Server()
    commands, to_child = os.pipe()
    from_child, answers = os.pipe()
    serving = threading.Thread(target=server.serve, daemon=True)
    child = os.fork()
    if child == 0:
        os.close(server.fd)
        os.close(to_child)
        be_stuck(int(sys.argv[1]), commands, answers)
        os._exit(0)
    serving.start()
    os.close(commands)
    os.close(answers)
    from_child = os.fdopen(from_child)
    pid, start, end = map(int, from_child.readline().split())
    print("ready pid=%d start=%#x end=%#x" % (pid, start, end), flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "stick":
            server.kept.clear()
            server.may_answer.clear()
            os.write(to_child, b"x")
            server.kept.wait()
        elif word == "letgo":
            server.may_answer.set()
            from_child.readline()
        print("%s at=%d" % (word, time.monotonic_ns()), flush=True)
    os._exit(0)  # which aborts the file system, and closes the pipe that the child reads


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
