"""The database: one engine, one write lock, two kinds of transaction.

SQLite before 3.51.3 can corrupt a write-ahead log when two connections write and checkpoint at once. So on SQLite
writers take one in-process lock and `BEGIN IMMEDIATE`, automatic checkpoints are off everywhere, and only a writer
that holds the lock checkpoints. Readers use plain `BEGIN` and never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    MetaData,
    TypeDecorator,
    Uuid,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import DeclarativeBase, Session

from telemed.errors import Unavailable

Tx = Session  # one transaction; the name by which modules without SQLAlchemy speak of it
BUSY_MS = 15_000
SQLITE_CONNECTIONS = 32
CHECKPOINT_EVERY = 200  # write transactions between two checkpoints; about 4 MB of log at our row sizes
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Store an aware datetime in UTC and give it back aware; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime, UUID: Uuid}  # noqa: RUF012 - SQLAlchemy's own hook


class NestedWrite(RuntimeError):
    """A mistake in the program: a use case opened a write transaction inside another one."""


class WriteInRead(RuntimeError):
    """A mistake in the program: a use case changed rows in a transaction for reads, without the write lock."""


class ReadSession(Session):
    """A transaction for reads; a row that was added, changed or deleted in it is refused."""


@event.listens_for(ReadSession, "before_flush")
def _refuse_write(tx: Session, _context: object, _instances: object) -> None:
    changed = sorted({type(row).__name__ for row in (*tx.new, *tx.deleted, *filter(tx.is_modified, tx.dirty))})
    if changed:
        raise WriteInRead(f"rows of {', '.join(changed)} were changed in a transaction for reads")


class Glance:
    """A moment of the database for prepared statements that only read (see `prepared.ask`): no session, no objects."""

    def __init__(self, connection: DBAPIConnection, dialect: Dialect) -> None:
        self.connection, self.dialect = connection, dialect


Reads = Session | Glance  # what a question to the database may be asked in


class Database:
    """Give transactions. `after_commit` receives the news collected in `tx.info["news"]` once they are durable."""

    def __init__(
        self, url: str, after_commit: Callable[[list[Any]], None] | None = None, *, read_only: bool = False
    ) -> None:
        self.url = url
        self.read_only = read_only
        self.engine = open_engine(url, read_only=read_only)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.after_commit = after_commit
        self._write_lock = threading.Lock()
        self._writing = threading.local()  # whether this thread has a write transaction open
        self._writes = 0

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a transaction for plain reads; it never waits for a writer. Raises WriteInRead when rows are changed."""
        with ReadSession(self.engine, expire_on_commit=False) as tx, tx.begin():
            yield tx

    @contextmanager
    def glance(self) -> Iterator[Glance]:
        """Yield what `prepared.ask` needs to read, at a tenth of the cost of `read`."""
        connection, dialect = self.engine.raw_connection(), self.engine.dialect
        try:
            if self.is_sqlite:
                connection.cursor().execute("BEGIN")  # else each statement would see a moment of its own
            yield Glance(cast(DBAPIConnection, connection), dialect)
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, connection.dbapi_connection, None):  # the others of the pool died as well
                self.engine.dispose(close=False)
            raise
        finally:
            connection.close()  # back to the pool, which rolls back

    @contextmanager
    def write(self, wait_s: float | None = None) -> Iterator[Session]:
        """Yield a transaction that may write. It commits at the end, or rolls back whole on any error.

        Raises NestedWrite inside another one of this thread: it would wait for that one, which waits for it. With
        `wait_s`, raises Unavailable or OperationalError when another writer holds SQLite's lock for longer.
        """
        with self._alone(), self._writer(wait_s), Session(self.engine, expire_on_commit=False) as tx:
            tx.connection(execution_options={"telemed_write": True, "telemed_wait_s": wait_s})
            try:
                yield tx
                tx.commit()
            except BaseException:
                tx.rollback()
                raise
        if self.after_commit is not None and tx.info.get("news"):
            self.after_commit(tx.info["news"])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if getattr(self._writing, "now", False):
            raise NestedWrite("a write transaction is open in this thread; hand it down instead of opening another")
        self._writing.now = True
        try:
            yield
        finally:
            self._writing.now = False

    @contextmanager
    def _writer(self, wait_s: float | None) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._write_lock.acquire(timeout=-1 if wait_s is None else wait_s):
            raise Unavailable()
        try:
            yield
            self._writes += 1
            if self._writes % CHECKPOINT_EVERY == 0:
                self._checkpoint()
        finally:
            self._write_lock.release()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database file. Only for the one writing process.

        Does not wait for readers: it would hold every writer up with it. What a reader still needs goes next time.
        """
        if not self.is_sqlite or self.read_only:
            return
        with self._alone(), self._write_lock:
            self._checkpoint()

    def _checkpoint(self) -> None:
        with self.engine.connect() as connection:
            connection.execution_options(telemed_plain=True).execute(text("PRAGMA busy_timeout=0"))
            try:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            finally:
                connection.execute(text(f"PRAGMA busy_timeout={BUSY_MS}"))

    def close(self) -> None:
        """Checkpoint and close all connections."""
        self.checkpoint()
        self.engine.dispose()


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Return an engine with our pragmas and transaction rules for the URL's database.

    `read_only` is for commands beside a running server: the last connection to close would otherwise checkpoint.
    """
    if url.startswith("postgres"):
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=10, max_overflow=20)
    if read_only:
        url = f"sqlite:///file:{quote(url.removeprefix('sqlite:///'))}?mode=ro&uri=true"
    else:
        _make_private(Path(url.removeprefix("sqlite:///")))
    # As many as threads read at one moment: a connection over the pool's size is closed after use, and the next one pays
    # for opening the file and for eight pragmas.
    engine = create_engine(url, connect_args={"timeout": 15}, pool_size=SQLITE_CONNECTIONS, max_overflow=SQLITE_CONNECTIONS)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private(path: Path) -> None:
    """Let only the owner read the database. SQLite gives a log that it creates the rights of its database."""
    if not path.parent.is_dir() or path.name == ":memory:":
        return  # connecting says what is wrong
    with suppress(PermissionError):  # another user's file: only that user may change its rights
        if not path.exists():  # never opened beside SQLite: closing it would drop all locks of this process
            path.touch(0o600)
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            with suppress(FileNotFoundError):  # the last process that closes the database takes these away
                file.chmod(0o600)


def _set_pragmas(connection: DBAPIConnection, _record: object) -> None:
    # The driver's own transaction control is off: it would begin late and as a reader, see _begin.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
        "trusted_schema=OFF",
        "wal_autocheckpoint=0",
        "journal_size_limit=16777216",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    options = connection.get_execution_options()
    if options.get("telemed_plain"):
        return
    if not options.get("telemed_write"):
        connection.exec_driver_sql("BEGIN")
        return
    wait_s = options.get("telemed_wait_s")
    if wait_s is not None:  # another process may hold the file
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(wait_s * 1000)}")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        if wait_s is not None:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MS}")
