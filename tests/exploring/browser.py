"""A headless Chromium that tests speak to over a pipe, by its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess

BASH = shutil.which("bash")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)


class Browser:
    """One page of one browser, without a network."""

    def __init__(self, folder):
        to_browser, self.asks = os.pipe()
        self.answers, from_browser = os.pipe()
        command = [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
            f"--user-data-dir={folder}",
            "about:blank",
        ]
        # the browser reads from descriptor 3 and writes to 4
        shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self.process = subprocess.Popen(
            [BASH, "-c", shell, "browser", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.rest = b""
        self.last = 0
        self.session = None
        self.console = []
        (target,) = [
            one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page"
        ]
        attached = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.asks)
        os.close(self.answers)

    def ask(self, method, **parameters):
        """Return the result of a command; keep complaints of the page that come meanwhile."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.asks, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self.last:
                assert "error" not in found, found
                return found["result"]

    def _next(self):
        while b"\0" not in self.rest:
            read = os.read(self.answers, 1 << 16)
            assert read, "the browser has gone"
            self.rest += read
        text, _, self.rest = self.rest.partition(b"\0")
        found = json.loads(text)
        if found.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(found["params"])
        if found.get("method") == "Runtime.consoleAPICalled":
            self.console.append(found["params"])
        self.seen = found.get("method")
        return found

    def open(self, address, *, width=1280, height=900, scheme="light"):
        """Open an address in a window of some size, and wait until it is loaded."""
        self.console = []
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=address)
        self.run(
            "new Promise((done) => document.readyState === 'complete' ? done()"
            " : addEventListener('load', () => done()))"
        )

    def run(self, script):
        """Return the value of an expression, awaited if it is a promise."""
        found = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def settle(self):
        """Wait for two frames, so that changes are drawn."""
        self.run(
            "new Promise((done) =>"
            " requestAnimationFrame(() => requestAnimationFrame(() => done())))"
        )

    def picture(self, path):
        """Write a screenshot of the whole page."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
