"""run.json: which process works on a folder, and where it can be reached."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from devices.identity import write_whole


@contextlib.contextmanager
def run_file(folder: Path, **facts: object) -> Iterator[None]:
    """Say in `folder` that this process runs, as long as the block does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    write_whole(path, json.dumps({"pid": os.getpid(), **facts}))
    try:
        yield
    finally:
        if _is_ours(path):
            path.unlink()


def _is_ours(path: Path) -> bool:
    """Say whether no other process has taken over meanwhile."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid())
    except (OSError, ValueError, KeyError, TypeError):
        return False
