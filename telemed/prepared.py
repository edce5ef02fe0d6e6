"""Statements that are asked hundreds of times a second: compiled once, run by the driver, without mapped objects.

A query through SQLAlchemy's session costs ten times what the database takes for it. What every message of a call and
every batch of a gateway asks goes this way instead; everything else does not need it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Dialect, Executable, Select, Table, Uuid, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from telemed.db import Glance, Reads, ReadSession, UtcDateTime, WriteInRead

Bind = Callable[[Any], Any]
Column = tuple[str, Bind | None]
SHAPES_MOST = 1024
REMEMBERED = 4096


class Rows:
    """What a statement found: rows with the selected columns' names."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def first(self) -> Any | None:
        """Return the first row, or None."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """Return the only row. Raises ValueError when there is none, or another one."""
        (row,) = self._rows
        return row

    def scalar(self) -> Any | None:
        """Return the first value of the first row, or None."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> Iterator[Any]:
        """Yield the first value of each row."""
        return (row[0] for row in self._rows)


def ask(tx: Reads, statement: Executable, values: Mapping[str, Any]) -> Rows:
    """Run a statement of a module over the tables' own columns. A list fills the expanding parameter of an IN.

    A query of objects sends what is pending first; so does this, or a row that was just added would not be found. The
    columns are ids, texts, times, bytes and whole numbers: no type that asks the driver what it sent.
    """
    if isinstance(tx, Glance):
        return _run(tx.connection, tx.dialect, statement, values)
    if tx.new or tx.dirty or tx.deleted:
        tx.flush()
    connection = tx.connection()
    return _run(cast(DBAPIConnection, connection.connection), connection.dialect, statement, values)


def _run(connection: DBAPIConnection, dialect: Dialect, statement: Executable, values: Mapping[str, Any]) -> Rows:
    values = {name: _padded(value) if isinstance(value, list) else value for name, value in values.items()}
    lengths = tuple((name, len(value) if isinstance(value, list) else None) for name, value in values.items())
    shape = _shape(statement, dialect, lengths)
    cursor = connection.cursor()
    try:
        cursor.execute(shape.sql, shape.parameters(values))
        return Rows(shape.rows(cursor.fetchall()) if shape.row else [])
    finally:
        cursor.close()


def _padded(members: list[Any]) -> list[Any]:
    """Repeat the last member up to a power of two: IN finds the same, and few lengths are compiled."""
    return members + members[-1:] * ((1 << (len(members) - 1).bit_length()) - len(members)) if members else members


@dataclass(frozen=True)
class _Shape:
    """A compiled statement for lists of certain lengths. `places` are its parameters in their order: the name in the
    statement, the name and the position in a list by which the value is given, and what makes the driver's value of it.
    """

    sql: str
    fixed: Mapping[str, Any]
    places: Sequence[tuple[str, str, int | None, Bind | None]]
    is_positional: bool
    row: Callable[..., Any] | None
    readers: Sequence[Bind | None]

    def parameters(self, values: Mapping[str, Any]) -> Any:
        given = {**self.fixed, **values}
        bound = [
            (name, self._bound(given[source] if at is None else given[source][at], bind))
            for name, source, at, bind in self.places
        ]
        return tuple(value for _name, value in bound) if self.is_positional else dict(bound)

    @staticmethod
    def _bound(value: Any, bind: Bind | None) -> Any:
        return bind(value) if bind is not None else value

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        assert self.row is not None
        return [
            self.row(*(read(value) if read else value for read, value in zip(self.readers, one, strict=True)))
            for one in found
        ]


@lru_cache(SHAPES_MOST)
def _shape(statement: Executable, dialect: Dialect, given: tuple[tuple[str, int | None], ...]) -> _Shape:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    samples = {name: None if length is None else [None] * length for name, length in given}
    state = compiled.construct_expanded_state(samples, escape_names=False)
    members = {name: (source, at) for source, names in state.parameter_expansion.items() for at, name in enumerate(names)}
    binds = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
    places = []
    for name in state.positiontup or state.parameters:
        source, at = members.get(name, (name, None))
        bind = binds[source]
        # The members of a list that stands in the statement itself have values already, as its limit has.
        places.append((name, source, at, bind) if source in samples else (name, name, None, bind))
    fixed = {place[0]: state.parameters[place[0]] for place in places if place[1] not in samples}
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    return _Shape(
        state.statement, fixed, places, state.positiontup is not None,
        namedtuple("Row", [column.key for column in columns]) if columns else None,
        [_reader(column.type, dialect) for column in columns],
    )  # fmt: skip


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Bind | None:
    """Return what makes our value of the driver's; None where they are the same. Ids of a place and of a call repeat."""
    read = kind.dialect_impl(dialect).result_processor(dialect, None)
    return lru_cache(REMEMBERED)(read) if read is not None and isinstance(kind, Uuid) else read


class PreparedInsert:
    """An INSERT of many rows with the driver's own executemany: the mapper's way from a row to the driver costs as much
    as the row. A row names every column it sets, each row the same ones.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._prepared: dict[tuple[str, tuple[str, ...]], tuple[str, list[Column], bool]] = {}

    def run(self, tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows in the transaction. Raises WriteInRead in one for reads."""
        if isinstance(tx, ReadSession):
            raise WriteInRead(f"rows of {self._table.name} were written in a transaction for reads")
        connection = tx.connection()
        statement, columns, positional = self._statement(connection.dialect, tuple(rows[0]))
        bound = [
            [bind(row[name]) if bind else row[name] for row in rows]
            for name, bind in columns
        ]  # fmt: skip
        names = [name for name, _bind in columns]
        tuples = list(zip(*bound, strict=True))
        connection.exec_driver_sql(
            statement, tuples if positional else [dict(zip(names, values, strict=True)) for values in tuples]
        )

    def _statement(self, dialect: Dialect, names: tuple[str, ...]) -> tuple[str, list[Column], bool]:
        key = dialect.name, names
        if key not in self._prepared:
            compiled = insert(self._table).compile(dialect=dialect, column_keys=list(names))
            order = getattr(compiled, "positiontup", None) or names
            columns = [(name, _remembering(self._table.c[name].type, dialect)) for name in order]
            self._prepared[key] = str(compiled), columns, bool(getattr(compiled, "positiontup", None))
        return self._prepared[key]


def _remembering(kind: TypeEngine[Any], dialect: Dialect) -> Bind | None:
    """Return what makes the driver's value of ours; None where they are the same. Times repeat within a batch."""
    bind = kind.dialect_impl(dialect).bind_processor(dialect)
    return lru_cache(64)(bind) if bind is not None and isinstance(kind, UtcDateTime) else bind
