"""What a meter is asked for, and what is done with its clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from devices.collector import CLOCKS, Collector, Patience, parse_clock
from devices.inbox import Inbox
from devices.journal import Connection, Journal
from devices.meters import BLOOD_PRESSURE, GLUCOSE, EnrolledMeters, MeterIdentity
from devices.outbox import Outbox
from devices.pairing import Enrolments
from devices.session import Session
from devices.transport import Busy, Link, Radio, RadioError, Sighting

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


REPORT, NUMBER, ABORT = 1, 4, 3


class MemoryLink:
    """A link to a meter whose memory holds the records `numbers`; it answers by the book, or as `answer` says."""

    def __init__(
        self, numbers: list[int], answer: bytes | None = None, *, tells_number: bool = True, busy: int = 0,
        is_silent: bool = False,
    ) -> None:  # fmt: skip
        self.lost = asyncio.Event()
        self.asked: list[str] = []
        self._numbers = numbers
        self._answer = answer
        self._tells_number = tells_number
        self._busy = busy
        self._is_silent = is_silent
        self._hear: dict[str, Callable[[bytes], None]] = {}

    def offers(self, characteristic: str) -> bool:
        return False

    async def subscribe(self, characteristic: str, on_value: Callable[[bytes], None]) -> None:
        self._hear[characteristic] = on_value

    async def write(self, characteristic: str, value: bytes) -> None:
        assert set(self._hear) == {"2a18", "2a52"}, "everything is subscribed before the first request"
        self.asked.append(value.hex())
        if value[0] == ABORT:
            self._busy = 0
            self._hear["2a52"](bytes([6, 0, ABORT, 1]))
        elif self._busy:
            raise Busy("busy")
        elif value[0] == NUMBER:
            told = bytes([5, 0]) + len(self._numbers).to_bytes(2, "little")
            self._hear["2a52"](told if self._tells_number else bytes([6, 0, NUMBER, 2]))
        elif not self._is_silent:
            self._report(value)

    def _report(self, request: bytes) -> None:
        low = int.from_bytes(request[3:5], "little") if request[1] == 3 else 0
        chosen = self._numbers[-1:] if request[1] == 6 else [number for number in self._numbers if number >= low]
        for number in chosen:
            self._hear["2a18"](b"\0" + number.to_bytes(2, "little") + bytes(7))
        self._hear["2a52"](self._answer or bytes([6, 0, REPORT, 1 if chosen else 6]))


class Corner:
    """A gateway without radio whose one glucose meter is behind a link given for each call."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.db")
        self.session = Session(self.journal, Outbox(self.journal, "g", "b"))
        self.meters = EnrolledMeters(self.journal)
        self.meters.enrol("m", GLUCOSE, "Glucose", NOW)
        self.calls = 0

    def call(self, link: MemoryLink, identity: MeterIdentity | None = None) -> list[str]:
        """Fetch once and return what the meter was asked, without the question how many records there are."""
        self.calls += 1
        name = f"c{self.calls}"
        self.journal.open_connection(Connection(name, "m", "2026-11-23T10:00:00.000Z"))

        async def run() -> None:
            collector = self.collector()
            inbox = Inbox(self.journal, self.session, name, lambda: NOW, lambda: None)
            await collector._take_glucose(cast(Link, link), inbox, self.meters.all()[0], identity or GUIDE)

        asyncio.run(run())
        return [asked for asked in link.asked if not asked.startswith("04")]

    def collector(self) -> Collector:
        return Collector(
            self.journal, self.meters, Enrolments(self.journal), self.session, lambda: None, lambda: NOW, UTC,
            patience=Patience(answer_s=0.05),
        )  # fmt: skip

    @property
    def mark(self) -> int | None:
        return self.meters.all()[0].high_water

    def kept(self) -> list[int]:
        rows = self.journal.rows("select raw from packet order by no")
        return [int.from_bytes(row[0][1:3], "little") for row in rows]


@pytest.fixture
def corner(tmp_path: Path) -> Iterator[Corner]:
    corner = Corner(tmp_path)
    yield corner
    corner.journal.close()


GUIDE = MeterIdentity("Roche", "Guide")


@pytest.mark.parametrize(
    ("identity", "mark", "asked", "noted"),
    [(GUIDE, None, "0101", 5), (GUIDE, 4, "0103010500", 5), (GUIDE, 0xFFFE, "0101", 5), (GUIDE, 0xFFFF, "0101", 5),
     (MeterIdentity("TaiDoc", "TD-4279"), None, "0101", None), (MeterIdentity("TaiDoc", "4279"), 4, "0101", 4)],
)  # fmt: skip
def test_only_new_records_are_asked_for_except_where_numbers_run_backwards(
    corner: Corner, identity: MeterIdentity, mark: int | None, asked: str, noted: int | None
) -> None:
    corner.meters.note_high_water("m", mark)

    assert corner.call(MemoryLink([5]), identity) == [asked]
    assert corner.mark == noted


@pytest.mark.parametrize("answer", ["06", "0600", "05000100", "06000401", "ff000101"])
def test_an_answer_to_something_else_moves_no_mark(corner: Corner, answer: str) -> None:
    corner.meters.note_high_water("m", 4)

    with pytest.raises(RadioError):
        corner.call(MemoryLink([5], bytes.fromhex(answer)))
    assert corner.mark == 4


