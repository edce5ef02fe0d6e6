"""End what a process started as soon as that process ends: by itself, by Ctrl-C, SIGTERM or SIGKILL.

`keep()` starts a small second process, the keeper, which outlives its owner by a moment. Twice a second it looks who
descends from the owner, so it knows them also when they have lost their parent, taken a session of their own or
written over their environment, as databases and browsers do. What was started since its last look carries a mark in
its environment. When the owner has ended, all of these are asked to end (SIGTERM), and made to a moment later.

Run by `make`, the owner also ends with that: make passes SIGTERM on, but neither SIGKILL nor a Ctrl-C for itself alone.

The keeper is this file, run as a program. It reads /proc; where there is none, it ends at once and changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

MARK = "KEPT_BY"
PROC = Path("/proc")
LOOK_EVERY_S = 0.5
ASK_S = 1.0  # how long who was asked to end may take
OWNER_STOPS_S = 12.0  # an owner that stops its processes in order takes its time
GIVE_UP_S = 15.0  # a process that even SIGKILL does not end waits for a disk; it will go
SHELLS = ("sh", "bash", "dash")


class _Own:
    """The line to the keeper of this process."""

    line: int | None = None
    pid = 0


def keep() -> None:
    """Let everything that this process starts from now on end with it. A second call changes nothing."""
    if _Own.pid == os.getpid() or not (PROC / "self" / "stat").exists():
        return
    token = secrets.token_hex(8)
    clean = {name: value for name, value in os.environ.items() if name != MARK}
    read, write = os.pipe()
    command = [sys.executable, "-I", "-S", __file__, token, str(os.getpid()), str(_make_above() or "")]
    subprocess.Popen(
        command, stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean, cwd="/",
        start_new_session=True,
    )  # fmt: skip
    os.close(read)
    os.environ[MARK] = " ".join(filter(None, (os.environ.get(MARK), token)))
    _Own.line, _Own.pid = write, os.getpid()


def at_end(*command: object) -> None:
    """Let the keeper run a command when everything has ended, for what is no process: namespaces, folders."""
    if _Own.line is not None and _Own.pid == os.getpid():
        os.write(_Own.line, (json.dumps([str(word) for word in command]) + "\n").encode())


def _make_above() -> int | None:
    """Return the process id of the make that runs this process, if one does."""
    pid = os.getppid()
    for _ in range(2):  # a recipe of several words may have a shell between
        name = _name(pid)
        if name in ("make", "gmake"):
            return pid
        found = _stat(pid)
        if name not in SHELLS or found is None:
            return None
        pid = found.parent
    return None


# --- what /proc says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Process:
    """One process; its number alone may belong to another one later."""

    pid: int
    began: int
    parent: int = field(compare=False)
    is_over: bool = field(compare=False)  # only its parent has not looked yet


def _stat(pid: int) -> _Process | None:
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return _Process(pid, int(fields[19]), int(fields[1]), fields[0] in (b"Z", b"X"))


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_text().strip()
    return ""


def _all() -> dict[int, _Process]:
    found = (_stat(int(entry)) for entry in os.listdir(PROC) if entry.isdecimal())
    return {one.pid: one for one in found if one is not None and not one.is_over}


def _below(pids: set[int], every: dict[int, _Process]) -> set[int]:
    """Return the pids and all who descend from them."""
    children: dict[int, list[int]] = {}
    for one in every.values():
        children.setdefault(one.parent, []).append(one.pid)
    found, new = set(pids), list(pids)
    while new:
        new = [child for pid in new for child in children.get(pid, []) if child not in found]
        found.update(new)
    return found


def _says(pid: int, file: str, word: bytes) -> bool:
    with contextlib.suppress(OSError):
        return word in (PROC / str(pid) / file).read_bytes()
    return False


def _was_interrupted(pid: int) -> bool:
    """Tell whether make was told to stop: it then waits for its recipe, with that signal blocked, and tells it nothing."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("SigBlk:"):
                return bool(int(line.split()[1], 16) & 1 << (signal.SIGINT - 1))
    return False


# --- the keeper ---------------------------------------------------------------------------------------------------


class _Keeper:
    """Watches one owner, then ends what it left."""

    def __init__(self, token: str, owner: int, make: int | None) -> None:
        self.token, self.owner = token.encode(), owner
        self.make = _stat(make) if make else None
        self.known: set[_Process] = set()
        self.commands: list[list[str]] = []
        self._rest = b""
        self._kill_owner_at: float | None = None
        self._owner_is_told = False

    def run(self) -> None:
        """Watch until the owner has ended; then end everything."""
        while os.getppid() == self.owner:
            self._listen(LOOK_EVERY_S)
            self._look()
            self._end_owner_with_make()
        self._listen(0)
        self._sweep()
        for command in self.commands:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command, stdin=subprocess.DEVNULL, check=False, timeout=10)

    def _listen(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while select.select([0], [], [], max(0.0, deadline - time.monotonic()))[0]:
            heard = os.read(0, 65_536)
            if not heard:  # the owner has ended, or closed every file it had
                time.sleep(max(0.0, min(0.05, deadline - time.monotonic())))
                return
            *lines, self._rest = (self._rest + heard).split(b"\n")
            self.commands += [json.loads(line) for line in lines]

    def _look(self) -> None:
        every = _all()
        found = {every[pid] for pid in _below({self.owner}, every) - {self.owner, os.getpid()} if pid in every}
        self.known = {one for one in self.known if every.get(one.pid) == one} | found

    def _end_owner_with_make(self) -> None:
        if self.make is None:
            return
        if self._kill_owner_at is not None:
            if time.monotonic() > self._kill_owner_at:
                _send(self.owner, signal.SIGKILL)
        elif (now := _stat(self.make.pid)) is None or now != self.make or now.is_over:
            self._kill_owner_at = time.monotonic() + OWNER_STOPS_S
            _send(self.owner, signal.SIGTERM)
        elif not self._owner_is_told and _was_interrupted(self.make.pid):
            self._owner_is_told = True
            _send(self.owner, signal.SIGINT)

    def _sweep(self) -> None:
        begun, asked = time.monotonic(), set()
        while (left := self._left()) and time.monotonic() - begun < GIVE_UP_S:
            is_patient = time.monotonic() - begun < ASK_S
            for one in left:
                if not is_patient:
                    _send(one.pid, signal.SIGKILL)
                elif one not in asked:
                    _send(one.pid, signal.SIGTERM)
            asked |= left
            time.sleep(0.05)

    def _left(self) -> set[_Process]:
        """Return who is still there: whom we knew, who carries the mark, and who descends from these."""
        every = _all()
        first = {one.pid for one in self.known if every.get(one.pid) == one}
        first |= {pid for pid in every if _says(pid, "environ", self.token)}
        found = {every[pid] for pid in _below(first, every) if pid in every and pid != os.getpid()}
        found = {one for one in found if not _is_keeper(one.pid)}  # they end by themselves, after their own owners
        self.known |= found
        return found


def _is_keeper(pid: int) -> bool:
    return _says(pid, "cmdline", b"\0-S\0" + __file__.encode() + b"\0")


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def main(token: str, owner: str, make: str) -> None:
    """Be the keeper of `owner`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the owner; we go after it
        signal.signal(number, signal.SIG_IGN)
    _Keeper(token, int(owner), int(make) if make else None).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
