"""The gateway's memory: every packet, durable before the radio callback returns. One APSW connection, one thread.

A meter may forget a reading as soon as it was received, so `keep_packet` ends with the bytes on the disk or raises.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

SCHEMA_VERSION = 4
BUSY_TIMEOUT_MS = 3000  # a gateway that is just stopping may still hold the file
CHECKPOINT_PAGES = 1000
CLOCK_NOISE_S = 5  # two looks at a clock that nobody set may differ by so much

# A packet's states.
NEW = "new"
SEALED = "sealed"  # stands in the chain; its plain bytes are erased here
DUPLICATE = "duplicate"  # the same measurement was received before
UNDECODABLE = "undecodable"  # kept as it came, for a person to look at
UNUSED = "unused"  # a context whose measurement never came

# Each time a pressure came whose stamp tells nothing. `name`: of its bytes alone; `is_new`: it went into the sequence.
SIGHTINGS = """
create table if not exists sighting (
    name text not null, no integer not null, connection_id text not null, received_at text not null, visit_id text,
    ordinal integer not null, reading_key text not null, is_new integer not null, primary key (name, no)
) without rowid;
"""
SCHEMA = f"""{SIGHTINGS}
create table setting (name text primary key, value text not null) without rowid;
create table connection (
    connection_id text primary key, enrolment_id text not null, opened_at text not null, ended_at text,
    offset_s integer, manufacturer text, model text, serial text, firmware text, no integer,
    is_whole integer not null default 0
) without rowid;
create table packet (
    no integer primary key autoincrement, connection_id text not null references connection, ordinal integer not null,
    characteristic text not null, raw blob not null, received_at text not null, visit_id text, state text not null,
    unique (connection_id, ordinal)
);
create index packet_new on packet (no) where state = 'new';
create table item (
    seq integer primary key, kind text not null, event_id text not null unique, visit_id text,
    received_at text not null, reading_key text not null, key_id text not null, sealed text not null,
    prev text not null, hash text not null, sent integer not null default 0, status text, code text
);
create index item_unsent on item (seq) where sent = 0;
create table seen (reading_key text primary key, seq integer not null) without rowid;
create table visit (visit_id text primary key, opened_at text not null, closed_at text) without rowid;
create table series (
    visit_id text not null references visit, kind text not null, asked_ordinal integer not null default 0,
    asked_at text, last_ordinal integer not null default 0, primary key (visit_id, kind)
) without rowid;
create table meter (
    enrolment_id text primary key, kind text not null, name text not null, enrolled_at text not null,
    forgotten_at text, address text, manufacturer text, model text, serial text, firmware text,
    battery_pct integer, drift_s integer, last_seen_at text, high_water integer
) without rowid;
"""

# How far a connection has come with who and when; without a row all of it was known when it was opened.
SCHEMA_OF_CONTACT = """
create table if not exists contact (
    connection_id text primary key references connection on delete cascade, is_held integer not null,
    is_clock_told integer not null, is_others integer not null, left_offset_s integer
) without rowid;
"""
SCHEMA += SCHEMA_OF_CONTACT

# What brings a journal of an older gateway to the next version.
STEPS = {
    1: "alter table connection add column no integer",
    2: "alter table connection add column is_whole integer not null default 0",
    3: SIGHTINGS + SCHEMA_OF_CONTACT,
}


class JournalError(Exception):
    """Stop taking readings: the journal cannot promise to keep them."""


class JournalFull(JournalError):
    """Make room on the disk; nothing half-written remains."""


class JournalBroken(JournalError):
    """Restart and look at the disk: after a failed write or sync this handle is never used again."""


class JournalLocked(JournalError):
    """Stop: another gateway works on this folder."""


@dataclass(frozen=True)
class Packet:
    """One notification or indication as it came."""

    no: int
    connection_id: str
    ordinal: int
    characteristic: str
    raw: bytes
    received_at: str
    visit_id: str | None


@dataclass(frozen=True)
class Connection:
    """One visit to a meter: who it said it was, and how far its clock was off. `is_held`: nothing of it is looked at
    before it ends. `is_clock_told`: the meter has answered how its clock stands, be it that it has none. `is_others`:
    another meter answered than the enrolled one.
    """

    connection_id: str
    enrolment_id: str
    opened_at: str
    ended_at: str | None = None
    offset_s: int | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    is_held: bool = False
    is_clock_told: bool = True
    is_others: bool = False

    @property
    def waits(self) -> bool:
        """Whether it is too early to look at what came over it."""
        return self.is_held and self.ended_at is None


OF_CONTACT = ("is_held", "is_clock_told", "is_others")
DEFAULT_OF_CONTACT = (False, True, False)


@dataclass(frozen=True)
class Sighting:
    """One time that certain bytes came: over which connection, in which visit, and under which name."""

    connection_id: str
    received_at: str
    visit_id: str | None
    ordinal: int
    reading_key: str
    is_new: bool


class Journal:
    """The open journal. Raises JournalLocked or JournalBroken when it cannot be opened. `vfs` names another disk layer
    than the system's, by which a test cuts the power.
    """

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self.path = path
        self.is_broken = False
        self._is_open = False
        if vfs is None:
            _make_private(path)
        with self._told_plainly():
            self.db = apsw.Connection(str(path), vfs=vfs)
            self._is_open = True
            self._prepare()
        _fsync_folder(path.parent)

    def _prepare(self) -> None:
        self.db.set_busy_timeout(BUSY_TIMEOUT_MS)
        # Exclusive: a second gateway on the same folder would fork the chain.
        self.db.execute("pragma locking_mode=exclusive")
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=full")
        self.db.execute("pragma wal_autocheckpoint=0")  # only `checkpoint` moves pages, never inside a callback
        self.db.execute("pragma secure_delete=on")  # erased bytes are overwritten, not only unlinked
        self.db.execute("pragma foreign_keys=on")
        self.db.execute("pragma trusted_schema=off")
        version = self.db.pragma("user_version")
        if version > SCHEMA_VERSION:
            raise JournalBroken("the journal was written by a newer gateway")
        with self.transaction() as db:
            if version == 0:
                db.execute(SCHEMA)
            for older in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
                db.execute(STEPS[older])
            if version != SCHEMA_VERSION:
                db.pragma("user_version", SCHEMA_VERSION)
            # Connections that a killed process left open are over.
            db.execute("update connection set ended_at = opened_at where ended_at is null")

    def close(self) -> None:
        """Write everything back into the main file and let go of it."""
        if self._is_open:
            self._is_open = False
            self.db.close(True)

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """Run the block as one durable step, all or nothing; an inner one joins the outer. Raises JournalError.

        No savepoints: a full disk makes SQLite roll back everything, and a savepoint would then fail confusingly.
        """
        if self.is_broken:
            raise JournalBroken("the journal failed before")
        if self.db.in_transaction:
            yield self.db
            return
        with self._told_plainly():
            self.db.execute("begin immediate")
            try:
                yield self.db
                self.db.execute("commit")
            finally:
                if self.db.in_transaction:
                    self.db.execute("rollback")

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except apsw.FullError as error:
            raise JournalFull("no room for the journal on the disk") from error
        except (apsw.BusyError, apsw.LockedError) as error:
            raise JournalLocked("another gateway works on this folder") from error
        except (apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
            # After a failed sync the kernel may have dropped the pages; trying again would seem to work.
            self.is_broken = True
            raise JournalBroken(f"the journal cannot be used: {type(error).__name__}") from error

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._told_plainly():
            return list(self.db.execute(query, values))

    def one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        found = self.rows(query, *values)
        return found[0] if found else None

    def count(self, query: str, *values: Any) -> int:
        """Return the number a counting query found."""
        found = self.one(query, *values)
        return int(found[0]) if found else 0

    def setting(self, name: str, default: str = "") -> str:
        """Return a remembered value."""
        found = self.one("select value from setting where name = ?", name)
        return str(found[0]) if found else default

    def remember(self, name: str, value: str) -> None:
        """Keep a value; join an open transaction or make one."""
        statement = "insert into setting values (?, ?) on conflict (name) do update set value = excluded.value"
        with self.transaction() as db:
            db.execute(statement, (name, value))

    def open_connection(self, connection: Connection) -> None:
        """Note that a meter was reached. Its packets refer to this row."""
        told = {name: value for name, value in vars(connection).items() if name not in OF_CONTACT}
        marks = ", ".join("?" * len(told))
        with self.transaction() as db:
            # One meter at a time: what a full disk left open before is over, and nobody waits for its contexts.
            db.execute("update connection set ended_at = opened_at where ended_at is null")
            db.execute(
                f"insert into connection ({', '.join(told)}, no)"
                f" values ({marks}, (select coalesce(max(no), 0) + 1 from connection))",
                tuple(told.values()),
            )
            self._note_contact(connection)

    def note_told(self, connection: Connection) -> None:
        """Write down what the meter said of itself and its clock after it was heard."""
        with self.transaction() as db:
            db.execute(
                "update connection set enrolment_id = ?, offset_s = ?, manufacturer = ?, model = ?, serial = ?,"
                " firmware = ? where connection_id = ?",
                (
                    connection.enrolment_id, connection.offset_s, connection.manufacturer, connection.model,
                    connection.serial, connection.firmware, connection.connection_id,
                ),
            )  # fmt: skip
            self._note_contact(connection)

    def _note_contact(self, connection: Connection) -> None:
        told = (connection.is_held, connection.is_clock_told, connection.is_others)
        is_noted = self.one("select 1 from contact where connection_id = ?", connection.connection_id)
        if told == DEFAULT_OF_CONTACT and not is_noted:
            return
        with self.transaction() as db:
            db.execute(
                "insert or replace into contact values (?, ?, ?, ?, ?)",
                (connection.connection_id, *told, connection.offset_s),
            )

    def note_clock_set(self, connection_id: str) -> None:
        """Note that the meter's clock is right from now on."""
        with self.transaction() as db:
            db.execute(
                "insert into contact values (?, ?, ?, ?, 0) on conflict (connection_id) do update set left_offset_s = 0",
                (connection_id, *DEFAULT_OF_CONTACT),
            )

    def is_clock_told(self, enrolment_id: str) -> bool:
        """Say whether this meter told how its clock stands when it was called on last, or never was."""
        return not self.count(
            "select not coalesce(is_clock_told, 1) from connection left join contact using (connection_id)"
            " where enrolment_id = ? order by no desc limit 1",
            enrolment_id,
        )

    def offset_left(self, connection: Connection) -> int | None:
        """Return how far this meter's clock was off when it was left the last time before, or None."""
        found = self.one(
            "select coalesce(left_offset_s, offset_s) from connection left join contact using (connection_id)"
            " where enrolment_id = ? and offset_s is not null"
            " and no < (select no from connection where connection_id = ?) order by no desc limit 1",
            connection.enrolment_id, connection.connection_id,
        )  # fmt: skip
        return None if found is None else int(found[0])

    def end_connection(self, connection_id: str, ended_at: str) -> None:
        """Note that no more packets will come over this connection."""
        with self.transaction() as db:
            db.execute("update connection set ended_at = ? where connection_id = ?", (ended_at, connection_id))

    def note_whole(self, connection_id: str) -> None:
        """Note that over this connection the meter gave all it had: what comes later was measured later."""
        with self.transaction() as db:
            db.execute("update connection set is_whole = 1 where connection_id = ?", (connection_id,))

    def connection(self, connection_id: str) -> Connection:
        """Return the connection that a packet came over."""
        told = [name for name in Connection.__annotations__ if name not in OF_CONTACT]
        found = self.one(
            f"select {', '.join(told)}, coalesce(is_held, 0), coalesce(is_clock_told, 1), coalesce(is_others, 0)"
            " from connection left join contact using (connection_id) where connection_id = ?",
            connection_id,
        )
        if found is None:
            raise JournalBroken("a packet without its connection")
        return Connection(*found[: len(told)], *map(bool, found[len(told) :]))

    def clocks_before(self, connection: Connection, since: str) -> list[tuple[int, str, str]]:
        """Return how far this meter's clock was off at earlier connections that found it otherwise than now, newest
        first: the offset, when it was seen, and until when it may have been so, as the next connection found. A clock
        that was over before the meter gave all it had has stamped nothing new.
        """
        # By number, not by time: this computer's clock may have been set in between.
        found = self.rows(
            "select offset_s, opened_at, until from"
            " (select no, offset_s, opened_at, lead(opened_at) over (order by no) as until"
            " from connection where enrolment_id = ?1 and offset_s is not null and opened_at >= ?2"
            " and no <= (select no from connection where connection_id = ?3)"
            " and no >= (select coalesce(max(earlier.no), 0) from connection earlier, connection this"
            " where this.connection_id = ?3 and earlier.enrolment_id = ?1 and earlier.no < this.no"
            " and earlier.is_whole))"
            " where until is not null and abs(offset_s - ?4) > ?5 order by no desc",
            connection.enrolment_id, since, connection.connection_id, connection.offset_s or 0, CLOCK_NOISE_S,
        )  # fmt: skip
        return [(row[0], row[1], row[2]) for row in found]

    def sealed_lately(self, connection: Connection, since: str) -> list[int]:
        """Return the numbers of this meter's packets that other connections brought since then and that were sealed."""
        found = self.rows(
            "select packet.no from packet join connection using (connection_id)"
            " where enrolment_id = ? and connection_id <> ? and state = ? and packet.received_at >= ? order by packet.no",
            connection.enrolment_id, connection.connection_id, SEALED, since,
        )  # fmt: skip
        return [row[0] for row in found]

    def sightings(self, name: str) -> list[Sighting]:
        """Return each time that the bytes of this name came with a stamp that tells nothing, the oldest first."""
        columns = ", ".join(Sighting.__annotations__)
        found = self.rows(f"select {columns} from sighting where name = ? order by no", name)
        return [Sighting(*row) for row in found]

    def note_sighting(self, name: str, packet: Packet, seen: Sighting) -> None:
        """Remember that these bytes came. A packet is noted once."""
        with self.transaction() as db:
            values = (name, packet.no, *vars(seen).values())
            db.execute("insert or ignore into sighting values (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def brought(self, connection_id: str, characteristic: str, raw: bytes | None = None) -> int:
        """Return how many packets of a kind a connection brought; with `raw` only those equal to it and not settled."""
        query = "select count(*) from packet where connection_id = ? and characteristic = ?"
        if raw is None:
            return self.count(query, connection_id, characteristic)
        return self.count(query + " and raw = ?", connection_id, characteristic, raw)

    def keep_packet(
        self, connection_id: str, ordinal: int, characteristic: str, raw: bytes, received_at: str, visit_id: str | None
    ) -> None:
        """Return when the packet is on the disk. Raises JournalError when it is not.

        The radio callback calls this: no decoding, no reading, one insert and one sync.
        """
        if self.is_broken:
            raise JournalBroken("the journal failed before")
        with self._told_plainly():
            self.db.execute(
                "insert into packet (connection_id, ordinal, characteristic, raw, received_at, visit_id, state)"
                " values (?, ?, ?, ?, ?, ?, 'new')",
                (connection_id, ordinal, characteristic, raw, received_at, visit_id),
            )

    def new_packets(self) -> list[Packet]:
        """Return all packets that nobody has looked at, in the order of arrival."""
        names = ", ".join(Packet.__annotations__)
        return [Packet(*row) for row in self.rows(f"select {names} from packet where state = 'new' order by no")]

    def settle_packet(self, no: int, state: str) -> None:
        """Give a packet its final state; its plain bytes go, except when nobody could read them."""
        keeps_raw = state == UNDECODABLE
        statement = "update packet set state = ? where no = ? and state = 'new'"
        if not keeps_raw:
            statement = "update packet set state = ?, raw = x'' where no = ? and state = 'new'"
        with self.transaction() as db:
            db.execute(statement, (state, no))

    def undecodable(self) -> int:
        """Return how many packets wait for a person."""
        return self.count("select count(*) from packet where state = 'undecodable'")

    def undecodable_at(self) -> str | None:
        """Return when the newest packet came that nobody could read."""
        return self._moment("select max(received_at) from packet where state = 'undecodable'")

    def oldest_unsent_at(self) -> str | None:
        """Return when the oldest item came that the server has not acknowledged."""
        return self._moment("select (select received_at from item where sent = 0 order by seq limit 1)")

    def _moment(self, statement: str) -> str | None:
        found = next(iter(self.rows(statement)))[0]
        return None if found is None else str(found)

    def forget_before(self, moment: str) -> None:
        """Drop what was received and sent before the moment. Names of readings stay, so that none comes back as new."""
        with self.transaction() as db:
            # The newest item stays: the next one hangs on its hash.
            db.execute(
                "delete from item where sent = 1 and received_at < ? and seq < (select max(seq) from item)", (moment,)
            )
            db.execute("delete from packet where state <> 'new' and received_at < ?", (moment,))
            db.execute(
                "delete from connection where ended_at < ? and not exists"
                " (select 1 from packet where packet.connection_id = connection.connection_id)",
                (moment,),
            )

    def checkpoint(self, only_when_large: bool = False) -> None:
        """Move the log into the main file and empty it, so that erased bytes are gone from both."""
        if self.is_broken or not self._is_open:
            return
        log = self.path.with_name(self.path.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        if size == 0 or (only_when_large and size < CHECKPOINT_PAGES * 4096):
            return
        with self._told_plainly():
            self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _make_private(path: Path) -> None:
    """Let only the owner read the journal. SQLite gives a log that it creates the rights of its database."""
    with suppress(OSError):  # opening says what is wrong
        if not path.exists():  # never opened beside SQLite: closing it would drop all locks of this process
            path.touch(0o600)
        for file in (path, path.with_name(f"{path.name}-wal")):
            if file.exists():
                file.chmod(0o600)


def _fsync_folder(folder: Path) -> None:
    """Make the new file's name durable too; a power cut after the first commit could lose it otherwise."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
