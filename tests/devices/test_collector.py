"""What a glucose meter's memory is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from devices.collector import Collector, Inbox, Patience
from devices.journal import Connection, Journal
from devices.meters import GLUCOSE, EnrolledMeters, MeterIdentity
from devices.outbox import Outbox
from devices.session import Session
from devices.transport import Link, RadioError

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class MemoryLink:
    """A link to a meter that answers every request with one record, then with `answer`."""

    def __init__(self, answer: bytes) -> None:
        self.lost = asyncio.Event()
        self.asked: list[str] = []
        self._answer = answer
        self._hear: dict[str, Callable[[bytes], None]] = {}

    def offers(self, characteristic: str) -> bool:
        return False

    async def subscribe(self, characteristic: str, on_value: Callable[[bytes], None]) -> None:
        self._hear[characteristic] = on_value

    async def write(self, characteristic: str, value: bytes) -> None:
        self.asked.append(value.hex())
        self._hear["2a18"](bytes.fromhex("000500") + bytes(7))
        self._hear["2a52"](self._answer)


def ask(folder: Path, identity: MeterIdentity, mark: int | None, answer: str = "06000101") -> tuple[Any, int | None]:
    """Return what the meter was asked and the mark noted afterwards."""

    async def run() -> None:
        collector = Collector(journal, meters, session, lambda: None, lambda: NOW, UTC, patience=Patience(answer_s=1))
        inbox = Inbox(journal, session, "c", lambda: NOW, lambda: None)
        await collector._take_glucose(cast(Link, link), inbox, meters.all()[0], identity)

    journal = Journal(folder / "journal.db")
    try:
        session, meters = Session(journal, Outbox(journal, "g", "b")), EnrolledMeters(journal)
        meters.enrol("m", GLUCOSE, "Glucose", NOW)
        meters.note_high_water("m", mark)
        journal.open_connection(Connection("c", "m", "2026-11-23T10:00:00.000Z"))
        link = MemoryLink(bytes.fromhex(answer))
        asyncio.run(run())
        return link.asked, meters.all()[0].high_water
    finally:
        journal.close()


GUIDE = MeterIdentity("Roche", "Guide")


@pytest.mark.parametrize(
    ("identity", "mark", "asked", "noted"),
    [(GUIDE, None, "0101", 5), (GUIDE, 4, "0103010500", 5), (GUIDE, 0xFFFF, "0101", 5),
     (MeterIdentity("TaiDoc", "TD-4279"), None, "0101", None), (MeterIdentity("TaiDoc", "TD-4279"), 4, "0101", 4)],
)  # fmt: skip
def test_only_new_records_are_asked_for_except_where_numbers_run_backwards(
    tmp_path: Path, identity: MeterIdentity, mark: int | None, asked: str, noted: int | None
) -> None:
    assert ask(tmp_path, identity, mark) == ([asked], noted)


@pytest.mark.parametrize("answer", ["06", "0600", "05000100", "06000401", "ff000101"])
def test_an_answer_to_something_else_moves_no_mark(tmp_path: Path, answer: str) -> None:
    with pytest.raises(RadioError):
        ask(tmp_path, GUIDE, 4, answer)
