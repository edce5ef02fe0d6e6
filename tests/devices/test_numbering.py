"""Which records of a glucose meter are new: by its count and its newest record, not by its numbers alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from devices import profiles
from devices.journal import Connection
from devices.meters import MeterIdentity, named
from devices.simulator.models import ACCESS, GlucoseModel, MeterClock, Persona
from tests.devices.test_collector import Corner as Desk
from tests.devices.test_whole_path import VISIT, Corner, in_corner

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).replace(tzinfo=None)
NAMELESS = Persona("Manufacturer Name", "Model Number", is_reversed=True)
UPWARDS = Persona("Manufacturer Name", "Model Number")
NOBODY = MeterIdentity(None, "SIM-GL")


class ModelLink:
    """A link to the simulated meter's memory. Records in `lost` never come; `refusals` are codes by operator."""

    def __init__(
        self, model: GlucoseModel, *, lost: tuple[int, ...] = (), refusals: dict[int, int] | None = None,
        tells_number: bool = True,
    ) -> None:  # fmt: skip
        self.lost = asyncio.Event()
        self.asked: list[str] = []
        self._model, self._missing, self._refusals = model, lost, refusals or {}
        self._tells_number = tells_number
        self._hear: dict[str, Callable[[bytes], None]] = {}

    def offers(self, characteristic: str) -> bool:
        return True

    async def subscribe(self, characteristic: str, on_value: Callable[[bytes], None]) -> None:
        self._hear[characteristic] = on_value

    async def write(self, characteristic: str, value: bytes) -> None:
        self.asked.append(value.hex())
        if value[0] == 4 and not self._tells_number:
            self._hear[ACCESS](bytes([6, 0, 4, 2]))
        elif value[0] == 1 and value[1] in self._refusals:
            self._hear[ACCESS](bytes([6, 0, 1, self._refusals[value[1]]]))
        else:
            for name, raw in self._model.answer(value):
                if name == ACCESS or int.from_bytes(raw[1:3], "little") not in self._missing:
                    self._hear[name](raw)


class Memory:
    """A meter's memory and the desk that fetches from it."""

    def __init__(self, folder: Path, persona: Persona = UPWARDS) -> None:
        self.desk = Desk(folder)
        self.model = GlucoseModel(MeterClock(self._shown), random.Random(1))
        self.model.persona = persona
        self.at = NOON
        self.link = ModelLink(self.model)

    def _shown(self) -> datetime:
        return self.at

    def measure(self, *values: float) -> None:
        for value in values:
            self.at += timedelta(minutes=1)
            self.model.take({"mmol_per_l": value}, None)

    def fetch(self, **how: object) -> list[float]:
        """Fetch once and return the values that came and were not here before."""
        before = set(self.desk.journal.rows("select hex(substr(raw, 4)) from packet"))
        self.link = ModelLink(self.model, **how)  # type: ignore[arg-type]
        self.desk.call(cast(object, self.link), NOBODY)  # type: ignore[arg-type]
        rows = self.desk.journal.rows("select raw, hex(substr(raw, 4)) from packet where characteristic = '2a18'")
        fresh = {row[1]: row[0] for row in rows if (row[1],) not in before}
        return [float(profiles.decode("2a18", raw)["mmol_per_l"]) for raw in fresh.values()]

    @property
    def trouble(self) -> str | None:
        return self.desk.collector().troubles.of("m", datetime(2026, 11, 23, 10, tzinfo=UTC))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    made = Memory(tmp_path)
    yield made
    made.desk.journal.close()


@pytest.fixture
def nameless(tmp_path: Path) -> Iterator[Memory]:
    made = Memory(tmp_path, NAMELESS)
    yield made
    made.desk.journal.close()


def test_three_of_four_is_not_whole_and_the_meters_word_counts_the_third_time(memory: Memory) -> None:
    memory.measure(4.1, 4.2, 4.3, 4.4)

    for _ in range(2):
        memory.fetch(lost=(3,))
        assert memory.desk.mark is None
        assert not memory.desk.journal.count("select count(*) from connection where is_whole")
        assert memory.trouble is None

    memory.fetch(lost=(3,))
    assert memory.desk.mark == 4
    assert memory.trouble == "records_missing"
    memory.measure(4.5)
    assert memory.fetch() == [4.5]


def test_a_record_that_comes_the_next_time_is_taken_and_nothing_is_told(memory: Memory) -> None:
    memory.measure(4.1, 4.2, 4.3, 4.4)
    memory.fetch(lost=(3,))

    assert memory.fetch() == [4.3]
    assert (memory.desk.mark, memory.trouble) == (4, None)


