"""`make run`, `make test`, `make journey`, `make bench` that are stopped leave no process behind. Whole runs: long."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path

import pytest

from telemed import keeper
from tests.journey.processes import ROOT
from tests.test_keeper import SIGNALS, alive, assert_gone, until

STARTS_WITHIN_S = 240.0
# What each command runs, and how many processes show that it is in the middle of its work.
PROGRAMS = {
    "run": (b"app.py\0up", 6),
    "test": (b"-m\0pytest", 12),
    "journey": (b"app.py\0journey", 5),
    "bench": (b"-m\0bench", 2),
}
WORKER = b"exec(eval(sys.stdin.readline()))"
WORKS_FOR_S = {"run": 0.0, "test": 60.0, "journey": 3.0, "bench": 10.0}
QUICK = pytest.param("run", signal.SIGKILL, "make", id="run-9-make")
WAYS = [
    *product(PROGRAMS, SIGNALS, ("make", "program")),
    *product(["test"], SIGNALS, ("worker",)),
]  # fmt: skip


class Seen:
    """Everybody who ever ran below a make, also those who have left it since."""

    def __init__(self, make: int) -> None:
        self.make, self.pids = make, {make}

    def look(self) -> None:
        every = keeper._all()
        self.pids |= keeper._below({pid for pid in self.pids if pid in every}, every)

    def of(self, word: bytes) -> list[int]:
        return [pid for pid in sorted(self.pids) if keeper._says(pid, "cmdline", word)]


@contextmanager
def running(command: str, folder: Path) -> Iterator[Seen]:
    """Yield what runs below `make COMMAND` once it is in the middle of its work."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TELEMED_", "PYTEST", "KEPT"))}
    with (folder / "log").open("wb") as log:
        make = subprocess.Popen(
            ["make", command], cwd=ROOT, env=clean | {"TELEMED_DATA_DIR": str(folder / "data")}, stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    seen = Seen(make.pid)
    try:
        watch(seen, command, make, folder / "log")
        yield seen
    finally:
        with suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGKILL)
        make.wait()


def watch(seen: Seen, command: str, make: subprocess.Popen[bytes], log: Path) -> None:
    """Look who comes, until enough are there and have worked for a while."""
    word, enough = PROGRAMS[command]
    deadline, leave_at = time.monotonic() + STARTS_WITHIN_S, float("inf")
    while time.monotonic() < leave_at:
        assert make.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        seen.look()
        if leave_at == float("inf") and seen.of(word) and len(alive(list(seen.pids))) >= enough:
            leave_at = time.monotonic() + WORKS_FOR_S[command]
        time.sleep(0.05)


def stop(command: str, number: signal.Signals, target: str, folder: Path) -> None:
    with running(command, folder) as seen:
        words = {"program": PROGRAMS[command][0], "worker": WORKER}
        pid = seen.make if target == "make" else seen.of(words[target])[0]
        theirs = keeper._below({pid}, keeper._all()) if target == "worker" else set()
        os.kill(pid, number)
        if target == "worker":  # the run goes on without it, with another in its place
            assert_gone(sorted(theirs), 30)
            return
        until(lambda: not _left(seen), 60)


def _left(seen: Seen) -> list[int]:
    seen.look()
    return [pid for pid in alive(sorted(seen.pids)) if not keeper._is_keeper(pid)]


@pytest.mark.parametrize(("command", "number", "target"), [QUICK])
def test_a_stopped_demo_leaves_no_process_behind(
    command: str, number: signal.Signals, target: str, tmp_path: Path
) -> None:
    stop(command, number, target, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize(("command", "number", "target"), WAYS)
def test_a_stopped_command_leaves_no_process_behind(
    command: str, number: signal.Signals, target: str, tmp_path: Path
) -> None:
    stop(command, number, target, tmp_path)
