"""Alembic's entry: run the revisions against the given URL in one transaction."""

from alembic import context

from telemed.db import open_engine
from telemed.schema.tables import METADATA


def run() -> None:
    engine = open_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    engine.dispose()


run()
