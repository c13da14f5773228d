"""Services by the names of their units, and their memory by its names: redis, PostgreSQL, nginx and a Python server, in control
groups of the test's own. tests/lab/services does the same under a systemd."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import service_units  # noqa: E402
from service_checks import Checks  # noqa: E402


@pytest.fixture(scope="module", params=list(service_units.SERVICES))
def checks(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    for path in [folder, *folder.parents][:3]:
        path.chmod(path.stat().st_mode | 0o005)  # PostgreSQL is not root
    unit = "damonfs-test-%d-%s.service" % (os.getpid(), request.param)
    host = service = None
    try:
        host = service_units.Cgroups(unit)
        service = service_units.SERVICES[request.param](host, folder)
        yield Checks(service, unit, folder)
    except service_units.Missing as why:
        pytest.skip(str(why))
    finally:
        if service is not None:
            service.end()
        elif host is not None:
            host.remove()


def test_wss_by_name_is_what_the_kernel_says(checks):
    checks.wss()


def test_watch_has_each_process_once(checks):
    checks.watch()


def test_a_record_through_a_restart(checks):
    checks.record()
