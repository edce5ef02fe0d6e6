"""The visit this corner holds open, and which reading of a series comes next.

A shared meter holds other people's readings, so a reading belongs to a visit only by time and never by its user number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from devices import wire
from devices.journal import Journal
from devices.outbox import Outbox
from devices.records import Placed

# The shared meter rule: a little before the visit for a clock that is a few seconds off, a little after it likewise.
BEFORE_START = timedelta(seconds=30)
AFTER_END = timedelta(seconds=120)
# Two patients back to back: what was measured before the other's visit ended is the other's, and a reading whose own
# clock proves nothing counts for neither.
NEIGHBOUR_WITHIN = timedelta(minutes=5)
# A meter's whole seconds may show a moment so much too early. No clerk ends a visit within a second of a result.
CLOCK_GRAIN = timedelta(seconds=1)
# Without a word from the server the visit may be over and somebody else on the seat. A series takes seven minutes.
SILENT_AT_MOST = timedelta(minutes=15)
CLOCK_JUMP = timedelta(seconds=5)


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
    asked_ordinal: int = 0


class Session:
    """Opens and closes visits; each step stands in the same sequence as the readings."""

    def __init__(self, journal: Journal, outbox: Outbox) -> None:
        self.journal = journal
        self.outbox = outbox
        self.open_visit_id: str | None = None
        self._heard_at: datetime | None = None
        self.recall()

    def recall(self) -> None:
        """Take the open visit from the journal, at the start and after a step that was rolled back."""
        found = self.journal.one("select visit_id, opened_at from visit where closed_at is null")
        # Kept in memory too: the radio callback asks for it and must not wait for a query.
        self.open_visit_id = found[0] if found else None
        self._heard_at = wire.parse_iso(found[1]) if found else None

    def stamp_at(self, now: datetime) -> str | None:
        """Return the visit that bytes arriving now are stamped with; none when its end may have been missed."""
        if self.open_visit_id is None or self._heard_at is None or now - self._heard_at > SILENT_AT_MOST:
            return None
        return self.open_visit_id

    def note_heard(self, now: datetime) -> None:
        """Note that all orders up to now have been carried out: the visit that is open still is."""
        self._heard_at = now

    def check_clock(self, now: datetime, running_s: float) -> bool:
        """Say whether this computer's clock was set since the last check, also while the gateway was stopped.

        `running_s` is a clock that nobody sets. What a meter kept from before would be placed wrongly by a difference
        taken after, so from here on only what is measured after this moment belongs to a visit.
        """
        base, kept = now - timedelta(seconds=running_s), self.journal.setting("clock_base")
        if kept and abs(wire.parse_iso(kept) - base) <= CLOCK_JUMP:
            return False
        with self.journal.transaction():
            self.journal.remember("clock_base", wire.iso(base))
            if kept:
                self.journal.remember("clock_set_at", wire.iso(now))
        return bool(kept)

    def holds(self, visit: Visit, placed: Placed) -> bool:
        """Say whether a reading was measured within this visit, and cannot be the one before's."""
        # By the end alone: the clock may have been set back since the other was opened.
        found = self.journal.one("select max(closed_at) from visit where closed_at <= ?", wire.iso(visit.opened_at))
        before = wire.parse_iso(found[0]) if found and found[0] else None
        set_at = self.journal.setting("clock_set_at")
        return belongs(visit, placed, before, wire.parse_iso(set_at) if set_at else None)

    def open_visit(self, visit_id: str, now: datetime) -> None:
        """Hold this visit open; one that was still open is closed first. A visit that is open changes nothing; one that
        was closed is open again, as its end was taken back at the counter.
        """
        known = self.visit(visit_id)
        if known is not None and known.closed_at is None:
            return
        with self.journal.transaction() as db:
            if self.open_visit_id is not None:
                self._close(self.open_visit_id, now)
            if known is not None:
                db.execute("update visit set closed_at = null where visit_id = ?", (visit_id,))
            else:
                db.execute("insert into visit (visit_id, opened_at) values (?, ?)", (visit_id, wire.iso(now)))
            self.outbox.append_mark(wire.VISIT_OPENED, visit_id, wire.iso(now))
        self.open_visit_id, self._heard_at = visit_id, now

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
        asked_at = wire.parse_iso(found[1]) if found[1] else None
        return Expected(max(found[0], found[2] + 1), asked_at, found[0])

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


def belongs(
    visit: Visit, placed: Placed, neighbour_closed_at: datetime | None = None, clock_set_at: datetime | None = None
) -> bool:
    """Say whether a reading of this moment was measured within the visit. An unknown moment never belongs.

    Told apart: when it counts as measured (`effective_at`) and what the meter's clock says of it (`measured_at`), since
    a reading just asked for counts as measured now, and the last patient's may arrive now too.
    """
    if placed.effective_at is None:
        return False
    start = visit.opened_at - BEFORE_START
    if neighbour_closed_at is not None and neighbour_closed_at > visit.opened_at - NEIGHBOUR_WITHIN:
        if placed.measured_at is None:
            return False
        start = max(start, neighbour_closed_at - CLOCK_GRAIN)
    if clock_set_at is not None:
        start = max(start, clock_set_at)
    earliest_at = min(placed.effective_at, placed.measured_at or placed.effective_at)
    return start <= earliest_at and (visit.closed_at is None or placed.effective_at <= visit.closed_at + AFTER_END)
