"""A file that only grows, a line at a time. What a kill left unfinished at its end was never written."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TAIL = 4096  # bytes; more than any of our lines


def lines(path: Path) -> list[str]:
    """Return the whole lines of a file, without their ends; none without a file."""
    return _whole(path.read_bytes()).decode(errors="replace").splitlines() if path.exists() else []


def last_line(path: Path) -> str | None:
    """Return the last whole line without reading all of them."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        found = _whole(file.read()).decode(errors="replace").splitlines()
    return found[-1] if found else None


@contextmanager
def growing(path: Path) -> Iterator[tuple[list[str], Callable[[str], None]]]:
    """Yield the lines so far and a function that appends one; alone on the file, and on the disk at the end.
    Only the owner may read it.
    """
    with path.open("a+b") as file:
        os.fchmod(file.fileno(), 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield _mended(file), lambda line: file.write(line.encode() + b"\n") and None
        file.flush()
        os.fsync(file.fileno())


def _mended(file: IO[bytes]) -> list[str]:
    file.seek(0)
    whole = _whole(file.read())
    file.truncate(len(whole))
    file.seek(0, os.SEEK_END)
    return whole.decode(errors="replace").splitlines()


def _whole(raw: bytes) -> bytes:
    return raw[: raw.rfind(b"\n") + 1]
