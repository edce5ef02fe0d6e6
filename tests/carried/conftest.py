"""Fixtures: what an older commit left behind, migrated, on either engine, and today's server on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from telemed.bootstrap import Application, build
from telemed.outbox import Worker
from tests.carried.folders import COMMITS, Carried, carry_over, on_postgresql, unpack
from tests.conftest import Clock


@pytest.fixture(params=product(COMMITS, ("sqlite", "postgresql")), ids="-".join)
def carried(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Carried]:
    """A data folder of an older commit, migrated to today's code."""
    commit, engine = request.param
    if engine == "sqlite":
        yield carry_over(unpack(commit, engine, tmp_path / "data"))
        return
    with on_postgresql(commit, tmp_path / "data", request.getfixturevalue("postgres_url")) as found:
        yield carry_over(found)


@pytest.fixture
def application(carried: Carried) -> Iterator[Application]:
    """Today's server of one process on the folder."""
    application = build(carried.settings, clock=Clock(carried.now()))
    services = application.services
    # With PostgreSQL a server runs the urgent jobs alone; here it is also the process that runs the others.
    application.worker = Worker(services, services.db, services.journey, services.clock)
    yield application
    application.close()


@pytest.fixture
def address(application: Application) -> Iterator[str]:
    """The server on a free port."""
    server = make_server("127.0.0.1", 0, application.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
