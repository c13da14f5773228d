"""The page of `damonfs report --html` in a real browser."""

import json
import os
import pathlib
import re

import pytest

from record_tools import HEAP, MIB, damonfs, record
from webdriver import browser, browser_is_there

needs_browser = pytest.mark.skipif(not browser_is_there(), reason="no chromium with chromedriver")
ODD = """\
process *
  map a<b>&"x"</script> 0x400000 2M
  map heap 0x10000000 64M
  map cache 0x7ff000000000 4M
  phase 10s
    access heap 16M 16M always
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a record of three seconds, and its text."""
    directory = tmp_path_factory.mktemp("page")
    path, done = record(directory, "--for", "3s", pattern=ODD)
    assert done.returncode == 0, done.stderr
    done = damonfs("report", path, "--html", "-o", directory / "page.html")
    assert done.returncode == 0, done.stderr
    return directory / "page.html"


@pytest.fixture(scope="module")
def session():
    with browser() as opened:
        yield opened


@pytest.fixture
def opened(session, page):
    session.open(page)
    yield session
    assert session.messages() == []


def view(session):
    return [int(number) for number in session.run("return document.body.dataset.view").split(" ")]


def box(session):
    """The map in the window: left, top, width and height of its cells."""
    left, top, width, height = session.run(
        "const b = document.getElementById('heat').getBoundingClientRect();"
        "return [b.left + LABELS, b.top, b.width - LABELS, b.height - AXIS]")
    return left, top, width, height


def point_in(session, across, down):
    left, top, width, height = box(session)
    return left + width * across, top + height * down


def tip(session):
    return session.run("const t = document.getElementById('tip'); return t.style.display === 'block' ? t.innerText : ''")


def test_it_is_one_file_without_network(page):
    text = page.read_text()
    # Nothing of names is taken for markup.
    assert text.count("</script>") == 2
    assert not re.search(r"(src|href)\s*=|@import|url\(|fetch\(|XMLHttpRequest|https?://", text)
    assert "default-src 'none'" in text
    data = json.loads(re.search(r'(?s)<script type="application/json" id="data">(.*?)</script>', text).group(1))
    assert 'a<b>&"x"</script>' in {each["name"] for each in data["names"]}


@needs_browser
def test_it_opens_without_errors(opened):
    assert opened.run("return document.title") == "pid 1 \u2013 damonfs record"
    assert opened.run("return document.getElementById('names').rows.length") == 3
    cells = opened.run("return [...document.getElementById('names').rows].map(r => r.cells[0].innerText)")
    assert cells[0] == "heap" and 'a<b>&"x"</script>' in cells
    rows, columns = opened.run("return [target.rows.length, target.columns]")
    assert view(opened) == [0, rows, 0, columns]


@needs_browser
def test_pointing_tells_what_it_is(opened):
    found = set()
    for down in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
        opened.point(*point_in(opened, 0.8, down))
        words = tip(opened).splitlines()
        found.add(words[0])
        assert re.fullmatch(r"0x[0-9a-f]+, [0-9.]+ [KM]iB", words[1]), words
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", words[2]), words
    assert "heap" in found
    # The hot quarter of the heap, by where the page has its row.
    row = opened.run("return target.rows.findIndex(r => BigInt(r[0]) >= %dn)" % (HEAP + 24 * MIB))
    rows = view(opened)[1]
    opened.point(*point_in(opened, 0.8, (row + 0.5) / rows))
    words = tip(opened).splitlines()
    assert words[0] == "heap" and words[3] == "accessed in 100 % of samples", words
    opened.point(5, 5)
    assert tip(opened) == ""


@needs_browser
def test_a_click_shows_one_mapping(opened):
    rows = opened.run("return target.rows.map(r => r[2])")
    opened.point(*point_in(opened, 0.5, (rows.index("heap") + 3) / len(rows)), 0)
    first, end, _, _ = view(opened)
    assert (first, end) == (rows.index("heap"), len(rows) - rows[::-1].index("heap"))
    opened.press("\ue00c")  # Escape
    assert view(opened)[:2] == [0, len(rows)]


@needs_browser
def test_dragging_and_the_wheel_zoom(opened):
    whole = view(opened)
    opened.drag(point_in(opened, 0.25, 0.25), point_in(opened, 0.75, 0.75))
    part = view(opened)
    assert part[1] - part[0] == pytest.approx(whole[1] / 2, abs=3)
    assert part[3] - part[2] == pytest.approx(whole[3] / 2, abs=3)
    opened.scroll(*point_in(opened, 0.5, 0.5), -100)
    closer = view(opened)
    assert closer[1] - closer[0] < part[1] - part[0] and closer[3] - closer[2] < part[3] - part[2]
    opened.run("document.getElementById('reset').click()")
    assert view(opened) == whole


@needs_browser
def test_the_table_sorts_and_the_map_changes(opened):
    opened.run("document.getElementById('head').cells[0].click()")
    cells = opened.run("return [...document.getElementById('names').rows].map(r => r.cells[0].innerText)")
    assert cells == sorted(cells)
    before = opened.run("return heat.toDataURL()")
    opened.run("document.getElementById('by-idle').click()")
    assert opened.run("return heat.toDataURL()") != before


@needs_browser
def test_a_picture_for_the_readme(opened, tmp_path):
    """$DAMONFS_PICTURE: where to keep it."""
    opened.run("window.scrollTo(0, 0)")
    picture = opened.picture()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) > 10000
    pathlib.Path(os.environ.get("DAMONFS_PICTURE", tmp_path / "page.png")).write_bytes(picture)
