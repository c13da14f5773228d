"""damo, unmodified, imported once by a process that forks for each command line: on an emulated processor its imports
take many times what most of its commands do. What a command line does to its process it does to its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time


def become_damo(words, output):
    """In the fork: what bin/damo does, with what it prints in the file `output`."""
    os.setpgid(0, 0)
    null, out = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_TRUNC)
    for ours, theirs in ((null, 0), (out, 1), (out, 2)):
        os.dup2(ours, theirs)
    sys.argv = ["damo", *words]
    import damo.damo
    sys.exit(damo.damo.main())


def serve():
    """A request on each line of standard input, of standard output its exit status and seconds. Of a request for a
    fresh one the words are a command of any kind, which is executed."""
    import damo.damo  # noqa: F401
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        began = time.monotonic()
        if request["fresh"]:
            with open(request["output"], "w") as output:
                status = subprocess.run(request["words"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                        check=False).returncode
        else:
            pid = os.fork()
            if pid == 0:
                become_damo(request["words"], request["output"])
            signal.signal(signal.SIGALRM, lambda *_: os.killpg(pid, signal.SIGKILL))
            signal.alarm(request["timeout"])
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            signal.alarm(0)
        print(status, time.monotonic() - began, file=answers, flush=True)


class Forked:
    """Such a process, of the damo `program`, started by the command `prefix` (of `damonfs exec`; without one it
    drives the kernel's DAMON) in `directory`, where damo finds its home, too. Ends with its owner."""

    def __init__(self, program, prefix, directory):
        environment = dict(os.environ, HOME=str(directory), PATH=os.path.dirname(program) + ":" + os.environ["PATH"])
        environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen([*prefix, os.path.join(os.path.dirname(program), "python3"),
                                         os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, cwd=directory, env=environment)

    def __call__(self, words, timeout=0, fresh=False):
        """(exit status, what it printed, seconds); killed, status -9, after `timeout` seconds if there is one."""
        # A file of its own: what a command leaves running, such as a perf that ends late, may write on to its own.
        with tempfile.NamedTemporaryFile("r") as output:
            request = {"words": [str(word) for word in words], "output": output.name, "timeout": timeout,
                       "fresh": fresh}
            print(json.dumps(request), file=self.process.stdin, flush=True)
            status, seconds = self.process.stdout.readline().split()
            return int(status), output.read(), float(seconds)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


if __name__ == "__main__":
    serve()
