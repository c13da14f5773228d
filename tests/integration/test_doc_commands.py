"""Command lines in the documents. Blocks that follow a line `<!-- run -->` are run as they stand, as root, in a mount namespace
of their own, on a described process 4711 (PID stands for it); in all other blocks commands and their options have to be those
that --help knows. The files in examples/ are run, too."""

import functools
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from conftest import PATIENCE
from damon_tree import DAMONFS

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md"), EXAMPLES / "README.md"])

# A program `damonfs` that watches what is described, where it would watch what is real.
WRAPPER = """\
#!/bin/bash
command=${1-}
[ $# = 0 ] || shift
case $command in
    mount | watch)
        case " $* " in
            *" --backend "* | *" --mount "*) ;;
            *) set -- --backend "synthetic:$PATTERN" "$@" ;;
        esac
        ;;
esac
exec "$DAMONFS" "$command" "$@"
"""


def blocks(document):
    """(line number, whether it is to be run, text) of each indented or fenced block of code."""
    found, lines, fenced = [], [], False
    run = False
    start = 0

    def close():
        if lines:
            found.append((start, run, "\n".join(lines)))
        lines.clear()

    for number, line in enumerate([*document.read_text().splitlines(), "."], 1):
        if line.startswith("```"):
            close()
            fenced = not fenced
            continue
        if fenced or line.startswith("    "):
            start = start if lines else number
            lines.append(line if fenced else line[4:])
            continue
        if lines and not line:
            lines.append("")
            continue
        if lines:
            close()
            run = False
        if line.strip():
            run = line.strip() == "<!-- run -->"
    return found


def commands(text):
    """The lines of a block that are typed: behind a prompt, or all of a block that has none; continued lines are joined."""
    lines = text.replace("\\\n", " ").splitlines()
    if any(re.match(r"[$#] ", line) for line in lines):
        return [line[2:] for line in lines if re.match(r"[$#] ", line)]
    return lines


@functools.lru_cache(None)
def help_of(command):
    return subprocess.run([DAMONFS, command, "--help"] if command else [DAMONFS, "--help"], capture_output=True, text=True, timeout=PATIENCE,
                          check=True).stdout


def known_commands():
    return set(re.findall(r"^  ([a-z]+)  ", help_of("").split("Subcommands:")[1], re.MULTILINE)) | {"help"}


def invocations(document):
    """(line number, words behind damonfs) of each damonfs that is typed in the document's blocks."""
    found = []
    for number, _, text in blocks(document):
        for line in commands(text):
            for match in re.finditer(r"(?:^|[\s;|&(])(?:build/)?damonfs ((?:[^;|&()#\n]|\$\([^)]*\))*)", line):
                try:
                    words = shlex.split(match[1], posix=False)
                except ValueError:
                    words = match[1].split()
                if words and re.fullmatch(r"[a-z]+|-[-\w]+", words[0]):
                    found.append((number, words))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_commands_and_options_exist(document):
    wrong = []
    for number, words in invocations(document):
        command = words[0]
        if command.startswith("-"):
            text, options = help_of(""), words
        elif command not in known_commands():
            wrong.append("%d: there is no command %s" % (number, command))
            continue
        else:
            ours = words[1:words.index("--")] if "--" in words else words[1:]
            text, options = help_of("" if command == "help" else command), [w for w in ours if re.match(r"-[-a-zA-Z]", w)]
        wrong += ["%d: %s has no option %s" % (number, command, option) for option in options
                  if not re.search(r"(?<![-\w])%s(?![-\w])" % re.escape(option.split("=")[0]), text)]
    assert wrong == []


def test_the_check_finds_what_is_wrong(tmp_path):
    document = tmp_path / "page.md"
    document.write_text("text\n\n    # damonfs watch --frobnicate 12\n    output of damonfs mount\n\n    # damonfs mont x | damonfs wss --for 1s 1\n")
    assert [words[0] for _, words in invocations(document)] == ["watch", "mont", "wss"]
    with pytest.raises(AssertionError, match="watch has no option --frobnicate"):
        test_commands_and_options_exist(document)


def runnable():
    return [pytest.param(text, id="%s:%d" % (document.relative_to(ROOT), number))
            for document in DOCUMENTS for number, run, text in blocks(document) if run]


@pytest.mark.parametrize("text", runnable())
def test_blocks_that_can_run_here_run(text, directory):
    (directory / "bin").mkdir()
    (directory / "bin/damonfs").write_text(WRAPPER)
    (directory / "bin/damonfs").chmod(0o755)
    (directory / "mnt").mkdir()
    for file in EXAMPLES.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    # In real time, as kdamonds of commands are.
    (directory / "real.pattern").write_text((EXAMPLES / "service.pattern").read_text().replace("clock virtual\n", ""))
    # `set -e` cannot be: some lines show what is refused. A line that is meant to fail says so by its output.
    lines = commands(text)
    expected = text.splitlines()
    script = ["mount -t tmpfs none /mnt", "mkdir -p /mnt/damonfs"]
    for line in lines:
        at = next(i for i, shown in enumerate(expected) if line.split("  ")[0].strip()[:20] in shown)
        refused = at + 1 < len(expected) and "error: " in expected[at + 1]
        line = re.sub(r"\bPID\b", "4711", line)
        script.append("%s\nstatus=$?; if [ $status %s 0 ]; then echo \"status $status:\" %s; exit 9; fi" % (
            line, "=" if refused else "!=", shlex.quote(line)))
    # No daemon outlives it.
    script.append("damonfs umount /mnt/damonfs 2>/dev/null; exit 0")
    environment = dict(os.environ, PATH="%s:%s" % (directory / "bin", os.environ["PATH"]), DAMONFS=str(DAMONFS),
                       PATTERN=str(directory / "real.pattern"), HOME=str(directory))
    done = subprocess.run(["unshare", "-m", "bash", "-c", "\n".join(script)], cwd=directory, env=environment, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10 * PATIENCE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("config", sorted(p.name for p in EXAMPLES.glob("*.yaml")))
def test_example_configurations_simulate(config):
    done = subprocess.run([DAMONFS, "simulate", config, "service.pattern", "--for", "1min", "--json"], cwd=EXAMPLES, capture_output=True,
                          text=True, timeout=10 * PATIENCE, check=False)
    if config == "damonfs.yaml":  # it sets nothing up, on purpose
        assert done.returncode == 1 and "kdamond" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("{")


@pytest.mark.parametrize("config", sorted(p.name for p in EXAMPLES.glob("*.yaml")))
def test_example_configurations_mount(config, directory):
    (directory / "mnt").mkdir()
    (directory / "real.pattern").write_text((EXAMPLES / "service.pattern").read_text().replace("clock virtual\n", ""))
    done = subprocess.run([DAMONFS, "mount", str(directory / "mnt"), "--config", str(EXAMPLES / config), "--dry-run", "--backend",
                           "synthetic:%s" % (directory / "real.pattern")], capture_output=True, text=True, timeout=PATIENCE, check=False)
    subprocess.run([DAMONFS, "umount", str(directory / "mnt")], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("pattern", sorted(p.name for p in EXAMPLES.glob("*.pattern")))
def test_example_patterns_are_watched(pattern):
    done = subprocess.run([DAMONFS, "watch", "--backend", "synthetic:%s" % pattern, "--for", "600ms", "--interval", "300ms", "--width", "80",
                           "4711"], cwd=EXAMPLES, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stdout
