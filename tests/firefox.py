"""Firefox as it is installed, led by WebDriver BiDi: https://w3c.github.io/webdriver-bidi/. Playwright leads only Firefoxes
that it built itself or that are newer than a distribution's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websocket import WebSocket, create_connection

STARTS_WITHIN_S = 60
ANSWERS_WITHIN_S = 30
LOOK_EVERY_S = 0.1
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
}


# As shipped, a page that has not been allowed the camera gives names in place of its addresses.
SHOWS_ADDRESSES = {"media.peerconnection.ice.obfuscate_host_addresses": False}


class Firefox:
    """One window with a fake camera and microphone."""

    def __init__(self, line: WebSocket) -> None:
        self._line, self._number = line, 0
        self._do("session.new", capabilities={})
        self._window = self._do("browsingContext.getTree")["contexts"][0]["context"]

    def goto(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        self._do("browsingContext.navigate", context=self._window, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """Return what JSON can hold of an expression, as if a person had just clicked."""
        text = f"(async () => JSON.stringify(await ({expression}) ?? null))()"
        answer = self._do(
            "script.evaluate", expression=text, target={"context": self._window}, awaitPromise=True, userActivation=True
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def until(self, expression: str, limit_s: float = ANSWERS_WITHIN_S) -> Any:
        """Return the expression's value as soon as it is true."""
        deadline = time.monotonic() + limit_s
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"this did not happen within {limit_s} s: {expression}"
            time.sleep(LOOK_EVERY_S)
        return found

    def click(self, selector: str) -> None:
        """Click the first element of this selector as soon as it is there."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{found}")
        self.evaluate(f"{found}.click()")

    def cookie(self, url: str, name: str, value: str) -> None:
        """Keep a cookie for this address."""
        host = urlsplit(url).hostname
        held = {"name": name, "value": {"type": "string", "value": value}, "domain": host, "path": "/"}
        self._do("storage.setCookie", cookie=held)

    def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._line.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self._line.recv())).get("id") != self._number:
            pass
        assert answer["type"] == "success", answer["message"]
        return dict(answer["result"])


@contextmanager
def firefox_or_skip(profile: Path, *, hides_addresses: bool = False) -> Iterator[Firefox]:
    """Run Firefox with a profile of its own; skip the test where none is installed."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("Firefox is not installed: apt-get install firefox-esr")
    profile.mkdir(exist_ok=True)
    preferences = PREFERENCES if hides_addresses else PREFERENCES | SHOWS_ADDRESSES
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        line = create_connection(_address(process, profile), timeout=ANSWERS_WITHIN_S, suppress_origin=True)
        yield Firefox(line)
        line.close()
    finally:
        process.terminate()
        process.wait(20)


def _address(process: subprocess.Popen[bytes], profile: Path) -> str:
    noted, deadline = profile / "WebDriverBiDiServer.json", time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (profile / "log").read_text(errors="replace")[-2000:]
        try:
            server = json.loads(noted.read_text())
            return f"ws://{server['ws_host']}:{server['ws_port']}/session"
        except (OSError, ValueError):
            time.sleep(LOOK_EVERY_S)
    raise AssertionError("Firefox did not start in time")
