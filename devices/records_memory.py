"""A glucose meter's memory, asked through its record access control point: one request at a time, each with a limit."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from devices import profiles
from devices.errors import DecodeError
from devices.inbox import GLUCOSE_RECORD, Inbox, first_of
from devices.profiles import record_access
from devices.transport import Busy, Link, RadioError

log = logging.getLogger(__name__)

GLUCOSE_CONTEXT, ACCESS = "2a34", "2a52"
WHOLE = (record_access.SUCCESS, record_access.NO_RECORDS)
SHORT_ANSWER_S = 5.0  # for what needs no search of the memory


@dataclass(frozen=True)
class Known:
    """What was fetched before: the last record's number, and how many records the meter had then."""

    mark: int | None
    count: int | None


class Memory:
    """The memory behind one link. Records go into the inbox; `answer_s` is the limit between two signs of life."""

    def __init__(self, link: Link, inbox: Inbox, answer_s: float) -> None:
        self._link = link
        self._inbox = inbox
        self._answer_s = answer_s

    async def listen(self) -> None:
        """Subscribe everything first, or the meter refuses requests. Raises RadioError."""
        await self._link.subscribe(GLUCOSE_RECORD, self._inbox.keep(GLUCOSE_RECORD))
        if self._link.offers(GLUCOSE_CONTEXT):
            await self._link.subscribe(GLUCOSE_CONTEXT, self._inbox.keep(GLUCOSE_CONTEXT))
        await self._link.subscribe(ACCESS, self._inbox.take_answer)

    async def fetch_all(self) -> bool:
        """Take every record; tell whether the meter said that these were all. Raises RadioError, JournalError."""
        return await self._report(record_access.report_all()) in WHOLE

    async def fetch_new(self, known: Known) -> tuple[Known, bool]:
        """Take the records that are not here yet; return what is known now and whether the meter said that these were
        all. Raises RadioError, JournalError.

        The mark moves only on the meter's own word that these were all, with every record on the disk.
        """
        count = await self.count()
        mark = known.mark
        if count is not None and known.count is not None and count < known.count:
            mark = None  # the memory was cleared, or the meter exchanged
        if mark is None:
            code = await self._report(record_access.report_all())
        else:
            code = await self._report(record_access.report_from(mark + 1))
            if code == record_access.NO_RECORDS and await self._was_cleared(mark):
                mark = None
                code = await self._report(record_access.report_all())
        if code == record_access.SUCCESS and self._inbox.numbers:
            mark = max(self._inbox.numbers)
        return (Known(mark, count), True) if code in WHOLE else (known, False)

    async def count(self) -> int | None:
        """Return how many records there are, or None when the meter does not tell."""
        try:
            answer = await self._ask(record_access.number_of_records(), SHORT_ANSWER_S)
        except RadioError:
            if self._link.lost.is_set():
                raise
            return None
        number: int | None = answer["number_of_records"]
        return number

    async def _was_cleared(self, mark: int) -> bool:
        """Say whether the meter counts from the start again: "newer than the last" would never find anything."""
        code = await self._report(record_access.report_last())
        numbers = self._inbox.numbers
        is_behind = code == record_access.SUCCESS and bool(numbers) and numbers[-1] < mark
        numbers.clear()
        return is_behind

    async def _report(self, request: bytes) -> int:
        """Let the meter report records and return the code of its answer. Raises RadioError, JournalError."""
        answer = await self._ask(request, self._answer_s)
        if answer["op_code"] != record_access.RESPONSE or answer["request_op_code"] != request[0]:
            raise RadioError("the meter answered something else")
        return int(answer["response_code"])

    async def _ask(self, request: bytes, within_s: float) -> dict[str, Any]:
        """Run one procedure and return the answer that ends it. Raises RadioError, JournalError."""
        try:
            await self._write(request)
        except Busy:  # with a request of somebody who went away
            await self._abort()
            await self._write(request)
        while not self._inbox.answers:
            self._inbox.check()
            if self._link.lost.is_set():
                raise RadioError("link lost during a record transfer")
            self._inbox.arrived.clear()
            if not await first_of(self._link.lost, self._inbox.arrived, within_s=within_s):
                await self._abort()
                raise RadioError("the meter fell silent during a record transfer")
        self._inbox.check()
        try:
            return profiles.decode(ACCESS, self._inbox.answers[0])
        except DecodeError as error:
            raise RadioError("the meter's answer cannot be read") from error

    async def _write(self, request: bytes) -> None:
        self._inbox.answers.clear()
        await self._link.write(ACCESS, request)

    async def _abort(self) -> None:
        """Stop what is running and let the meter say so; a meter that does not is left to itself."""
        log.info("record transfer aborted")
        with suppress(RadioError):
            await self._write(record_access.abort())
            while not self._inbox.answers and not self._link.lost.is_set():
                self._inbox.arrived.clear()
                if not await first_of(self._link.lost, self._inbox.arrived, within_s=SHORT_ANSWER_S):
                    return