def test_a_transfer_that_was_not_completed_keeps_its_records_and_moves_no_mark(corner: Corner) -> None:
    corner.meters.note_high_water("m", 4)

    corner.call(MemoryLink([5, 6], bytes([6, 0, 1, 8])))

    assert corner.kept() == [5, 6, 5, 6], "all are asked for after that, and answered likewise"
    assert corner.mark == 4
    assert corner.call(MemoryLink([5, 6, 7])) == ["0103010500"]


def test_no_new_record_is_normal_and_the_mark_stays(corner: Corner) -> None:
    corner.call(MemoryLink([1, 2, 3]))

    assert corner.call(MemoryLink([1, 2, 3])) == ["0103010400", "0106"]
    assert corner.mark == 3


def test_a_memory_with_fewer_records_than_before_is_read_from_the_start(corner: Corner) -> None:
    corner.call(MemoryLink([1, 2, 3]))

    assert corner.call(MemoryLink([7, 8])) == ["0101"]
    assert corner.mark == 8


def test_a_cleared_memory_is_found_out_also_where_the_number_of_records_is_not_told(corner: Corner) -> None:
    corner.call(MemoryLink([7, 8], tells_number=False))

    assert corner.call(MemoryLink([1, 2], tells_number=False)) == ["0103010900", "0106", "0101"]
    assert corner.mark == 2


def test_a_busy_meter_is_told_to_stop_and_asked_again(corner: Corner) -> None:
    link = MemoryLink([1], busy=1)

    corner.call(link)

    assert link.asked == ["0401", "0300", "0401", "0101"]
    assert corner.mark == 1


def test_a_silent_meter_is_told_to_stop_and_hung_up_on(corner: Corner) -> None:
    link = MemoryLink([1], is_silent=True)

    with pytest.raises(RadioError, match="silent"):
        corner.call(link)
    assert link.asked[-1] == "0300"
    assert corner.mark is None


def test_a_clock_is_read_and_written_in_both_ways_meters_have() -> None:
    at = datetime(2026, 11, 23, 10, 0, 5)  # noqa: DTZ001 - a meter has no zone

    for characteristic, encode in CLOCKS.items():
        assert parse_clock(characteristic, encode(at)) == at
        assert parse_clock(characteristic, b"") is None


class ClockLink(MemoryLink):
    """A pressure meter ten minutes behind, which notes what the journal knows of that when the clock is set."""

    def __init__(self, journal: Journal) -> None:
        super().__init__([])
        self.known: list[tuple[Any, ...]] = []
        self._journal = journal

    def offers(self, characteristic: str) -> bool:
        return characteristic == "2a08"

    async def read(self, characteristic: str) -> bytes:
        if characteristic != "2a08":
            raise RadioError("not here")
        return CLOCKS["2a08"](NOW - timedelta(minutes=10))

    async def write(self, characteristic: str, value: bytes) -> None:
        assert (characteristic, value) == ("2a08", CLOCKS["2a08"](NOW))
        assert not self._hear, "the clock is set before the meter is told to send"
        self.known = self._journal.rows("select offset_s from connection")

    async def subscribe(self, characteristic: str, on_value: Callable[[bytes], None]) -> None:
        await super().subscribe(characteristic, on_value)
        self.lost.set()


class OneLink:
    """A radio that reaches one meter."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link

    @asynccontextmanager
    async def reach(self, sighting: Sighting) -> AsyncIterator[MemoryLink]:
        yield self._link


def test_a_pressure_clock_is_set_before_the_meter_sends_and_after_its_error_is_on_the_disk(corner: Corner) -> None:
    corner.meters.enrol("p", BLOOD_PRESSURE, "Pressure", NOW)
    link, sighting = ClockLink(corner.journal), Sighting("A", "Pressure", ("1810",), cast(Any, None))
    meter = next(meter for meter in corner.meters.all() if meter.kind == BLOOD_PRESSURE)

    asyncio.run(corner.collector().fetch(cast(Radio, OneLink(link)), meter, sighting))

    assert list(link.known) == [(600,)]


class GoneRadio:
    """A radio on which a meter sends as it comes and is gone before anybody could ask it anything."""

    @asynccontextmanager
    async def reach(self, sighting: Sighting) -> AsyncIterator[MemoryLink]:
        error = RadioError("link lost")
        error.heard = (b"\x00\x78\x00\x50\x00\x5a\x00",)
        raise error
        yield  # type: ignore[unreachable]


@pytest.mark.parametrize(("address", "is_bonded", "is_kept"), [("A", True, True), ("A", False, False), ("B", True, False)])
def test_what_a_paired_cuff_sent_before_it_could_be_called_on_is_kept_and_no_one_elses(
    corner: Corner, address: str, is_bonded: bool, is_kept: bool
) -> None:
    corner.meters.enrol("p", BLOOD_PRESSURE, "Pressure", NOW)
    corner.meters.note_seen(corner.meters.all()[-1], "A", MeterIdentity("A&D", "UA-651", "5190"), 80, NOW)
    meter = next(meter for meter in corner.meters.all() if meter.kind == BLOOD_PRESSURE)
    sighting = Sighting(address, "Pressure", (), cast(Any, None), is_bonded)
    fetching = corner.collector().fetch(cast(Radio, GoneRadio()), meter, sighting)

    if not is_kept:
        with pytest.raises(RadioError):
            asyncio.run(fetching)
    else:
        assert asyncio.run(fetching) == 1
        packet = corner.journal.new_packets()[0]
        assert not corner.journal.connection(packet.connection_id).is_clock_told
        assert not corner.journal.is_clock_told("p"), "it is asked before it is listened to the next time"
    assert len(corner.journal.new_packets()) == is_kept
