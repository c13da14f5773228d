"""Manual pages and completion, which are made of what the program says of itself."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import PATIENCE
from damon_tree import DAMONFS

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMPLETION = ROOT / "scripts/completion"


def output(*words, **options):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=PATIENCE, check=True, **options).stdout


def commands():
    return re.findall(r"^  ([a-z]+)  ", output(DAMONFS, "--help").split("Subcommands:")[1], re.MULTILINE)


def complete(*words):
    return [line.split("\t")[0] for line in output(DAMONFS, "__complete", *words).splitlines()]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    directory = tmp_path_factory.mktemp("manual")
    output(DAMONFS, "__manual", directory, "2026-11-29")
    return directory


def test_a_page_each(pages):
    assert {p.name for p in pages.iterdir()} == {"damonfs.1"} | {"damonfs-%s.1" % name for name in commands()}


def test_every_option_is_in_the_page(pages):
    for name in commands():
        text = (pages / ("damonfs-%s.1" % name)).read_text().replace("\\-", "-")
        options = re.findall(r"^  (?:-\w,)?(--[-a-z]+)", output(DAMONFS, name, "--help"), re.MULTILINE)
        assert "--help" in options
        assert [o for o in options if o not in text] == []


def test_pages_are_the_same_twice(pages, tmp_path):
    output(DAMONFS, "__manual", tmp_path, "2026-11-29")
    for page in pages.iterdir():
        assert page.read_bytes() == (tmp_path / page.name).read_bytes()


def test_roff_has_nothing_to_say_against_them(pages):
    if not shutil.which("groff"):
        pytest.skip("no groff")
    for page in sorted(pages.iterdir()):
        done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", str(page)], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stderr) == (0, ""), page
        assert page.read_text().startswith(".TH DAMONFS")


@pytest.mark.parametrize("source, name", [("configuration", "damonfs.yaml"), ("pattern", "damonfs.pattern")])
def test_pages_of_files_are_made_of_documents(source, name, tmp_path):
    if not shutil.which("lowdown") or not shutil.which("cmake"):
        pytest.skip("no lowdown")
    page = tmp_path / (name + ".5")
    output("cmake", "-DLOWDOWN=lowdown", "-DNAME=" + name, "-DDATE=2026-11-29", "-DIN=%s" % (ROOT / ("docs/%s.md" % source)),
           "-DOUT=%s" % page, "-P", ROOT / "cmake/page.cmake")
    text = page.read_text()
    assert re.search(r"\.TH +\"?%s\"? +\"?5\"?" % re.escape(name), text)
    assert re.search(r"\.SH NAME\n(?:\.\w+\n)*%s (?:\\-|-) " % re.escape(name), text), text[:600]
    if shutil.which("groff"):
        assert subprocess.run(["groff", "-man", "-t", "-z", "-Tutf8", str(page)], capture_output=True, text=True, check=True).stderr == ""


def test_completes_commands_options_and_values():
    assert "watch" in complete("wa") and "watch" in complete("")
    assert set(commands()) <= set(complete(""))
    assert complete("watch", "--int") == ["--interval"]
    assert {"auto", "pte", "idle", "soft-dirty", "synthetic:"} <= set(complete("watch", "--backend", ""))
    assert "pte" in complete("watch", "--backend", "") and "synthetic:" in complete("mount", "/mnt", "--backend", "syn")
    assert "debug" in complete("mount", "--log-level", "")
    assert str(os.getpid()) in complete("watch", str(os.getpid())[:3])
    assert complete("watch", "--", "so") == ["COMMAND"]
    assert complete("mount", "") == ["DIRECTORY"]
    assert complete("mount", "--config", "") == ["FILE"]
    assert complete("nonsense", "") == []
    assert complete("help", "wat") == ["watch"]


def test_completes_mounts(mount):
    assert str(mount.path) in complete("umount", "")
    assert str(mount.path) in complete("watch", "--mount", "")


@pytest.fixture
def path(tmp_path):
    """A PATH with our program first."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/damonfs").symlink_to(DAMONFS)
    return dict(os.environ, PATH="%s:%s" % (tmp_path / "bin", os.environ["PATH"]), HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))


def test_bash(path):
    script = 'source %s; COMP_WORDS=(damonfs %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _damonfs; printf "%%s\\n" "${COMPREPLY[@]}"'
    for words, fits in [("wa", "watch"), ("watch --int", "--interval"), ("watch --backend so", "soft-dirty")]:
        assert output("bash", "-c", script % (COMPLETION / "damonfs.bash", words), env=path).split() == [fits]


def test_zsh(path):
    if not shutil.which("zsh"):
        pytest.skip("no zsh")
    script = ('compdef() { }; _files() { print FILES }; _describe() { print -l -- ${(P)2} }; source %s; words=(damonfs %s); '
              'CURRENT=${#words}; _damonfs')
    assert "watch:" in output("zsh", "-fc", script % (COMPLETION / "_damonfs", "wa"), env=path)
    assert "--interval:" in output("zsh", "-fc", script % (COMPLETION / "_damonfs", "watch --int"), env=path)
    assert output("zsh", "-fc", script % (COMPLETION / "_damonfs", "mount --config ''"), env=path) == "FILES\n"


def test_fish(path):
    if not shutil.which("fish"):
        pytest.skip("no fish")
    script = "source %s; complete -C 'damonfs %s'"
    assert output("fish", "--no-config", "-c", script % (COMPLETION / "damonfs.fish", "wa"), env=path).startswith("watch\t")
    assert output("fish", "--no-config", "-c", script % (COMPLETION / "damonfs.fish", "watch --int"), env=path).startswith("--interval\t")


def test_report_of_doctor(mount):
    """It has what a bug report needs, and names only if asked."""
    done = subprocess.run([DAMONFS, "doctor", "--report"], capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    with pytest.raises(OSError, match="Invalid argument"):
        (mount.kdamonds / "nr_kdamonds").write_text("secret-word\n")
    done = subprocess.run([DAMONFS, "doctor", "--report"], capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    for words in ["damonfs 0", "kernel  ", "BTF  ", "capabilities in effect", "status:", "last refused writes:",
                  "nr_kdamonds EINVAL", "--backend auto: "]:
        assert words in done.stdout, done.stdout
    assert str(mount.path) not in done.stdout and "secret-word" not in done.stdout
    done = subprocess.run([DAMONFS, "doctor", "--report", "--with-names"], capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    assert str(mount.path) in done.stdout and "secret-word" in done.stdout
    refused = subprocess.run([DAMONFS, "doctor", "--with-names"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "--report" in refused.stderr
