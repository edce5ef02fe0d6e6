"""Data folders as older commits left them, put where a test may work on them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from telemed import admin
from telemed.bootstrap import Application
from telemed.clock import parse_iso
from telemed.outbox import Worker
from telemed.settings import Settings
from tests import postgres
from tests.conftest import settings_for

HERE = Path(__file__).parent
COMMITS = ("2f8766b",)
# Lines of a dump that only psql or a newer server knows.
NOT_FOR_US = ("\\restrict", "\\unrestrict", "SET transaction_timeout")


@dataclass(frozen=True)
class Carried:
    """A folder of an older commit, and what its maker wrote down of it."""

    folder: Path
    settings: Settings
    facts: dict[str, Any]

    def now(self) -> datetime:
        """Return a moment soon after the folder was left: sessions, visits and rounds in it are of that day."""
        return parse_iso(self.facts["left_at"]) + timedelta(minutes=2)


def extract(packed: tarfile.TarFile, folder: Path) -> None:
    """Unpack an archive of our own. Debian 12's Python 3.11.2 knows no filters yet (they came with 3.11.4)."""
    if hasattr(tarfile, "data_filter"):
        packed.extractall(folder, filter="data")
    else:
        packed.extractall(folder)


def unpack(commit: str, engine: str, folder: Path, **more: object) -> Carried:
    """Return the folder as it was left, not migrated yet."""
    with tarfile.open(HERE / commit / f"{engine}.tar.xz") as packed:
        extract(packed, folder)
    return Carried(folder, settings_for(folder, **more), json.loads((folder / "facts.json").read_text()))


@contextmanager
def on_postgresql(commit: str, folder: Path, server: str) -> Iterator[Carried]:
    """Yield the folder with its dump in a database of its own."""
    name = f"carried_{uuid4().hex}"
    carried = unpack(commit, "postgresql", folder, database_url=postgres.make(server, name))
    text = (carried.settings.server_dir / "telemed.sql").read_text(encoding="utf-8")
    statements = "\n".join(line for line in text.split("\n") if not line.startswith(NOT_FOR_US))
    with psycopg.connect(carried.settings.database_url, autocommit=True) as connection:
        connection.execute(statements.encode())
    yield carried
    postgres.drop(server, name)


def carry_over(carried: Carried) -> Carried:
    """Bring the folder to today's code as an operator does."""
    admin.migrate(carried.settings)
    return carried


def run_jobs(application: Application) -> None:
    """Run what is due to its end, with the worker of `serve` or of `work`: on PostgreSQL a server runs red flags alone."""
    services = application.services
    worker = Worker(services, services.db, services.journey, services.clock)
    worker.plan_recurring()
    while worker.run_due():
        pass
