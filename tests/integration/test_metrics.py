"""mount --metrics-file and --metrics-listen: what is exported, and what goes wrong there."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import jsonschema
import pytest
import yaml

from conftest import DAMONFS, Mount, TESTS, mounts_below, real_daemon, wait_until
from damon_tree import BUILD
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

DEPLOY = TESTS.parent / "deploy"
MIB = 1 << 20
# Three mappings, as vaddr looks for the two biggest gaps between them.
PATTERN = """\
process 1
  map program 0x400000 2M
  map heap 0x10000000 16M
  map stack 0x7ff000000000 1M
  phase 1s
    access heap 0 1M always
"""
# A name that is no UTF-8, and that has all that is special in values of labels.
NAME = b'a"b\\c\nd\xff'
SLEEPER = """\
import ctypes, time
ctypes.CDLL(None).prctl(15, %r, 0, 0, 0)
memory = bytearray(32 << 20)
print("ready", flush=True)
while True:
    for at in range(0, 8 << 20, 4096):
        memory[at] = 1
    time.sleep(0.01)
""" % NAME


def values(families):
    """{(name, (label, value), ...): number}; no series is there twice."""
    found = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def url_of(log):
    """The address that `log()` tells of; the daemon says it some time after it serves."""
    pattern = re.compile(r"metrics at (http://\S+/metrics)")
    wait_until(lambda: pattern.search(log()), "for the metrics")
    return pattern.search(log()).group(1)


def scrape(url, accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def fresh(url):
    """A scrape that no earlier one answers."""
    time.sleep(1.05)
    return values(openmetrics(scrape(url)[1]))


@pytest.fixture
def served(directory):
    mounted = Mount(directory, "--metrics-listen", "0", pattern=PATTERN)
    try:
        mounted.url = url_of(mounted.log)
        yield mounted
    finally:
        mounted.close()


def test_what_a_running_kdamond_exports(served):
    served.tree.set_up([1])
    served.tree.set_scheme(0, "stat")
    served.tree.command("on")
    key = ("service", "kdamonds/0")
    wait_until(lambda: fresh(served.url).get(("damonfs_accessed_bytes", key), 0) >= MIB, "for accesses")
    found = fresh(served.url)
    assert found["damonfs_info", ("backend", "synthetic"), ("dry_run", "N")] == 1
    assert found["damonfs_kdamond_running", key] == 1
    assert found["damonfs_processes", key] == 1
    memory = {dict(k[1:])["age"]: v for k, v in found.items() if k[0] == "damonfs_memory_bytes"}
    assert sum(memory.values()) == 19 * MIB  # a described process: sizes of addresses
    assert found["damonfs_working_set_bytes", key] >= found["damonfs_accessed_bytes", key] >= MIB
    assert found["damonfs_samplings_total", key] > 0
    assert found["damonfs_aggregation_interval_seconds", key] == 0.1
    assert found["damonfs_kdamond_cpu_seconds_total", key] > 0
    scheme = (("action", "stat"), ("scheme", "0"), key)
    assert found[("damonfs_scheme_tried_bytes_total", *scheme)] > 0
    assert found["damonfs_refaults_total", ("kind", "file")] >= 0
    assert found["damonfs_resident_bytes",] > MIB
    again = fresh(served.url)
    assert again[("damonfs_scheme_tried_bytes_total", *scheme)] > found[("damonfs_scheme_tried_bytes_total", *scheme)]
    served.tree.command("off")
    found = fresh(served.url)
    assert found["damonfs_kdamond_running", key] == 0
    assert not any(k[0] == "damonfs_memory_bytes" for k in found)
    served.tree.clear()


def test_the_modules_are_services(served):
    found = fresh(served.url)
    names = {dict(k[1:])["service"] for k in found if k[0] == "damonfs_kdamond_running"}
    assert names == {"damon_reclaim", "damon_lru_sort", "damon_stat"}
    (served.path / "module/damon_stat/parameters/enabled").write_text("Y")
    wait_until(lambda: ("damonfs_stat_idle_seconds", ("percentile", "50")) in fresh(served.url), "for damon_stat")
    found = fresh(served.url)
    physical = {k: v for k, v in found.items() if k[0] == "damonfs_memory_bytes"}
    assert {dict(k[1:])["kind"] for k in physical} == {"physical"} and sum(physical.values()) >= 19 * MIB
    (served.path / "module/damon_stat/parameters/enabled").write_text("N")


def test_both_formats(served):
    kind, text = scrape(served.url)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    types = {family.name: family.type for family in openmetrics(text)}
    assert types["damonfs_cpu_seconds"] == "counter" and types["damonfs_resident_bytes"] == "gauge"
    kind, text = scrape(served.url, "text/plain")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name: family.type for family in prometheus(text)} == types
    for path, code in (("/", 404), ("/metrics/x", 404)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            scrape(served.url.removesuffix("/metrics") + path)
        assert caught.value.code == code


def test_services_are_bounded(served):
    served.tree.write("nr_kdamonds", 500)
    found = fresh(served.url)
    assert len([k for k in found if k[0] == "damonfs_kdamond_running"]) == 100
    assert found["damonfs_services_left_out",] == 403
    served.tree.write("nr_kdamonds", 0)


def test_who_never_reads_holds_up_nobody(served):
    address = re.search(r"//(.*):(\d+)/", served.url).groups()
    stuck = [socket.create_connection(address, timeout=20) for _ in range(40)]
    for each in stuck[::2]:
        each.send(b"GET /metrics HTTP/1.1\r\n")
    assert "damonfs_info" in scrape(served.url)[1]
    # In the end they are hung up on.
    for each in stuck:
        try:
            assert each.recv(1) == b""
        except ConnectionResetError:
            pass
        each.close()
    assert served.end() == 0


def test_a_kdamond_that_is_busy_is_told_of(served):
    served.set_up_blocking()
    served.process.send_signal(signal.SIGSTOP)
    served.process.send_signal(signal.SIGCONT)
    assert fresh(served.url)["damonfs_kdamond_running", ("service", "kdamonds/0")] == 1
    served.tree.clear()


def test_an_address_that_is_taken(served, directory):
    address = re.search(r"//(.*)/metrics", served.url).group(1)
    other = directory / "other"
    other.mkdir()
    done = subprocess.run([DAMONFS, "mount", other, "--backend", "synthetic:%s" % served.pattern,
                           "--metrics-listen", address], text=True, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "damonfs: cannot listen for metrics on %s: Address already in use\n" % address
    assert mounts_below(other) == []


@pytest.mark.parametrize("options, reason", [
    (["--metrics-listen", "nonsense"], "'nonsense' is no address to listen on: want [HOST:]PORT"),
    (["--metrics-file", "/nowhere/x.prom"], "cannot write the metrics file /nowhere/x.prom: No such file or directory"),
    (["--metrics-file", "/"], "cannot write the metrics file /"),
])
def test_bad_options_are_refused(directory, options, reason):
    (directory / "p").write_text(PATTERN)
    (directory / "mnt").mkdir()
    done = subprocess.run([DAMONFS, "mount", directory / "mnt", "--backend", "synthetic:%s" % (directory / "p"), *options],
                          text=True, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1
    assert mounts_below(directory) == []


def test_the_file_is_whole_and_goes_with_the_daemon(directory):
    path = directory / "damonfs.prom"
    mounted = Mount(directory, "--metrics-file", str(path), "--metrics-period", "50ms", pattern=PATTERN)
    try:
        wait_until(path.exists, "for the file")
        assert path.stat().st_mode & 0o777 == 0o644
        seen = set()
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with open(path) as file:
                seen.add(os.fstat(file.fileno()).st_mtime_ns)
                assert values(openmetrics(file.read()))["damonfs_metrics_file_errors_total",] == 0
        assert len(seen) > 3
        assert mounted.end() == 0
        assert sorted(os.listdir(directory)) == ["log", "mnt", "pattern"]
    finally:
        mounted.close()


def test_a_directory_that_goes_is_one_line_in_the_log(directory):
    (directory / "d").mkdir()
    path = directory / "d/damonfs.prom"
    mounted = Mount(directory, "--metrics-file", str(path), "--metrics-period", "50ms", "--metrics-listen", "0",
                    pattern=PATTERN)
    try:
        wait_until(path.exists, "for the file")
        (directory / "d").rename(directory / "gone")
        url = url_of(mounted.log)
        wait_until(lambda: fresh(url)["damonfs_metrics_file_errors_total",] > 2, "for failures")
        assert mounted.log().count("cannot write the metrics file") == 1
        (directory / "d").mkdir()
        wait_until(path.exists, "for the file again")
        wait_until(lambda: "is written again" in mounted.log(), "for the log")
        assert mounted.end() == 0
    finally:
        mounted.close()


def test_a_full_disk_keeps_the_old_file(directory):
    disk = directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    mounted = None
    try:
        path = disk / "damonfs.prom"
        mounted = Mount(directory, "--metrics-file", str(path), "--metrics-period", "50ms", pattern=PATTERN)
        wait_until(path.exists, "for the file")
        with pytest.raises(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        wait_until(lambda: "No space left on device" in mounted.log(), "for a failure")
        assert values(openmetrics(path.read_text()))
        assert sorted(os.listdir(disk)) == ["damonfs.prom", "filler"]
        assert mounted.log().count("cannot write the metrics file") == 1
        (disk / "filler").unlink()
        wait_until(lambda: "is written again" in mounted.log(), "for the log")
        assert mounted.end() == 0
    finally:
        if mounted:
            mounted.close()
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_real_process_by_its_name_and_kinds(children):
    with real_daemon("auto", "--metrics-listen", "0") as daemon:
        process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True)
        children.append(process)
        assert process.stdout.readline() == "ready\n"
        daemon.tree.set_up([process.pid])
        daemon.tree.command("on")
        url = url_of(daemon.said)
        name = 'a"b\\c\nd\ufffd'
        key = ("service", name)
        wait_until(lambda: fresh(url).get(("damonfs_accessed_bytes", key), 0) > 4 * MIB, "for accesses")
        found = fresh(url)
        memory = {}
        for series, value in found.items():
            if series[0] == "damonfs_memory_bytes":
                labels = dict(series[1:])
                assert labels["service"] == name
                memory[labels["kind"]] = memory.get(labels["kind"], 0) + value
        status = pathlib.Path("/proc/%d/status" % process.pid).read_text(errors="replace")
        anon, file = (int(re.search(r"%s:\s*(\d+)" % field, status).group(1)) << 10 for field in ("RssAnon", "RssFile"))
        assert memory["anon"] == pytest.approx(anon, rel=0.05)
        assert memory["file"] == pytest.approx(file, rel=0.2)
        # The other format escapes it, too.
        assert ("damonfs_regions", key) in values(prometheus(scrape(url, "text/plain")[1]))
        daemon.tree.clear()


def exported(url):
    return {family.name for family in prometheus(scrape(url, "text/plain")[1])} | {
        sample.name for family in prometheus(scrape(url, "text/plain")[1]) for sample in family.samples}


def test_the_dashboard_uses_metrics_that_are_exported(served):
    served.tree.set_up([1])
    served.tree.command("on")
    wait_until(lambda: "damonfs_memory_bytes" in exported(served.url), "for regions")
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    text = json.dumps(dashboard)
    used = set(re.findall(r"\bdamonfs_\w+", text))
    documented = set(re.findall(r"`(damonfs_\w+)", (TESTS.parent / "docs/metrics.md").read_text()))
    found = exported(served.url)
    assert len(used) > 10
    # Those of damon_stat are there while it runs.
    assert {name for name in used - found if not name.startswith("damonfs_stat_")} == set()
    assert {name for name in found if not name.endswith("_created")} - {
        name.removesuffix("_total") for name in found if name.endswith("_total")} <= documented
    for panel in dashboard["panels"]:
        assert panel["type"] == "row" or panel["targets"], panel["title"]
    served.tree.clear()


def capabilities_of_the_unit():
    unit = (TESTS.parent / "scripts/damonfs.service").read_text()
    line, = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    return {name.removeprefix("CAP_") for name in line.split()}


def test_the_daemon_set_has_the_capabilities_of_the_unit():
    documents = [each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()) if each]
    daemon_set, = [each for each in documents if each["kind"] == "DaemonSet"]
    pod = daemon_set["spec"]["template"]["spec"]
    assert pod["hostPID"] is True
    container, = pod["containers"]
    context = container["securityContext"]
    assert set(context["capabilities"]["add"]) == capabilities_of_the_unit()
    assert context["capabilities"]["drop"] == ["ALL"] and context["privileged"] is False
    names = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == names
    for word in [word for word in container["args"] if word.startswith("--")]:
        assert word.split("=")[0] in subprocess.run([DAMONFS, "mount", "--help"], text=True, capture_output=True,
                                                    check=True).stdout


@pytest.fixture(scope="module")
def schemas():
    """The published schemas of Kubernetes, as PyPI's kubernetes-validate has them."""
    directory = BUILD / "kubernetes-schemas"
    if not list(directory.glob("*.whl")):
        done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory,
                               "kubernetes-validate==1.37.0"], text=True, capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            pytest.skip("PyPI cannot be reached: " + done.stderr.strip()[-200:])
    wheel, = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        def read(name):
            return json.loads(archive.read("kubernetes_validate/kubernetes-json-schema/v1.30.0-local/" + name))
        yield read


