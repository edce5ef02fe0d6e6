"""For one release an older gateway works with today's server, and today's gateway with the older server: real
processes of both, on the folder that the older ones left behind.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import httpx
import pytest

from tests import run_clock
from tests.carried.folders import COMMITS, HERE, extract, unpack
from tests.journey.processes import ROOT, Processes

WITHIN_S = 40.0
JOIN_CODE = "from telemed import admin, settings; print(admin.join_code_for_demo(settings.from_environment()))"


@dataclass
class Mixed:
    """A branch whose server and gateway are of different commits."""

    processes: Processes
    server_code: Path
    gateway_code: Path

    def command(self, name: str, code: Path, *arguments: str) -> str:
        """Run a command of that commit to its end and return what it printed."""
        self.processes.code = code
        return asyncio.run(self.processes.run(name, *arguments))

    def start(self, name: str, code: Path, *arguments: str) -> dict[str, object]:
        """Start a process of that commit and return what it says of itself when it is ready."""
        self.processes.code = code
        self.processes.start(name, *arguments)
        return asyncio.run(self.processes.ready(name, name))

    def count(self, query: str) -> int:
        """Return what a counting query finds in the server's database."""
        path = self.processes.data_dir / "server" / "telemed.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute(query).fetchone()[0])


@pytest.fixture(params=COMMITS)
def commit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def older(commit: str, tmp_path: Path) -> Path:
    """The program of the older commit."""
    with tarfile.open(HERE / commit / "code.tar.xz") as packed:
        extract(packed, tmp_path / "older")
    (tmp_path / "older" / "static" / "vendor").symlink_to(ROOT / "static" / "vendor")
    return tmp_path / "older"


@pytest.fixture(params=["older gateway", "older server"])
def mixed(request: pytest.FixtureRequest, commit: str, older: Path, tmp_path: Path) -> Iterator[Mixed]:
    """The folder as it was left, with a server of one commit and a gateway of the other; nothing runs yet."""
    unpack(commit, "sqlite", tmp_path / "data")
    processes = Processes(tmp_path / "data")
    processes.environment.pop(run_clock.SETTING, None)  # the older program knows no clock but the machine's
    mixed = Mixed(processes, *((ROOT, older) if request.param == "older gateway" else (older, ROOT)))
    yield mixed
    processes.stop()


def until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not seen():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def test_what_waits_is_sent_and_a_new_measurement_comes_through(mixed: Mixed) -> None:
    mixed.command("migrate", mixed.server_code, "app.py", "migrate")
    before = mixed.count("select count(*) from transmission")
    mixed.processes.environment["TELEMED_MEDIA_URL"] = "http://127.0.0.1:9"  # nobody talks here
    url = mixed.start("server", mixed.server_code, "app.py", "serve")["url"]
    mixed.processes.environment["TELEMED_SERVER_URL"] = str(url)
    meters = mixed.start("meters", mixed.gateway_code, "-m", "devices", "simulate")
    mixed.start("gateway", mixed.gateway_code, "-m", "devices", "run")
    until(lambda: mixed.count("select count(*) from transmission") > before, "what waited in the journal")
    sent = mixed.count("select count(*) from transmission where kind = 'reading'")
    pressed = httpx.post(f"{meters['control']}/measure", json={"meter": "blood_pressure"}, trust_env=False)
    until(lambda: mixed.count("select count(*) from transmission where kind = 'reading'") > sent, "the new measurement")

    assert pressed.status_code == 200
    assert mixed.count("select count(*) from transmission where status = 'rejected'") == 0


def test_a_gateway_joins_with_a_code(mixed: Mixed) -> None:
    mixed.command("migrate", mixed.server_code, "app.py", "migrate")
    rmtree(mixed.processes.data_dir / "gateway")
    code = mixed.command("code", mixed.server_code, "-c", JOIN_CODE).split()[-1]
    mixed.processes.environment["TELEMED_MEDIA_URL"] = "http://127.0.0.1:9"
    url = mixed.start("server", mixed.server_code, "app.py", "serve")["url"]
    mixed.command("join", mixed.gateway_code, "-m", "devices", "join", str(url), code)

    assert (mixed.processes.data_dir / "gateway" / "identity.json").exists()