@pytest.mark.parametrize("missing", [(3,), (4,), (3, 4)])
def test_new_ones_that_did_not_come_are_asked_for_with_all_the_others(memory: Memory, missing: tuple[int, ...]) -> None:
    memory.measure(4.1, 4.2)
    memory.fetch()
    memory.measure(4.3, 4.4)

    memory.fetch(lost=missing)
    assert "0101" in memory.link.asked
    assert memory.desk.mark == 2
    memory.fetch()
    assert memory.desk.mark == 4


@pytest.mark.parametrize("code", [2, 3, 4, 5, 8, 9])
def test_a_meter_that_does_not_know_newer_than_is_asked_for_all(memory: Memory, code: int) -> None:
    memory.measure(4.1, 4.2)
    memory.fetch()
    memory.measure(4.3)

    assert memory.fetch(refusals={3: code}) == [4.3]
    assert memory.desk.mark == 3


@pytest.mark.parametrize("code", [2, 8])
def test_a_meter_that_never_gives_all_is_told_and_its_mark_stays(memory: Memory, code: int) -> None:
    memory.measure(4.1)

    for _ in range(3):
        memory.fetch(refusals={1: code})
    assert (memory.desk.mark, memory.trouble) == (None, "records_missing")


@pytest.mark.parametrize("refilled", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("tells_number", [True, False])
def test_a_memory_cleared_and_filled_again_is_noticed(memory: Memory, refilled: int, tells_number: bool) -> None:
    memory.measure(4.1, 4.2, 4.3)
    memory.fetch(tells_number=tells_number)
    memory.model.memory.clear()
    values = [6.0 + number / 10 for number in range(refilled)]
    memory.measure(*values)

    assert sorted(memory.fetch(tells_number=tells_number)) == values
    assert memory.desk.mark == refilled


def test_a_full_memory_that_drops_its_oldest_gives_its_newest(memory: Memory) -> None:
    memory.measure(4.1, 4.2, 4.3)
    memory.fetch()
    memory.measure(4.4)
    del memory.model.memory[0]

    assert memory.fetch() == [4.4]
    assert memory.link.asked.count("0101") == 0


@pytest.mark.parametrize("refusals", [{}, {6: 4}])
@pytest.mark.parametrize("tells_number", [True, False])
@pytest.mark.parametrize("first", [1, 3])
def test_a_meter_without_a_name_that_calls_its_newest_0_gives_each_new_record(
    nameless: Memory, refusals: dict[int, int], tells_number: bool, first: int
) -> None:
    """Asked for "newer than the last" alone it would give its oldest record again and again."""
    nameless.measure(*[4.1, 4.2, 4.3][:first])
    nameless.fetch(tells_number=tells_number, refusals=refusals)

    for value in (8.2, 9.3, 5.1):
        nameless.measure(value)
        assert nameless.fetch(tells_number=tells_number, refusals=refusals) == [value]


def test_a_stale_record_under_a_new_number_is_nobodys_reading(tmp_path: Path) -> None:
    """A record of this very visit would be taken for the one asked for, were its number believed."""

    async def story(corner: Corner) -> None:
        corner.rig.glucose.model.persona = NAMELESS
        async with corner.gateway():
            await corner.until_done()
            for number, value in enumerate((5.1, 8.2, 9.3), 1):
                corner.server.order("take_series", visit_id=VISIT, meter="glucose", ordinal=number)
                await corner.until_done()
                await corner.rig.glucose.take({"mmol_per_l": value}, None)
                await corner.until_records(number)
            await corner.until_sent()

        records = corner.records()
        assert [float(record["decoded"]["mmol_per_l"]) for record in records] == [5.1, 8.2, 9.3]
        assert [record["ordinal"] for record in records] == [1, 2, 3]
        assert {record["meter"]["manufacturer"] for record in records} == {None}

    in_corner(tmp_path, story)


@pytest.mark.parametrize("text", ["Manufacturer Name", "model number", "Serial Number", "0000000", "FFF", "N/A", " ", None])
def test_a_placeholder_names_nobody(text: str | None) -> None:
    assert named(text) is None


@pytest.mark.parametrize("text", ["A&D Medical", "UA-651BLE", "5190400012", "X4"])
def test_a_name_is_a_name(text: str) -> None:
    assert named(text) == text


def test_what_a_connection_brought_waits_for_its_end_only_while_it_must(memory: Memory) -> None:
    held = Connection("h", "m", "2026-11-23T10:00:00.000Z", is_held=True, is_clock_told=False)
    memory.desk.journal.open_connection(held)
    assert memory.desk.journal.connection("h").waits

    memory.desk.journal.end_connection("h", "2026-11-23T10:00:01.000Z")
    assert memory.desk.journal.connection("h") == Connection(
        "h", "m", held.opened_at, "2026-11-23T10:00:01.000Z", is_held=True, is_clock_told=False
    )
