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
class Report:
    """What came on one request: the code that ended it, and the records by number; of two with one number the later."""

    code: int
    records: dict[int, bytes]

    @property
    def is_whole(self) -> bool:
        """Whether the meter said that these were all that it was asked for."""
        return self.code in WHOLE

    @property
    def newest(self) -> int | None:
        """The number of the record that came last, of one that was asked for as the newest."""
        return next(reversed(self.records), None) if self.code == record_access.SUCCESS else None


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

    async def report(self, request: bytes) -> Report:
        """Take the records of one request. Raises RadioError, JournalError."""
        self._inbox.records.clear()
        answer = await self._ask(request, self._answer_s)
        if answer["op_code"] != record_access.RESPONSE or answer["request_op_code"] != request[0]:
            raise RadioError("the meter answered something else")
        # The number stands behind the flags, always.
        records = {int.from_bytes(raw[1:3], "little"): raw for raw in self._inbox.records if len(raw) >= 3}
        return Report(int(answer["response_code"]), records)

    async def peek(self, request: bytes) -> Report | None:
        """Look at records without taking them; None when the meter does not answer that. Raises RadioError."""
        self._inbox.is_peeking = True
        try:
            return await self.report(request)
        except RadioError:
            if self._link.lost.is_set():
                raise
            return None
        finally:
            self._inbox.is_peeking = False

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