def test_kubernetes_accepts_it(schemas):
    documents = [each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()) if each]
    store = {"https://kubernetes.io/api/_definitions.json": strict(schemas("_definitions.json"))}
    for document, schema in zip(documents, ("namespace-v1", "configmap-v1", "daemonset-apps-v1"), strict=True):
        checked = strict(schemas(schema + ".json"))
        resolver = jsonschema.RefResolver("", checked, store=store)
        jsonschema.validate(document, checked, resolver=resolver)
    documents[2]["spec"]["template"]["spec"]["hostPid"] = True  # a slip of the pen is not accepted
    with pytest.raises(jsonschema.ValidationError, match="hostPid"):
        jsonschema.validate(documents[2], checked, resolver=resolver)


def strict(schema):
    """No other fields than those that are named."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "type" in made and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made


def test_the_configuration_of_the_daemon_set_runs(directory):
    documents = [each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()) if each]
    config, = [each for each in documents if each["kind"] == "ConfigMap"]
    (directory / "config").write_text(config["data"]["damonfs.yaml"])
    mounted = Mount(directory, "--config", str(directory / "config"), pattern=PATTERN)
    try:
        enabled = mounted.path / "module/damon_stat/parameters/enabled"
        wait_until(lambda: enabled.read_text() == "Y\n", "for damon_stat")
        assert mounted.end() == 0
    finally:
        mounted.close()


def test_the_recipe_copies_what_is_there():
    recipe = (DEPLOY / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", recipe, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (TESTS.parent / source).exists(), source
    assert re.search(r'^ENTRYPOINT \["/usr/bin/damonfs"\]$', recipe, re.MULTILINE)
