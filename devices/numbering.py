"""Which of a glucose meter's records are here, and whether its numbers can be trusted to tell.

"Newer than the last" is quick and right for a meter that counts upwards. It finds nothing, or the oldest record again,
in one that calls its newest 0, and overlooks what a memory got since it was cleared. So what comes is checked against
the count, the newest record and the last one known; in any doubt all records are asked for, and those known are told by
their names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

from devices import profiles
from devices.errors import DecodeError
from devices.inbox import GLUCOSE_RECORD
from devices.journal import Journal
from devices.meters import EnrolledMeters, Meter, MeterIdentity
from devices.profiles import record_access
from devices.profiles.quirks import full_name, quirk_of
from devices.records_memory import Memory, Report

SHORT_BELIEVED = 3  # so often in a row the same is missing: then there is no more
MOVING = "moving"


@dataclass(frozen=True)
class Fetched:
    """Whether all records are here, and whether the branch is to be told that some never came."""

    is_whole: bool
    is_told: bool = False


@dataclass(frozen=True)
class Numbering:
    """The numbers of one meter's records. What was found is on the disk when `fetch` returns."""

    journal: Journal
    meters: EnrolledMeters
    meter: Meter
    identity: MeterIdentity

    async def fetch(self, memory: Memory) -> Fetched:
        """Take the records that are not here yet. Raises RadioError, JournalError.

        The mark moves only on the meter's own word that these were all, with every record on the disk.
        """
        count = await memory.count()
        if self._is_reversed():
            return self._judge(count, await memory.report(record_access.report_all()), None)
        new = await self._newer(memory, count)
        if new is not None:
            return self._judge(None, new, count)
        everything = await memory.report(record_access.report_all())
        if await self._moves(memory, everything):
            self.journal.remember(f"numbering:{self.meter.enrolment_id}", MOVING)
        return self._judge(count, everything, count)

    def _is_reversed(self) -> bool:
        identity = self.identity
        quirk = quirk_of(full_name(identity.manufacturer, identity.model), identity.firmware)
        return quirk.reversed_numbering or numbers_move(self.journal, self.meter.enrolment_id)

    async def _newer(self, memory: Memory, count: int | None) -> Report | None:
        """Return the records after the last known one; None when there is a doubt whether they are those."""
        mark, known = self.meter.high_water, self._kept("records")
        grown = count - int(known) if count is not None and known else 0
        if mark is None or mark + 1 >= record_access.LAST_NUMBER or grown < 0:
            return None
        new = await memory.report(record_access.report_from(mark + 1))
        if not new.is_whole or len(new.records) < grown:
            return None
        last_known = self._kept("newest")
        if new.records and not last_known:  # fetched by an older gateway: nothing to compare with
            return new
        newest = await memory.peek(record_access.report_last())
        told = newest.newest if newest else None
        if (newest and newest.code == record_access.NO_RECORDS) or told not in (None, max(new.records, default=mark)):
            return None
        if not last_known:
            return new
        if newest and told == mark:
            return new if _name(newest.records[mark]) == last_known else None
        return new if await self._stands(memory, mark, last_known) else None

    async def _stands(self, memory: Memory, mark: int, last_known: str) -> bool:
        """Say whether the record that was the last is still there: a memory cleared and filled again has another."""
        found = await memory.peek(record_access.report_one(mark))
        if found is not None and not found.is_whole:  # it cannot be asked so
            found = await memory.peek(record_access.report_from(mark))
        if found is None or not found.is_whole:
            return True
        return mark in found.records and _name(found.records[mark]) == last_known

    async def _moves(self, memory: Memory, everything: Report) -> bool:
        """Say whether the newest record is called 0, so that all numbers move with each measurement."""
        numbers = everything.records.keys()
        if 0 not in numbers or len(numbers) < 2 or record_access.LAST_NUMBER in numbers:
            return False
        newest = await memory.peek(record_access.report_last())
        if newest is not None and newest.newest is not None:
            return newest.newest < max(numbers)
        return _runs_backwards(everything)

    def _judge(self, expected: int | None, report: Report, count: int | None) -> Fetched:
        """Say whether these were all, and move the mark if they were. `expected`: how many the meter counts."""
        missing = max((expected or 0) - len(report.records), 0)
        times = 1
        if not report.is_whole or missing:
            times = self._times_short(missing)
            if not report.is_whole or times < SHORT_BELIEVED:
                return Fetched(False, times >= SHORT_BELIEVED)
        self._keep("short", "")
        if count is not None:
            self._keep("records", str(count))
        if not self._is_reversed():
            self._move_mark(report, is_all=expected is not None or self.meter.high_water is None)
        return Fetched(True, bool(missing))

    def _move_mark(self, report: Report, *, is_all: bool) -> None:
        mark = max(report.records, default=None if is_all else self.meter.high_water)
        if mark != self.meter.high_water:
            self.meters.note_high_water(self.meter.enrolment_id, mark)
        if mark in report.records:
            self._keep("newest", _name(report.records[mark]))

    def _times_short(self, missing: int) -> int:
        """Return how often in a row so many records did not come."""
        kept = self._kept("short").split(":")
        times = int(kept[1]) + 1 if kept[0] == str(missing) else 1
        self._keep("short", f"{missing}:{times}")
        return times

    def _kept(self, what: str) -> str:
        return self.journal.setting(f"{what}:{self.meter.enrolment_id}")

    def _keep(self, what: str, value: str) -> None:
        if self._kept(what) != value:
            self.journal.remember(f"{what}:{self.meter.enrolment_id}", value)


def numbers_move(journal: Journal, enrolment_id: str) -> bool:
    """Say whether this meter was found to number its records anew each time."""
    return journal.setting(f"numbering:{enrolment_id}") == MOVING


def _name(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _runs_backwards(report: Report) -> bool:
    """Say whether each higher number stands on an older record."""
    stamps = [_stamp(report.records[number]) for number in sorted(report.records)]
    told = [stamp for stamp in stamps if stamp]
    return len(told) == len(stamps) and all(earlier > later for earlier, later in pairwise(told))


def _stamp(raw: bytes) -> str | None:
    try:
        stamp = profiles.decode(GLUCOSE_RECORD, raw)["measured_at"]
    except DecodeError:
        return None
    return str(stamp) if stamp else None
