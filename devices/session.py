"""The visit this corner holds open, and which reading of a series comes next.

A shared meter holds other people's readings, so a reading belongs to a visit only by time and never by its user number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from devices import wire
from devices.journal import Journal
from devices.outbox import Outbox

# The shared meter rule: a little before the visit for a clock that is a few seconds off, a little after it likewise.
BEFORE_START = timedelta(seconds=30)
AFTER_END = timedelta(seconds=120)


@dataclass(frozen=True)
class Visit:
    """A visit as this gateway knows it: an id and two times."""

    visit_id: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class Expected:
    """What the server asked for last: the number within the series, and when."""

    ordinal: int
    asked_at: datetime | None


class Session:
    """Opens and closes visits; each step stands in the same sequence as the readings."""

    def __init__(self, journal: Journal, outbox: Outbox) -> None:
        self.journal = journal
        self.outbox = outbox
        self.open_visit_id: str | None = None
        self.recall()

    def recall(self) -> None:
        """Take the open visit from the journal, at the start and after a step that was rolled back."""
        found = self.journal.one("select visit_id from visit where closed_at is null")
        # Kept in memory too: the radio callback asks for it and must not wait for a query.
        self.open_visit_id = found[0] if found else None

    def open_visit(self, visit_id: str, now: datetime) -> None:
        """Hold this visit open; one that was still open is closed first. A known visit changes nothing."""
        if self.journal.one("select 1 from visit where visit_id = ?", visit_id):
            return
        with self.journal.transaction() as db:
            if self.open_visit_id is not None:
                self._close(self.open_visit_id, now)
            db.execute("insert into visit (visit_id, opened_at) values (?, ?)", (visit_id, wire.iso(now)))
            self.outbox.append_mark(wire.VISIT_OPENED, visit_id, wire.iso(now))
        self.open_visit_id = visit_id

    def close_visit(self, visit_id: str, now: datetime) -> None:
        """Hold this visit open no longer. One that is not open changes nothing."""
        if self.open_visit_id != visit_id:
            return
        with self.journal.transaction():
            self._close(visit_id, now)
        self.open_visit_id = None

    def _close(self, visit_id: str, now: datetime) -> None:
        with self.journal.transaction() as db:
            db.execute("update visit set closed_at = ? where visit_id = ?", (wire.iso(now), visit_id))
            self.outbox.append_mark(wire.VISIT_CLOSED, visit_id, wire.iso(now))

    def visit(self, visit_id: str) -> Visit | None:
        """Return a visit this gateway held, open or closed."""
        found = self.journal.one("select opened_at, closed_at from visit where visit_id = ?", visit_id)
        if found is None:
            return None
        closed_at = wire.parse_iso(found[1]) if found[1] else None
        return Visit(visit_id, wire.parse_iso(found[0]), closed_at)

    def ask_for(self, visit_id: str, kind: str, ordinal: int, now: datetime) -> None:
        """Note that the server waits for this reading of the series. An unknown visit changes nothing."""
        if self.visit(visit_id) is None:
            return
        with self.journal.transaction() as db:
            db.execute(
                "insert into series (visit_id, kind, asked_ordinal, asked_at) values (?, ?, ?, ?)"
                " on conflict (visit_id, kind) do update set asked_ordinal = excluded.asked_ordinal,"
                " asked_at = excluded.asked_at",
                (visit_id, kind, ordinal, wire.iso(now)),
            )

    def expected(self, visit_id: str, kind: str) -> Expected:
        """Return the number the next reading gets: the one asked for, and never one given before."""
        found = self.journal.one(
            "select asked_ordinal, asked_at, last_ordinal from series where visit_id = ? and kind = ?", visit_id, kind
        )
        if found is None:
            return Expected(1, None)
        return Expected(max(found[0], found[2] + 1), wire.parse_iso(found[1]) if found[1] else None)

    def given_since_asked(self, visit_id: str, kind: str) -> range:
        """Return the numbers given since the server last asked; none while the one asked for is still awaited."""
        found = self.journal.one(
            "select asked_ordinal, last_ordinal from series where visit_id = ? and kind = ?", visit_id, kind
        )
        return range(found[0], found[1] + 1) if found and found[0] else range(0)

    def note_taken(self, visit_id: str, kind: str, ordinal: int) -> None:
        """Remember the number just given."""
        with self.journal.transaction() as db:
            db.execute(
                "insert into series (visit_id, kind, last_ordinal) values (?, ?, ?)"
                " on conflict (visit_id, kind) do update set last_ordinal = excluded.last_ordinal",
                (visit_id, kind, ordinal),
            )


def belongs(visit: Visit, effective_at: datetime | None) -> bool:
    """Say whether a reading of this moment was measured within the visit. An unknown moment never belongs."""
    if effective_at is None or effective_at < visit.opened_at - BEFORE_START:
        return False
    return visit.closed_at is None or effective_at <= visit.closed_at + AFTER_END
