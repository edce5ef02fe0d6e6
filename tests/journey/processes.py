"""Real processes of the product on free ports and one data folder; each writes to a log file of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests import run_clock

ROOT = Path(__file__).parent.parent.parent
STOP_S = 8.0


class ProcessFailed(Exception):
    """A process ended, or did not get ready in time; the text has the end of its log."""


@dataclass
class Processes:
    """The processes of one story. `environment` begins clean of the caller's TELEMED settings."""

    data_dir: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: list[IO[bytes]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    code: Path = ROOT  # the program whose processes are started next

    def __post_init__(self) -> None:
        (self.data_dir / "logs").mkdir(parents=True)
        (self.data_dir / "tmp").mkdir()
        self.environment = run_clock.environment(
            TELEMED_DATA_DIR=str(self.data_dir), TELEMED_DEMO="1", TELEMED_HOST="127.0.0.1", TELEMED_PORT="0",
            TELEMED_RADIO="simulated", TMPDIR=str(self.data_dir / "tmp"), PYTHONUNBUFFERED="1",
            PYTHONDONTWRITEBYTECODE="1",
        )  # fmt: skip

    def start(self, name: str, *arguments: str) -> None:
        """Start `python ARGUMENTS` under `name`."""
        self.running[name] = self._popen(name, arguments)

    async def run(self, name: str, *arguments: str, limit_s: float = 60) -> str:
        """Run `python ARGUMENTS` to its end; return what it printed. Raises ProcessFailed."""
        process = self._popen(name, arguments)
        self.running[name] = process
        if await self._ended(process, limit_s) != 0:
            raise ProcessFailed(f"{name} ended with {process.poll()}: {self._end_of_log(name)}")
        return self._log(name).read_text(errors="replace")

    async def ready(self, name: str, folder: str, limit_s: float = 30) -> dict[str, Any]:
        """Return the facts of the process's run.json once it has written it. Raises ProcessFailed."""
        path, deadline_s = self.data_dir / folder / "run.json", time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            if self.running[name].poll() is not None:
                raise ProcessFailed(f"{name} ended while starting: {self._end_of_log(name)}")
            if path.exists():
                return dict(json.loads(path.read_text()))
            await asyncio.sleep(0.05)
        raise ProcessFailed(f"{name} did not get ready in {limit_s:.0f} s: {self._end_of_log(name)}")

    def stop(self) -> None:
        """End every process that still runs, the last started first; who does not leave in time is killed."""
        alive = [process for process in reversed(self.running.values()) if process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_S
        for process in alive:
            try:
                process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for log in self.logs:
            log.close()

    def pids(self) -> list[int]:
        """Return the process ids of all that was started."""
        return [process.pid for process in self.running.values()]

    def _popen(self, name: str, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        log = self._log(name).open("ab")
        self.logs.append(log)
        # A session of its own: Ctrl-C reaches the driver alone, which then stops all in order.
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self.code, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    async def _ended(self, process: subprocess.Popen[bytes], limit_s: float) -> int | None:
        deadline_s = time.monotonic() + limit_s
        while process.poll() is None and time.monotonic() < deadline_s:
            await asyncio.sleep(0.03)
        return process.poll()

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _end_of_log(self, name: str) -> str:
        return " | ".join(self._log(name).read_text(errors="replace").splitlines()[-6:])
