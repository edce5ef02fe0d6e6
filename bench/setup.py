"""From a fresh copy of the committed tree to the first page, with warm package caches."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.figure import Figure, against

ROOT = Path(__file__).parent.parent
LIMIT_S = 300


def figures() -> list[Figure]:
    """Return `setup_to_first_page_s`; the yardstick is a bare environment with the same packages."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", name], input=archive, check=True)
        bare = _timed(lambda: _bare(folder))
        whole = _timed(lambda: _first_page(folder))
    return [against("setup_to_first_page_s", "s", whole, bare, "under 60 s with a warm cache")]


def _timed(work: object) -> float:
    begun = time.monotonic()
    work()  # type: ignore[operator]
    return time.monotonic() - begun


def _bare(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder / "bare"], check=True)
    pip = [folder / "bare" / "bin" / "pip", "install", "-q", "--require-hashes", "-r", folder / "requirements.lock"]
    subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)


def _first_page(folder: Path) -> None:
    environment = {**os.environ, "TELEMED_DEMO": "1", "TELEMED_DATA_DIR": str(folder / "var")}
    subprocess.run([sys.executable, "tools/setup.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    command = [folder / ".venv" / "bin" / "python", "app.py", "up"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "telemed is running" in line:
                httpx.get(line.split()[-1] + "/sign-in", trust_env=False, timeout=LIMIT_S).raise_for_status()
                return
        raise RuntimeError("the demo did not start")
    finally:
        process.terminate()
        process.wait(30)
