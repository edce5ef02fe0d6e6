"""Commands for the running server: one line of JSON there, one back, over a Unix socket in its data folder.

On SQLite one process writes, so a command that writes is done by the server while it runs. Only the user whose server it
is, and root, can reach the socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from telemed import errors
from telemed.errors import Invalid, StartRefused, TelemedError

NAME = "commands.sock"
LINE_MAX = 65_536
READ_S, ANSWER_S = 5.0, 120.0
KINDS = {kind.__name__: kind for kind in (Invalid, StartRefused, errors.Conflict, errors.NotFound, errors.Forbidden)}
Run = Callable[[str, dict[str, str]], list[str]]
log = structlog.get_logger()


class NobodyListens(Exception):
    """There is no server at this socket now."""


class CommandSocket:
    """Listens in `folder` and hands each command to `run`, one after the other."""

    def __init__(self, folder: Path, run: Run) -> None:
        self._folder, self._run = folder, run
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="commands", daemon=True)

    def start(self) -> None:
        """Listen in a background thread. The caller holds the data folder's lock: a socket left there is a dead one's."""
        (self._folder / NAME).unlink(missing_ok=True)
        os.fchmod(self._listener.fileno(), 0o600)  # before bind: the file never exists with other rights
        with _short(self._folder) as folder:
            self._listener.bind(f"{folder}/{NAME}")
        self._listener.listen(8)
        self._thread.start()

    def stop(self) -> None:
        """Finish the command in hand and leave."""
        (self._folder / NAME).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        if self._thread.is_alive():
            self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller:
                try:
                    self._answer(caller)
                except (OSError, ValueError, KeyError, TypeError) as error:  # a broken caller must not end the thread
                    log.warning("command.unreadable", error=type(error).__name__)

    def _answer(self, caller: socket.socket) -> None:
        if _user_of(caller) not in (0, os.geteuid()):
            return
        caller.settimeout(READ_S)
        asked = _read_line(caller)
        caller.sendall(_line(self._outcome(str(asked["command"]), dict(asked["words"]))))

    def _outcome(self, command: str, words: dict[str, str]) -> dict[str, Any]:
        try:
            return {"lines": self._run(command, words)}
        except TelemedError as error:
            fields = error.fields if isinstance(error, Invalid) else None
            # A StartRefused carries no code but the sentence itself.
            code = str(error) if isinstance(error, StartRefused) else error.code
            return {"error": type(error).__name__, "code": code, "fields": fields}
        except Exception as error:  # the edge of the server: the operator is told, the words of the error stay here
            log.error("command.failed", command=command, error=type(error).__name__)
            return {"error": "unexpected"}


def send(folder: Path, command: str, words: dict[str, str]) -> list[str]:
    """Have the server of `folder` run a command; return its lines, or raise what it raised there.

    Raises NobodyListens when no server takes commands, StartRefused when it ended before it answered.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.settimeout(ANSWER_S)
        try:
            with _short(folder) as short:
                server.connect(f"{short}/{NAME}")
        except OSError as failed:
            raise NobodyListens from failed
        try:
            server.sendall(_line({"command": command, "words": words}))
            answer = _read_line(server)
        except (OSError, ValueError):
            raise StartRefused("The server ended before it answered: look what was done before you repeat it.") from None
    return _lines_of(answer)


def _lines_of(answer: dict[str, Any]) -> list[str]:
    if "lines" in answer:
        return [str(line) for line in answer["lines"]]
    kind = KINDS.get(answer["error"])
    if kind is None:
        raise StartRefused("The server could not do it; its log says why.")
    error = kind(answer["code"])
    if isinstance(error, Invalid):
        error.fields = dict(answer["fields"] or {})
    raise error


def _user_of(caller: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):  # macOS: the file's rights stand alone
        return os.geteuid()
    raw = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Yield a short name of the folder: a socket's path has at most 107 bytes, a data folder may be deeper."""
    if not Path("/proc/self/fd").is_dir():
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _read_line(connection: socket.socket) -> dict[str, Any]:
    read = b""
    while not read.endswith(b"\n"):
        piece = connection.recv(4096)
        if not piece or len(read) > LINE_MAX:
            raise ValueError("no whole line came")
        read += piece
    return dict(json.loads(read))
