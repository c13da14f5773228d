"""damonfs top in a real terminal: what it draws of a daemon whose content does not change."""

import os
import re
import signal
import subprocess

import pytest

from conftest import DAMONFS, Mount, wait_until

# Two processes without names; what is hot of them never changes. Three mappings, as vaddr looks for the two biggest gaps
# between them.
PATTERN = """\
process 1
  map program 0x400000 1M
  map heap 0x10000000 16M
  map stack 0x7ff000000000 1M
  phase 1s
    access heap 0 2M always
process 2
  map program 0x400000 1M
  map heap 0x10000000 62M
  map stack 0x7ff000000000 1M
  phase 1s
    access heap 0 8M always
"""
INTERVAL = "20ms"  # sixty points of the spark line come soon


class Terminal:
    """A tmux server of the test's own, with one window in which top runs."""

    def __init__(self, directory):
        self.socket = str(directory / "tmux")
        self.directory = directory

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *args], check=True, text=True,
                              capture_output=True, timeout=30).stdout

    def start(self, *args, width=80, height=10, locale="C.UTF-8", term="screen-256color", **environment):
        command = " ".join(["env", "TERM=" + term, DAMONFS, "top", *args]) + "; echo status $?; exec sleep 1000"
        variables = {"LC_ALL": locale, "NO_COLOR": ""} | environment
        assignments = [word for name, value in variables.items() for word in ("-e", "%s=%s" % (name, value))]
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height), "-c", str(self.directory), *assignments,
                  "sh", "-c", command)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self):
        text = self.tmux("capture-pane", "-p")
        # Where the daemon serves differs from test to test.
        return re.sub(re.escape(str(self.directory)), "DIR", text).rstrip("\n").split("\n")

    def shows(self, text):
        try:
            wait_until(lambda: text in "\n".join(self.screen()), "for a text")
        except AssertionError:
            assert text in "\n".join(self.screen())

    def becomes(self, lines):
        """Waits for exactly these lines, blanks at their ends aside."""
        def same():
            return [line.rstrip() for line in self.screen()] == [line.rstrip() for line in lines]
        try:
            wait_until(same, "for a screen")
        except AssertionError:
            assert [line.rstrip() for line in self.screen()] == [line.rstrip() for line in lines]

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(directory):
    made = Terminal(directory)
    yield made
    made.close()


@pytest.fixture
def served(directory):
    mounted = Mount(directory, pattern=PATTERN)
    mounted.tree.set_up([1], [2])
    for kdamond in range(2):
        mounted.tree.command("on", kdamond)
    yield mounted
    mounted.close()



def test_golden_screens(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL, locale="C")
    spark = "@" * 29
    head = ["damonfs top: DIR/mnt, backend synthetic",
            "hot 10M warm 0 cold 72M  2 by service, sorted by hot",
            "   HOT  WARM  COLD  LAST MINUTE                    NAME"]
    foot = "h help  q quit  s sort  g group  Enter zoom  p pause  e export"
    rows = ["  8.0M     0   56M  %s  kdamonds/1" % spark, "  2.0M     0   16M  %s  kdamonds/0" % spark]
    terminal.becomes(head + rows + [""] * 4 + [foot])
    terminal.press("s", "s", "s")  # by name
    head[1] = "hot 10M warm 0 cold 72M  2 by service, sorted by name"
    terminal.becomes(head + rows[::-1] + [""] * 4 + [foot])
    terminal.press("g")
    terminal.becomes(["damonfs top: DIR/mnt, backend synthetic",
                      "hot 10M warm 0 cold 72M  2 by process, sorted by name", head[2],
                      rows[1].replace("kdamonds/0", "1"), rows[0].replace("kdamonds/1", "2"), "", "", "", "", foot])


def test_a_narrow_terminal_and_a_change_of_size(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL, width=20, height=8, locale="C")
    narrow = ["damonfs top: DIR/mnt"[:20], "hot 10M warm 0 cold", "   HOT  NAME", "  8.0M  kdamonds/1",
              "  2.0M  kdamonds/0", "", "", "h help  q quit  s so"]
    wait_until(lambda: terminal.screen()[2:5] == narrow[2:5], "for the rows")
    assert len(terminal.screen()[0]) <= 20 and [line.rstrip() for line in terminal.screen()][5:] == narrow[5:]
    terminal.resize(36, 6)
    wait_until(lambda: [line.rstrip() for line in terminal.screen()][2:4] ==
               ["   HOT  WARM  COLD  NAME", "  8.0M     0   56M  kdamonds/1"], "for more columns")
    terminal.resize(20, 2)
    terminal.shows("h help")
    terminal.resize(100, 30)
    terminal.shows("LAST MINUTE")


