"""Debian's coturn with the sample configuration, for tests: docs/coturn.conf with addresses and secret of the test."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemed.consultation import turn
from telemed.serve import free_port

SAMPLE = Path(__file__).parent.parent / "docs" / "coturn.conf"
SECRET = "the secret of coturn in a test"
STARTS_WITHIN_S = 20


class NoCoturn(Exception):
    """There is no coturn on this machine."""


@contextmanager
def coturn(folder: Path, address: str, *allowed: str) -> Iterator[str]:
    """Run coturn on `address`; yield its url. `allowed` opens the sample's deny lists for the test's own addresses."""
    program = shutil.which("turnserver")
    if program is None:
        raise NoCoturn("coturn is not installed: apt-get install coturn")
    port = free_port()
    given = {"YOUR_IPV4": address, "YOUR_SECRET": SECRET, "YOUR_DOMAIN": "test.invalid", "=3478": f"={port}"}
    text = SAMPLE.read_text()
    for word, value in given.items():
        text = text.replace(word, value)
    path = folder / "coturn.conf"
    path.write_text("\n".join([text, *(f"allowed-peer-ip={one}" for one in allowed), f"pidfile={folder}/pid", ""]))
    with (folder / "coturn.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(path)], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, f"turn:{address}:{port}", folder)
        yield f"turn:{address}:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "coturn.log").read_text(errors="replace")[-2000:]
        try:
            turn.ask_for_a_relay(url, "nobody", "nothing")
        except turn.TurnSilent:
            continue
        return
    raise AssertionError("coturn did not answer in time")
