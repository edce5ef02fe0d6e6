"""Fixtures: an office with the whole cast in a fresh database, a clock that stands still until moved, signed-in
clients.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from telemed.access.accounts import open_session
from telemed.bootstrap import Application, build, build_services, found_deployment
from telemed.crypto import passwords
from telemed.db import open_engine
from telemed.schema.tables import METADATA
from telemed.services import Services
from telemed.settings import Settings, from_environment
from telemed.web.live import COOKIE
from tests import cast
from tests.make import Hands


class Clock:
    """Time that moves only when told."""

    def __init__(self, now: datetime = cast.NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        """Move on, e.g. `clock.forward(minutes=5)`."""
        self.now += timedelta(**delta)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with keys, tables and the cast, made once per test process and copied for each test."""
    folder = tmp_path_factory.mktemp("prepared")
    settings = settings_for(folder)
    settings.server_dir.mkdir(parents=True)
    engine = open_engine(settings.database_url)
    METADATA.create_all(engine)
    engine.dispose()
    found_deployment(settings, fast_index=True)
    services = build_services(settings, clock=Clock())
    Hands(services).everybody(passwords.hash_password(cast.PASSWORD))
    services.db.close()
    return folder


def settings_for(folder: Path, **more: object) -> Settings:
    """Return a demo's settings on `folder`, untouched by the caller's environment."""
    settings = from_environment({"TELEMED_DATA_DIR": str(folder), "TELEMED_DEMO": "1"}, folder)
    return replace(settings, **more)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(prepared: Path, tmp_path: Path) -> Settings:
    shutil.copytree(prepared, tmp_path / "data")
    return settings_for(tmp_path / "data")


@pytest.fixture
def application(settings: Settings, clock: Clock) -> Iterator[Application]:
    """The whole server of one process; its jobs run when a test calls `jobs()`."""
    application = build(settings, clock=clock)
    application.app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    yield application
    application.close()


@pytest.fixture
def services(application: Application) -> Services:
    return application.services


@pytest.fixture
def hands(services: Services) -> Hands:
    return Hands(services)


@pytest.fixture
def jobs(application: Application) -> Callable[[], int]:
    """Run all due jobs in the test's own thread; return how many ran."""

    def run() -> int:
        count = 0
        while ran := application.worker.run_due():
            count += ran
        return count

    return run


@pytest.fixture
def sign_in(application: Application) -> Callable[[cast.Person | cast.Villager], FlaskClient]:
    """Return a browser in which a member of the cast is signed in."""

    def sign_in(person: cast.Person | cast.Villager) -> FlaskClient:
        if isinstance(person, cast.Villager):
            token = open_session(application.services, patient_id=person.id)
        else:
            token = open_session(application.services, account_id=person.id)
        client = application.app.test_client()
        client.set_cookie(COOKIE, token)
        client.set_cookie("lang", "en")
        return client

    return sign_in
