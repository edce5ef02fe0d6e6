"""Alembic's entry: run the revisions against the given URL in one transaction."""

from alembic import context

from telemed.db import UtcDateTime, open_engine
from telemed.schema.tables import METADATA


def render(kind: str, item: object, _context: object) -> str | bool:
    """Write our own time type as the plain column it is, so that a revision needs no code of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run() -> None:
    engine = open_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True, render_item=render)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    engine.dispose()


run()
