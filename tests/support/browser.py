"""A real browser without a window and without a network, driven over a pair of pipes (Chromium's DevTools protocol)."""

import base64
import fcntl
import json
import os
import select
import subprocess
import sys
import time

_SECONDS = 300
#: nothing that the browser does by itself, no network at all, and no sandbox: tests may run as root, on pages of our own
_ARGV = (
    "chromium --headless --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync --disable-default-apps --disable-extensions"
    " --proxy-server=127.0.0.1:9 --proxy-bypass-list=<-loopback>;127.0.0.1"
).split()
#: the browser hears on 3 and answers on 4; the shell that starts it knows no numbers of two digits
_AT_3_AND_4 = "import os, sys; [os.dup2(int(sys.argv[n + 1]), n + 3) for n in (0, 1)]; os.execvp(sys.argv[3], sys.argv[3:])"


class Browser:
    """One browser with one page.

    :param Path directory: for its profile
    """

    def __init__(self, directory):
        (hears, self._tell), (self._hear, answers) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (hears, answers)]
        self._log = open(directory / "browser.log", "wb")
        argv = [
            sys.executable,
            "-c",
            _AT_3_AND_4,
            *map(str, high),
            *_ARGV,
            f"--user-data-dir={directory / 'profile'}",
            "about:blank",
        ]
        self._child = subprocess.Popen(argv, pass_fds=high, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        for descriptor in (hears, answers, *high):
            os.close(descriptor)
        self._number, self._left, self._session, self.events = 0, b"", None, []
        self._session = self.ask("Target.attachToTarget", targetId=self._page(), flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Page.setLifecycleEventsEnabled", enabled=True)

    def _page(self):
        """The id of its page, which it opens some time after it has begun to answer."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            for target in self.ask("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    return target["targetId"]
            time.sleep(0.05)
        raise AssertionError("the browser opens no page; see browser.log in the test's directory")

    def ask(self, method, **parameters):
        """Call a method and wait for its answer; what happens meanwhile is kept in ``events``."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            call["sessionId"] = self._session
        os.write(self._tell, json.dumps(call).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def _next(self):
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._hear], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self._hear, 1 << 20) if ready else b""
            assert piece, "the browser ended, or says nothing; see browser.log in the test's directory"
            self._left += piece
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def open(self, path, width=1400, height=900, colours="light", scale=1):
        """Show a page in a window of this size; returns once it is loaded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": colours}])
        self.events = []
        document = self.ask("Page.navigate", url=path.as_uri())["loaderId"]
        while not any(self._is_loaded(event, document) for event in self.events):
            self.events.append(self._next())

    @staticmethod
    def _is_loaded(event, document):
        """Whether this very document is loaded: the event may be of the page before."""
        if event.get("method") != "Page.lifecycleEvent":
            return False
        return event["params"]["name"] == "load" and event["params"]["loaderId"] == document

    def value(self, expression):
        """The value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def complaints(self):
        """What the console says since the page was opened."""
        said = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
        return [event["params"] for event in self.events if event.get("method") in said]

    def requests(self):
        """The addresses that were asked for since the page was opened."""
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def picture(self, path):
        """Write what the whole page looks like as a PNG."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pages_on_paper(self):
        """The page as PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=False)["data"])

    def close(self):
        """End it and wait for that."""
        self._session = None
        try:
            self.ask("Browser.close")
            self._child.wait(20)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self._child.kill()
            self._child.wait()
        os.close(self._tell), os.close(self._hear), self._log.close()
