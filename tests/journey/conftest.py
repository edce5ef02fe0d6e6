"""One whole story for all tests that look at it from outside, also when several test processes run."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telemed.bootstrap import build_services
from telemed.services import Services
from telemed.settings import from_environment
from tests.journey.driver import play


@dataclass(frozen=True)
class Told:
    """A story that was told: its report, its data folder, and a copy made while all processes still ran."""

    steps: list[dict[str, Any]]
    protected: list[str]
    fleeting: list[str]
    pids: list[int]
    data_dir: Path
    alive: Path


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Told:
    """The whole story, told once for all test processes; who comes second waits for the first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "whole-story"
    folder.mkdir(exist_ok=True)
    kept = folder / "report.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _tell(folder, kept)
    report = json.loads(kept.read_text())
    return Told(**report, data_dir=folder / "data", alive=folder / "alive")


def _tell(folder: Path, kept: Path) -> None:
    report = play(folder / "data", before_stop=lambda: _copy(folder / "data", folder / "alive"))
    document = {**report.document(), "fleeting": report.fleeting, "pids": report.pids}
    document.pop("data_dir")
    kept.write_text(json.dumps(document))


def _copy(source: Path, target: Path) -> None:
    # A socket file of the server cannot be copied, and holds nothing.
    shutil.copytree(source, target, ignore=lambda at, names: [n for n in names if (Path(at) / n).is_socket()])


@pytest.fixture
def records(told: Told) -> Iterator[Services]:
    """The told story's database, opened from outside with its keys."""
    services = build_services(from_environment({"TELEMED_DATA_DIR": str(told.data_dir), "TELEMED_DEMO": "1"}))
    yield services
    services.db.close()
