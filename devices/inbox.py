"""What arrives over one connection to a meter. Every packet is on the disk before the radio's callback returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from devices import wire
from devices.journal import Journal, JournalError
from devices.session import Session

GLUCOSE_RECORD = "2a18"


@dataclass
class Inbox:
    """Takes the packets of one connection; the bytes are on the disk when a callback returns."""

    journal: Journal
    session: Session
    connection_id: str
    now: Callable[[], datetime]
    on_kept: Callable[[], None]
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    kept: int = 0
    records: list[bytes] = field(default_factory=list)  # of the request under way
    is_peeking: bool = False
    answers: list[bytes] = field(default_factory=list)
    failure: JournalError | None = None

    def keep(self, characteristic: str) -> Callable[[bytes], None]:
        """Return the callback for one characteristic."""

        def on_value(raw: bytes) -> None:
            if characteristic == GLUCOSE_RECORD:
                self.records.append(raw)
            if self.is_peeking:  # asked for to compare it with what is here; the meter keeps it
                self.arrived.set()
                return
            now = self.now()
            visit_id = self.session.stamp_at(now)
            try:
                self.journal.keep_packet(
                    self.connection_id, self.kept + 1, characteristic, raw, wire.iso(now), visit_id
                )
            except JournalError as error:
                self.failure = error
                self.arrived.set()
                raise
            self.kept += 1
            self.arrived.set()
            self.on_kept()

        return on_value

    def take_answer(self, raw: bytes) -> None:
        """Take an answer of the record access control point; it is no reading and is not kept."""
        self.answers.append(raw)
        self.arrived.set()

    def check(self) -> None:
        """Raise the JournalError that a callback met: nothing more may be taken from the meter."""
        if self.failure is not None:
            raise self.failure


async def first_of(*events: asyncio.Event, within_s: float) -> bool:
    """Wait until one of the events is set; False when none was in time."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in waiting:
            task.cancel()
