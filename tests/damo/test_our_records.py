"""What `damonfs report --damo` writes, as damo reads it."""

import pathlib
import re
import subprocess
import sys

import pytest

from conftest import DAMONFS, IN_GUEST

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from record_tools import HEAP, MIB, PATTERN, record  # noqa: E402


@pytest.fixture(scope="module")
def ours(home):
    """A record of ours for damo: of four seconds, the last one with another hot part."""
    path, done = record(home, "--for", "4s", pattern=PATTERN, name="ours")
    assert done.returncode == 0, done.stderr
    subprocess.run([DAMONFS, "report", path, "--damo", "-o", home / "ours.damo"], check=True)
    return "ours.damo"


@pytest.mark.skipif(IN_GUEST, reason="needs no kernel but the one here")
def test_damo_reads_the_regions(damo, ours):
    done = damo("convert_record_format --record_file %s --format perf_script --output_file ours.txt" % ours)
    assert done.returncode == 0, done.stdout
    text = (damo.directory / "ours.txt").read_text()
    found = re.findall(r"([\d.]+): damon:damon_aggregated: target_id=\d+ nr_regions=\d+ (\d+)-(\d+): (\d+) (\d+)", text)
    assert found, text[:500]
    times = sorted({float(time) for time, *_ in found})
    assert 30 <= len(times) <= 41 and 3 < times[-1] - times[0] < 5
    hot = {(int(start), int(end)) for _, start, end, nr_accesses, _ in found if int(nr_accesses) == 20}
    # All of 20 samples in each: so a few per cent may lie beyond what is hot.
    def beyond(start, end):
        return max(HEAP - start, 0) + max(end - (HEAP + 48 * MIB), 0)
    assert hot and all(beyond(start, end) <= 0.05 * (end - start) for start, end in hot), hot


@pytest.mark.skipif(IN_GUEST, reason="needs no kernel but the one here")
@pytest.mark.parametrize("line", ["report access --input {r}", "report wss --input {r}",
                                  "report heatmap --input {r} --draw_range all", "report record_info --input {r}"])
def test_damo_reports_it(damo, ours, line):
    done = damo(line.replace("{r}", ours))
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout and done.stdout.strip(), done.stdout


@pytest.mark.skipif(IN_GUEST, reason="needs no kernel but the one here")
def test_damo_draws_the_hot_part(damo, ours):
    done = damo("report heatmap --input %s --resol 4 64 --address_range %d %d --stdout_skip_colorset_example"
                % (ours, HEAP, HEAP + 64 * MIB))
    assert done.returncode == 0, done.stdout
    rows = re.findall("(?m)^[0-9]{64}$", done.stdout)
    assert rows, done.stdout
    second = [int(c) for c in rows[1]]
    assert min(second[1:15]) > max(second[17:]), rows
