"""All regions of a kdamond in one file: MOUNT/damonfs/kdamonds/N/regions and regions.json."""

import errno
import json
import os

import pytest

from conftest import THREE_MAPPINGS, Mount, fails, open_as_nobody, opened, wait_until

HEAP = 0x10000000
MIB = 1 << 20
COLUMNS = ["target", "pid", "start", "end", "nr_accesses", "age", "schemes", "swept"]


def path_of(mount, name="regions"):
    return mount.path / "damonfs/kdamonds/0" / name


def parse(text):
    """The attributes and the regions of the text of `regions`."""
    head, columns, *lines = text.splitlines()
    assert columns == "# " + " ".join(COLUMNS)
    regions = [dict(zip(COLUMNS, line.split(" "), strict=True)) for line in lines]
    return dict(each.split("=") for each in head.removeprefix("# ").split(" ")), [
        {name: value if name in ("schemes", "swept") else int(value) for name, value in region.items()}
        for region in regions]


@pytest.fixture
def mount(directory):
    mounted = Mount(directory, pattern=THREE_MAPPINGS)
    yield mounted
    mounted.close()


def test_it_is_for_root_to_read(mount):
    mount.tree.write("nr_kdamonds", 1)
    for name in ("regions", "regions.json"):
        assert path_of(mount, name).stat().st_mode == 0o100400
        with fails(errno.EACCES):
            os.open(path_of(mount, name), os.O_WRONLY)
        assert "PermissionError" in open_as_nobody(path_of(mount, name)).stderr


def test_off_and_gone(mount):
    mount.tree.write("nr_kdamonds", 1)
    assert path_of(mount).read_text() == "# schema=1 state=off backend=synthetic nr_targets=0 nr_regions=0\n"
    assert json.loads(path_of(mount, "regions.json").read_text())["state"] == "off"
    mount.tree.write("nr_kdamonds", 0)
    assert not path_of(mount).exists()


def test_a_line_a_region(running):
    def hot():
        return [each for each in parse(path_of(running).read_text())[1] if each["nr_accesses"] == 20]
    wait_until(hot, "for a region that is accessed in every sample")
    attributes, regions = parse(path_of(running).read_text())
    assert (attributes["state"], attributes["operations"], attributes["max_nr_accesses"]) == ("on", "vaddr", "20")
    assert int(attributes["nr_regions"]) == len(regions) >= 10
    assert (regions[0]["start"], regions[-1]["end"]) == (0x400000, 0x7ff000020000)
    assert all(before["end"] <= after["start"] for before, after in zip(regions, regions[1:]))
    assert all((each["target"], each["pid"], each["schemes"]) == (0, 1, "0") for each in regions)
    assert all(HEAP <= each["start"] < HEAP + 16 * MIB for each in hot())


def test_the_same_in_json(running):
    found = json.loads(path_of(running, "regions.json").read_text())
    target, = found["targets"]
    assert (found["schema"], found["backend"], target["pid"]) == (1, "synthetic", 1)
    assert found["nr_regions"] == target["nr_regions"] == len(target["regions"])
    assert set(target["regions"][0]) == set(COLUMNS[2:])
    assert target["regions"][0]["schemes"] == [0]


def test_an_open_file_stays_at_its_moment(running):
    """Read in small pieces while monitoring goes on, and again from the start."""
    running.tree.write("0/contexts/0/monitoring_attrs/nr_regions/min", 900)
    running.tree.command("commit")
    wait_until(lambda: len(parse(path_of(running).read_text())[1]) >= 900, "for many regions")
    with opened(path_of(running)) as fd:
        pieces = [os.read(fd, 3000)]
        began = parse(path_of(running).read_text())[0]["nr_samples"]
        wait_until(lambda: parse(path_of(running).read_text())[0]["nr_samples"] != began, "for a sample")
        while piece := os.read(fd, 3000):
            pieces.append(piece)
        text = b"".join(pieces)
        assert len(text) > 4096 and len(pieces) > 2
        attributes, regions = parse(text.decode())
        assert int(attributes["nr_regions"]) == len(regions)
        assert os.pread(fd, len(text) + 1, 0) == text


def test_schemes_are_marked(mount):
    mount.tree.set_up([1])
    mount.tree.write("0/contexts/0/schemes/nr_schemes", 2)
    for number, least in ((0, 0), (1, 20)):
        mount.tree.set_scheme(number, "stat", nr_accesses=(least, 20))
    mount.tree.command("on")
    wait_until(lambda: {each["schemes"] for each in parse(path_of(mount).read_text())[1]} >= {"0", "0,1"},
               "for both schemes")
    for each in parse(path_of(mount).read_text())[1]:
        assert each["schemes"] == ("0,1" if each["nr_accesses"] == 20 else "0")
