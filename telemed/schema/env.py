"""Alembic's entry: run the revisions against the given URL in one transaction."""

from alembic import context
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from telemed.db import UtcDateTime, open_engine
from telemed.schema.tables import METADATA


def render(kind: str, item: object, _context: object) -> str | bool:
    """Write our own time type as the plain column it is, so that a revision needs no code of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run() -> None:
    engine = open_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        _let_tables_be_replaced(engine, connection)
        context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True, render_item=render)
        with context.begin_transaction():
            context.run_migrations()
        _refuse_dangling_references(engine, connection)
        connection.commit()
    engine.dispose()


def _let_tables_be_replaced(engine: Engine, connection: Connection) -> None:
    """Stop checking references: SQLite changes a column by making the table anew and dropping the old one, and rows that
    refer to it would forbid that. It takes this word only before the transaction begins.
    """
    if engine.dialect.name == "sqlite":
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")


def _refuse_dangling_references(engine: Engine, connection: Connection) -> None:
    """Raise IntegrityError, so that nothing of the migration stays, when a row refers to one that is not there."""
    if engine.dialect.name != "sqlite":
        return
    if wrong := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
        tables = sorted({f"{row[0]} -> {row[2]}" for row in wrong})
        raise IntegrityError("PRAGMA foreign_key_check", None, Exception(f"rows refer to nothing: {', '.join(tables)}"))


run()
