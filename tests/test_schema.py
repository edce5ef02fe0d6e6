"""The migrations make exactly the tables that the models describe."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Integer, MetaData

from telemed import schema
from telemed.db import open_engine
from telemed.schema.tables import METADATA
from tests import postgres


def differences(url: str, models: MetaData = METADATA) -> list[object]:
    schema.upgrade(url)
    engine = open_engine(url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), models)
    engine.dispose()
    return found


def test_a_type_that_the_migrations_do_not_know_is_seen(tmp_path: Path) -> None:
    changed = MetaData(naming_convention=METADATA.naming_convention)
    for table in METADATA.sorted_tables:
        table.to_metadata(changed)
    changed.tables["audit"].c.reason.type = Integer()

    assert "modify_type" in str(differences(f"sqlite:///{tmp_path / 'new.db'}", changed))


def test_migrating_an_empty_file_gives_the_tables_of_the_models(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    assert differences(url) == []
    schema.upgrade(url)  # a second time changes nothing


@pytest.mark.db
def test_migrating_an_empty_postgresql_gives_them_too(postgres_url: str) -> None:
    name = "migrated"
    url = postgres.make(postgres_url, name)
    try:
        assert differences(url) == []
    finally:
        postgres.drop(postgres_url, name)
