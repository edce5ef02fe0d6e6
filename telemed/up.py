"""Start everything of a demo in the foreground under one Ctrl-C: server (with media), simulated meters, gateway.

Migrating and seeding happen here too, in this process: each Python that starts costs more than either takes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from telemed.admin import join_code_for_demo, migrate
from telemed.bootstrap import ROOT
from telemed.demo import seed
from telemed.errors import StartRefused
from telemed.keeper import keep
from telemed.settings import Settings

READY_S = 60.0
STOP_S = 8.0


@dataclass
class Started:
    """A process of ours and the file by which it says that it is ready."""

    name: str
    process: subprocess.Popen[bytes]
    at: float


class Together:
    """A set of processes that are started one after another and stopped together, last first."""

    def __init__(self, environment: dict[str, str], logs: Path) -> None:
        self.environment, self.logs = environment, logs
        self.started: list[Started] = []

    def start(self, name: str, *arguments: str) -> None:
        """Start `python ARGUMENTS` in a session of its own, so that Ctrl-C reaches only us."""
        self.logs.mkdir(parents=True, exist_ok=True)
        began = time.time()
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=self.environment, start_new_session=True,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.started.append(Started(name, process, began))

    def wait_for(self, path: Path, pid_of: str) -> dict[str, object]:
        """Return the run file's facts once the process named `pid_of` has written it. Raises StartRefused."""
        started = next(item for item in self.started if item.name == pid_of)
        deadline, since = time.monotonic() + READY_S, started.at - 0.01
        while time.monotonic() < deadline:
            if started.process.poll() is not None:
                raise StartRefused(f"The {pid_of} stopped while starting: {self.last_words(pid_of)}")
            facts = _read(path)
            if facts and path.stat().st_mtime >= since:  # a killed process leaves an old file behind
                return facts
            time.sleep(0.05)
        raise StartRefused(f"The {pid_of} did not get ready within {READY_S:.0f} s.")

    def last_words(self, name: str) -> str:
        """Return the last line that a process wrote, and where the rest stands."""
        path = self.logs / f"{name}.log"
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return f"{lines[-1] if lines else 'it said nothing'} (the rest stands in {path})"

    def run(self, *arguments: str) -> int:
        """Run `python ARGUMENTS` to its end and return its exit code."""
        return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=self.environment, check=False).returncode

    def first_ended(self) -> Started | None:
        """Return a process that ended by itself, or None."""
        return next((item for item in self.started if item.process.poll() is not None), None)

    def stop(self) -> None:
        """Stop all, last started first; who does not leave in time is killed."""
        for item in reversed(self.started):
            if item.process.poll() is None:
                item.process.send_signal(signal.SIGTERM)
                try:
                    item.process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    os.killpg(item.process.pid, signal.SIGKILL)
                    item.process.wait()


def _read(path: Path) -> dict[str, object]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def tell(sentence: str) -> None:
    """Print a line at once, also into a pipe or a log file: who waits for the address must see it."""
    print(sentence, flush=True)


def up(settings: Settings, *, say: Callable[[str], None] = tell) -> int:
    """Run the demo until Ctrl-C, or until one of its processes ends by itself. Return the exit code."""
    if not settings.demo:
        raise StartRefused("`up` runs the demo; set TELEMED_DEMO=1, or start `serve` for a real deployment.")
    environment = {**os.environ, "TELEMED_DATA_DIR": str(settings.data_dir), "TELEMED_RADIO": "simulated"}
    together = Together(environment, settings.data_dir / "log")
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell may have told us to ignore Ctrl-C; we do not
        signal.signal(number, _interrupt)
    keep()
    try:
        migrate(settings)
        seed(settings)
        url = start_all(settings, together, say)
        say(welcome(url, together.logs))
        return _watch(together, say)
    except KeyboardInterrupt:
        say("\nStopping ...")
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        together.stop()
        say("Stopped.")


def start_all(settings: Settings, together: Together, say: Callable[[str], None]) -> str:
    """Start server, meters and gateway; return the server's address."""
    code = None if (settings.data_dir / "gateway" / "identity.json").exists() else join_code_for_demo(settings)
    say("Starting server, media and simulated meters ...")
    together.start("server", "app.py", "serve")
    together.start("meters", "-m", "devices", "simulate")
    url = str(together.wait_for(settings.server_dir / "run.json", "server")["url"])
    together.environment["TELEMED_SERVER_URL"] = url
    together.wait_for(settings.data_dir / "meters" / "run.json", "meters")
    if code is not None and together.run("-m", "devices", "join", url, code) != 0:
        raise StartRefused("The gateway could not join; its message stands above.")
    say("Starting the branch gateway ...")
    together.start("gateway", "-m", "devices", "run")
    together.wait_for(settings.data_dir / "gateway" / "run.json", "gateway")
    return url


def _watch(together: Together, say: Callable[[str], None]) -> int:
    while (ended := together.first_ended()) is None:
        time.sleep(0.3)
    say(f"The {ended.name} ended by itself: {together.last_words(ended.name)}. Stopping the rest.")
    return 1


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def welcome(url: str, logs: Path) -> str:
    """Return what a newcomer should try first."""
    return f"""
telemed is running:  {url}

One click signs you in as any role of the demo. The whole story, click by click, stands in README.md under
"From clone to a delivered parcel in five minutes"; `make journey` plays it by itself.

What the processes say stands in {logs}. Ctrl-C stops everything.
"""
