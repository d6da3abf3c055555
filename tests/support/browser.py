"""A real browser, which is told what to do over the W3C's WebDriver protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from typing import Any, Self
from urllib.request import Request, urlopen

PATIENCE = 60.0
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1000,800",
)
_BEGUN = "started successfully on port "


class Browser:
    """Chromium, without a window. It ends with its driver."""

    def __init__(self) -> None:
        assert DRIVER is not None
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._watchdog = threading.Timer(2 * PATIENCE, self._driver.kill)

    def __enter__(self) -> Self:
        self._watchdog.start()
        assert self._driver.stdout is not None
        line = next(line for line in self._driver.stdout if _BEGUN in line)
        port = line.partition(_BEGUN)[2].strip().rstrip(".")
        self._url = f"http://127.0.0.1:{port}/session"
        wanted = {
            "goog:chromeOptions": {"binary": CHROMIUM, "args": _ARGUMENTS},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/{session['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        with self._driver:
            try:
                self._call("DELETE", "")
            finally:
                self._watchdog.cancel()
                self._driver.kill()

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """Run a script in the page, and return what it returns, or what its promise comes to."""
        return self._call("POST", "/execute/sync", {"script": script, "args": args})

    def said(self) -> list[str]:
        """Return what the console has been told since this was asked."""
        return [each["message"] for each in self._logged("browser")]

    def fetched(self) -> list[str]:
        """Return the addresses that were asked for since this was asked."""
        messages = [json.loads(each["message"])["message"] for each in self._logged("performance")]
        sent = [each for each in messages if each["method"] == "Network.requestWillBeSent"]
        return [each["params"]["request"]["url"] for each in sent]

    def _logged(self, kind: str) -> list[dict[str, Any]]:
        return self._call("POST", "/se/log", {"type": kind})

    def _call(self, method: str, path: str, document: object = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        request = Request(self._url + path, data, method=method)  # noqa: S310  # of this machine
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return json.load(answer)["value"]