def test_utf8_and_colours(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL)
    terminal.shows("█" * 29)
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.tmux("capture-pane", "-p", "-e"))


@pytest.mark.parametrize("options, environment", [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_no_colours(terminal, served, options, environment):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL, *options, **environment)
    terminal.shows("kdamonds/1")
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", terminal.tmux("capture-pane", "-p", "-e"))


def test_zoom_and_back(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL, locale="C", width=40)
    terminal.shows("8.0M     0   56M")
    terminal.press("Enter")
    # The first eighth of the heap is hot.
    hot = re.compile(r"^     0s \.\.\. @@@.\.{20} \.\.\.$", re.MULTILINE)
    wait_until(lambda: hot.search("\n".join(terminal.screen())), "for a heat map")
    assert terminal.screen()[1] == "kdamonds/1" and "B 0x10000000-0x13e00000" in terminal.screen()[3]
    terminal.press("Escape")
    terminal.shows("HOT")


def test_pause_help_and_quit(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL)
    terminal.shows("8.0M     0   56M")
    terminal.press("p")
    terminal.shows("damonfs top PAUSED")
    served.tree.command("off", 1)
    terminal.press("h")
    terminal.shows("Up Down    choose a row")
    terminal.press("Escape")
    terminal.shows("LAST MINUTE")
    terminal.shows("kdamonds/1")  # as before the pause
    terminal.press("p")
    wait_until(lambda: "kdamonds/1" not in "\n".join(terminal.screen()), "for its row to go")
    terminal.press("q")
    terminal.shows("status 0")


def test_export(terminal, served, directory):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL)
    terminal.shows("8.0M     0   56M")
    terminal.press("e")
    terminal.shows("Written to damonfs-top-")
    path, = directory.glob("damonfs-top-*.tsv")
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert rows[0] == ["hot", "warm", "cold", "name"]
    assert rows[1][3] == "kdamonds/1" and sum(map(int, rows[1][:3])) == 64 << 20
    assert int(rows[1][0]) == pytest.approx(8 << 20, rel=0.05)
    assert path.stat().st_mode & 0o777 == 0o600


def test_of_a_daemon_of_its_own(terminal, directory):
    (directory / "pattern").write_text(PATTERN)
    terminal.start("--backend", "synthetic:%s" % (directory / "pattern"), "--interval", INTERVAL, "1", "2")
    terminal.shows("8.0M     0   56M")
    assert "2 by process" in "\n".join(terminal.screen())
    terminal.press("q")
    terminal.shows("status 0")


def test_a_signal_puts_the_terminal_back(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL)
    terminal.shows("kdamonds/1")
    shell = int(terminal.tmux("display-message", "-p", "#{pane_pid}"))
    top = int(subprocess.run(["ps", "-o", "pid=", "--ppid", str(shell)], text=True, capture_output=True,
                             check=True).stdout)
    os.kill(top, signal.SIGTERM)
    terminal.shows("status %d" % (128 + signal.SIGTERM))


def test_a_daemon_that_ends_is_told_of(terminal, served):
    terminal.start("--mount", str(served.path), "--interval", INTERVAL)
    terminal.shows("kdamonds/1")
    assert served.end() == 0
    terminal.shows("has gone")
    terminal.press("q")
    terminal.shows("status 0")


@pytest.mark.parametrize("args, status, reason", [
    ([], 2, "which process? Give a pid, --unit, --cgroup, --tree or --comm"),
    (["--mount", "/", "1"], 2, "either a daemon's mount or processes can be shown, not both"),
    (["1"], 1, "top needs a terminal; for pipes and files there is `damonfs watch`"),
])
def test_refusals(args, status, reason):
    done = subprocess.run([DAMONFS, "top", *args], stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stderr) == (status, "damonfs top: %s\n" % reason)


def test_a_terminal_that_is_not_known(terminal, served):
    terminal.start("--mount", str(served.path), term="nonsense")
    terminal.shows('cannot draw on a terminal of the kind "nonsense" (TERM)')
    terminal.shows("status 1")
