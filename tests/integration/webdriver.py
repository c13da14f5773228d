"""A browser for tests: Chromium without a window, driven by chromedriver (https://www.w3.org/TR/webdriver2/)."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import urllib.request

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--force-color-profile=srgb", "--force-device-scale-factor=1", "--window-size=1240,1000"]


def browser_is_there():
    return shutil.which("chromedriver") is not None and shutil.which("chromium") is not None


class Browser:
    """One session, with one page."""

    def __init__(self, port):
        self.base = "http://127.0.0.1:%d/session" % port
        options = {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
                   "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": ARGUMENTS}}
        made = self.call("POST", "", {"capabilities": {"alwaysMatch": options}})
        self.base += "/" + made["sessionId"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self.call("POST", "/url", {"url": "file://%s" % path})

    def run(self, script, *arguments):
        """What a function with this body returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def point(self, x, y, *buttons):
        """Moves the mouse to a point of the window, and presses and lets go of a button there if one is given."""
        actions = [{"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y)}]
        for button in buttons:
            actions += [{"type": "pointerDown", "button": button}, {"type": "pointerUp", "button": button}]
        self.act({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions})

    def drag(self, start, end):
        move = [{"type": "pointerMove", "duration": 0, "x": int(x), "y": int(y)} for x, y in (start, end)]
        self.act({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
                  "actions": [move[0], {"type": "pointerDown", "button": 0}, move[1], {"type": "pointerUp", "button": 0}]})

    def scroll(self, x, y, amount):
        self.act({"type": "wheel", "id": "wheel",
                  "actions": [{"type": "scroll", "x": int(x), "y": int(y), "deltaX": 0, "deltaY": amount, "duration": 0}]})

    def press(self, key):
        self.act({"type": "key", "id": "keys", "actions": [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]})

    def act(self, *sources):
        self.call("POST", "/actions", {"actions": list(sources)})

    def messages(self):
        """What the console says: errors, warnings, and pages that were blocked."""
        return [each["message"] for each in self.call("POST", "/se/log", {"type": "browser"})]

    def picture(self):
        """A picture of the window, as PNG."""
        return base64.b64decode(self.call("GET", "/screenshot"))

    def close(self):
        self.call("DELETE", "")


@contextlib.contextmanager
def browser():
    with tempfile.TemporaryDirectory(prefix="damonfs-browser.") as home:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": home, "TZ": "UTC"})
        try:
            port = None
            for line in driver.stdout:
                found = re.search(r"started successfully on port (\d+)", line)
                if found:
                    port = int(found.group(1))
                    break
            assert port, "chromedriver has ended with status %s" % driver.poll()
            session = Browser(port)
            try:
                yield session
            finally:
                session.close()
        finally:
            driver.terminate()
            driver.wait(20)
