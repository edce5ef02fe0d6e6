"""Fixtures: an office with the whole cast in a fresh database, a clock that stands still until moved, signed-in
clients.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

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
from tests import cast, postgres
from tests.line import line_emulator, lines  # noqa: F401  (fixtures)
from tests.make import Hands
from tests.stopping import pytest_configure  # noqa: F401  (a hook)


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
    prepare(settings_for(folder))
    return folder


def prepare(settings: Settings) -> None:
    """Make tables, keys and the cast in an empty folder and database."""
    settings.server_dir.mkdir(parents=True)
    engine = open_engine(settings.database_url)
    METADATA.create_all(engine)
    engine.dispose()
    found_deployment(settings, fast_index=True)
    services = build_services(settings, clock=Clock())
    Hands(services).everybody(passwords.hash_password(cast.PASSWORD))
    services.db.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL server of this test run; without one the test is skipped with the reason."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.server())
        except postgres.NoServer as missing:
            pytest.skip(str(missing))
        yield url


@pytest.fixture(scope="session")
def prepared_postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with keys, and the name of a database with tables and the cast, from which each test's is copied."""
    folder, name = tmp_path_factory.mktemp("prepared-postgres"), f"cast_{uuid4().hex}"
    prepare(settings_for(folder, database_url=postgres.make(postgres_url, name)))
    yield folder, name
    postgres.drop(postgres_url, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def db_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings on a fresh database with the cast, on either engine. For tests marked `db`."""
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("prepared"), tmp_path / "data")
        yield settings_for(tmp_path / "data")
        return
    url, name = request.getfixturevalue("postgres_url"), f"test_{uuid4().hex}"
    folder, template = request.getfixturevalue("prepared_postgres")
    shutil.copytree(folder, tmp_path / "data")
    yield settings_for(tmp_path / "data", database_url=postgres.make(url, name, template))
    postgres.drop(url, name)


@pytest.fixture
def db_services(db_settings: Settings, clock: Clock) -> Iterator[Services]:
    """Services with the cast, on either engine."""
    services = build_services(db_settings, clock=clock)
    yield services
    services.db.close()


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
