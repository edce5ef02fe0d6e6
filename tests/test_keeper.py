"""A run that is stopped leaves no process behind: Ctrl-C, SIGTERM, SIGKILL, each to make, to pytest, to one worker.

Here on a small run of its own, in which each test starts one of every kind of process that a real run has; the whole
runs, `make test`, `make run`, `make journey`, `make bench`, are stopped in the long form.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from telemed import keeper
from tests.journey.processes import ROOT

GONE_WITHIN_S = 20.0
STARTS_WITHIN_S = 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
WAYS = tuple(product(SIGNALS, ("make", "pytest", "worker")))
MAKEFILE = """
test:
\t@true
\t{python} -m pytest -n 2 -q -p no:cacheprovider --rootdir {folder} {folder}
"""
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.stopping import pytest_configure
"""
# Each process notes itself as it is started, so that nothing depends on how it would be found.
TEST = """
import json, os, subprocess, sys, time
import pytest

SLEEP = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
# Loses its parent and its session as a daemon does, and says who it is then.
DAEMON = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\n" \\
         "print(os.getpid(), flush=True); os.close(1); time.sleep(600)"

@pytest.mark.parametrize("number", [1, 2])
def test_that_starts_things(number):
    own = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    deaf = subprocess.Popen([sys.executable, "-c", DEAF], start_new_session=True)
    daemon = int(subprocess.run([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, check=True).stdout)
    bare = subprocess.Popen([sys.executable, "-c", SLEEP], env={{}}, start_new_session=True)
    pids = [own.pid, deaf.pid, daemon, bare.pid]
    time.sleep({looked_s})
    note = {{"worker": os.getpid(), "pytest": os.getppid(), "pids": pids}}
    with open({folder!r} + f"/.{{number}}", "w") as file:
        json.dump(note, file)
    os.rename({folder!r} + f"/.{{number}}", {folder!r} + f"/{{number}}.json")
    time.sleep(600)
"""


@dataclass(frozen=True)
class Run:
    """A run in the middle of its tests."""

    make: subprocess.Popen[bytes]
    pytest: int
    workers: dict[int, list[int]]  # and what each has started

    def pid_of(self, target: str) -> int:
        return {"make": self.make.pid, "pytest": self.pytest, "worker": min(self.workers)}[target]

    def everybody(self) -> list[int]:
        started = [pid for pids in self.workers.values() for pid in pids]
        return [self.make.pid, self.pytest, *self.workers, *started]


Runs = dict[tuple[signal.Signals, str], Run]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A run for each way to be stopped, all of them started, and then stopped, side by side."""
    with ExitStack() as stack:
        folders = {way: tmp_path_factory.mktemp("run") for way in WAYS}
        makes = {way: stack.enter_context(started(folder)) for way, folder in folders.items()}
        runs = {way: read_run(makes[way], folders[way]) for way in WAYS}
        for run in runs.values():
            assert len(alive(run.everybody())) == 12
        for number, target in WAYS:
            os.kill(runs[number, target].pid_of(target), number)
        yield runs


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the make of a small run in `folder`."""
    facts = {"python": sys.executable, "folder": str(folder), "root": str(ROOT), "looked_s": 2 * keeper.LOOK_EVERY_S}
    for name, text in {"Makefile": MAKEFILE, "conftest.py": CONFTEST, "test_small.py": TEST}.items():
        (folder / name).write_text(text.format(**facts))
    make = subprocess.Popen(
        ["make", "-C", str(folder), "test"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield make
    finally:
        with suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGKILL)
        make.wait()


def read_run(make: subprocess.Popen[bytes], folder: Path) -> Run:
    """Return the run as soon as all its processes are there."""
    notes = [folder / "1.json", folder / "2.json"]
    until(lambda: all(note.exists() for note in notes), STARTS_WITHIN_S)
    told = [json.loads(note.read_text()) for note in notes]
    return Run(make, told[0]["pytest"], {one["worker"]: one["pids"] for one in told})


def until(holds: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pids: list[int]) -> list[int]:
    """Return those that run; one whose end only nobody has asked for yet does not."""
    found = ((pid, keeper._stat(pid)) for pid in pids)
    return [pid for pid, one in found if one is not None and not one.is_over]


def assert_gone(pids: list[int], limit_s: float = GONE_WITHIN_S) -> None:
    deadline = time.monotonic() + limit_s
    while left := alive(pids):
        assert time.monotonic() < deadline, {pid: (Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in left}
        time.sleep(0.05)


@pytest.mark.parametrize("target", ["make", "pytest"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_run_leaves_no_process_behind(runs: Runs, number: signal.Signals, target: str) -> None:
    assert_gone(runs[number, target].everybody())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_worker_leaves_no_process_behind_and_takes_none_of_another(
    runs: Runs, number: signal.Signals
) -> None:
    run = runs[number, "worker"]
    worker = run.pid_of("worker")
    others = [pid for one, pids in run.workers.items() if one != worker for pid in pids]
    assert_gone([worker, *run.workers[worker]])

    assert alive(others) == others
