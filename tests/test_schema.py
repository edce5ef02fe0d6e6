"""The migrations make exactly the tables that the models describe."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Integer, MetaData
from sqlalchemy.exc import IntegrityError

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


def test_a_migration_that_leaves_a_row_without_its_parent_changes_nothing(tmp_path: Path) -> None:
    """Tables are made anew without looking at references; this is looked at once, at the end."""
    path = tmp_path / "old.db"
    schema.upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        database.execute("insert into corner (id, branch_id, name) values (x'01', x'02', '1')")
        database.commit()

    with pytest.raises(IntegrityError, match="corner -> branch"):
        schema.upgrade(f"sqlite:///{path}")


@pytest.mark.db
def test_migrating_an_empty_postgresql_gives_them_too(postgres_url: str) -> None:
    name = "migrated"
    url = postgres.make(postgres_url, name)
    try:
        assert differences(url) == []
    finally:
        postgres.drop(postgres_url, name)
