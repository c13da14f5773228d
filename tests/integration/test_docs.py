"""The documents: links lead somewhere, and files that they name are there."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/README.md",
                    ROOT / "scripts/lab/README.md"])


def name_of(document):
    return str(document.relative_to(ROOT))


def anchors(document):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_that_are_named_are_there(document):
    """`core/adjust.cc`, `fs/damon`, `tests/lab/run-all`: paths below the folders of the project, from the root or from where
    the document is."""
    missing = []
    for words in re.findall(r"`([^`\n]+)`", document.read_text()):
        path = words.split()[0]
        if not re.fullmatch(r"(core|fs|ops|reclaim|tests|scripts|docs)/[\w./-]*\w", path):
            continue
        if not (ROOT / path).exists() and not (document.parent / path).exists():
            missing.append(path)
    assert not missing


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 100] == []
