"""What damonfs says of a service that runs as a unit: `wss`, `watch` and `record` by its name, and through its restart."""

import contextlib
import json
import pathlib
import signal
import subprocess

import service_units
from damon_tree import DAMONFS
from service_units import MIB, until


class Checks:
    """`service` runs as the unit `unit`; files of the checks go into `folder`."""

    def __init__(self, service, unit, folder):
        self.service, self.unit, self.folder = service, unit, pathlib.Path(folder)

    @staticmethod
    def damonfs(*words):
        return subprocess.run([DAMONFS, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=service_units.PATIENCE, check=False)

    def check_names(self, found, what):
        """`found`: {name: bytes} is what the kernel says, and has the names that the service is known by."""
        truth = service_units.bytes_by_name(self.service.host.pids())
        wrong = service_units.differences(found, truth)
        for name, size in sorted(truth.items(), key=lambda item: -item[1])[:8]:
            print("%s: %s: %s %.2f MiB, the kernel %.2f MiB" % (self.unit, what, name, found.get(name, 0) / MIB, size / MIB))
        assert not wrong, wrong
        for name in self.service.named:
            assert any(each.endswith(name) and size > 0 for each, size in found.items()), (name, found)

    def wss(self):
        done = self.damonfs("wss", "--unit", self.unit, "--for", "2s", "--by", "file", "--json", "--max-cpu", 100)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["processes"] == len(self.service.host.pids())
        self.check_names({each["name"]: each["bytes"] for each in found["by"]}, "wss")

    def watch(self):
        done = self.damonfs("watch", "--unit", self.unit, "--seconds", 4, "--json")
        assert done.returncode == 0, done.stderr
        last = json.loads(done.stdout.splitlines()[-1])
        pids = [each["pid"] for each in last["processes"]]
        assert sorted(pids) == sorted(self.service.host.pids()), "each once"
        assert all(any(each["name"].endswith(name) for each in last["names"]) for name in self.service.named), last["names"]

    @staticmethod
    def report(path):
        done = subprocess.run([DAMONFS, "report", path, "--json"], capture_output=True, text=True,
                              timeout=service_units.PATIENCE, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {"targets": []}

    def record(self):
        """Through a restart, and a child that comes and goes where the service has such."""
        path = self.folder / "record"
        before, children = set(self.service.host.pids()), set()
        process = subprocess.Popen([DAMONFS, "record", "--unit", self.unit, "-o", str(path), "--every", "500ms"],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            def recorded():
                assert process.poll() is None, process.stderr.read()
                return {each["pid"] for each in self.report(path)["targets"]}

            # To ask more often would take an emulated machine's time from the record.
            until(lambda: recorded() >= before, "for the service in the record", 1)
            if isinstance(self.service, service_units.Redis):
                children.add(self.service.save())
                until(lambda: recorded() >= children, "for the child that saves", 1)
            self.service.restart()
            after = set(self.service.host.pids())
            until(lambda: recorded() >= before | children | after, "for the service after its restart", 1)
            # Each is looked at once more after it has loaded everything: within 10 s, or later where looks cost much time.
            def is_right():
                found = {each["name"]: each["last"]["bytes"] for each in self.report(path)["names"]}
                return not service_units.differences(found, service_units.bytes_by_name(after))

            with contextlib.suppress(AssertionError):  # it is said below what is wrong
                until(is_right, "for what the kernel says", 2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(service_units.PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        found = self.report(path)
        pids = [each["pid"] for each in found["targets"]]
        assert len(pids) == len(set(pids)), "each once"
        # There may be others, which came and went meanwhile.
        comms = {each["pid"]: each["comm"] for each in found["targets"]}
        assert {pid: comms[pid] for pid in after} == {pid: pathlib.Path("/proc/%d/comm" % pid).read_text().rstrip("\n") for pid in after}
        self.check_names({each["name"]: each["last"]["bytes"] for each in found["names"]}, "record")
