"""The same bytes again: one measurement is one reading however often it is sent, and an equal one that was asked for is
a reading of its own, also of a cuff whose clock falls back to one date at each switch-on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices import sealing, wire
from devices.journal import Connection, Journal
from devices.meters import BLOOD_PRESSURE
from devices.outbox import Outbox
from devices.sealer import Sealer
from devices.session import Session
from devices.simulator.models import Glucose

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
FALLS_BACK_TO = datetime(2021, 1, 1, tzinfo=UTC)
SECRET = X25519PrivateKey.generate()
INGEST = wire.PublicKey("ingest-1", SECRET.public_key().public_bytes_raw())
FIELD = bytes.fromhex("16800052006100e507010100000046000000")  # 128/82, stamped 1 January 2021 00:00:00
OTHER = bytes.fromhex("16900052006100e507010100000046000000")  # 144/82, stamped alike
NO_STAMP = bytes.fromhex("0078005000ffff")  # 120/80


@dataclass
class Corner:
    """A branch PC with one cuff. `now` moves on by itself with each thing that happens."""

    journal: Journal
    now: datetime = NOW
    connections: int = 0
    given: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.journal, "gateway", "branch")
        self.session = Session(self.journal, self.outbox)
        self.sealer = Sealer(self.journal, self.outbox, self.session, lambda: INGEST, "gateway", UTC)

    def wait(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def visit(self, name: str) -> None:
        """Let the next patient sit down."""
        self.session.open_visit(name, self.now)
        self.wait(minutes=1)

    def leave(self) -> None:
        assert self.session.open_visit_id
        self.session.close_visit(self.session.open_visit_id, self.now)

    def ask(self) -> None:
        """Let the counter ask for the next pressure of the series."""
        visit = self.session.open_visit_id or ""
        self.given[visit] = self.given.get(visit, 0) + 1
        self.session.ask_for(visit, BLOOD_PRESSURE, self.given[visit], self.now)

    def brings(self, *packets: bytes, kind: str = "2a35", offset_s: int | None = None, after_s: float = 40) -> None:
        """Let the cuff connect so long after, give packets and hang up. Its clock was switched on 45 s ago, unless told."""
        self.wait(seconds=after_s)
        shown = FALLS_BACK_TO + timedelta(seconds=45)
        offset = round((self.now - shown).total_seconds()) if offset_s is None else offset_s
        self.connections += 1
        name = f"c{self.connections}"
        self.journal.open_connection(Connection(name, "cuff", wire.iso(self.now), None, offset, "Maker", "Cuff"))
        for number, packet in enumerate(packets):
            self.wait(milliseconds=5)
            self.journal.keep_packet(name, number, kind, packet, wire.iso(self.now), self.session.stamp_at(self.now))
            self.sealer.seal_new()
        self.wait(seconds=2)
        self.journal.end_connection(name, wire.iso(self.now))
        self.sealer.seal_new()

    def sent(self) -> list[tuple[str | None, str]]:
        """Return visit and bytes of each reading in the sequence."""
        items = [item for item in self.outbox.next_batch() if item.kind == wire.READING]
        assert len({item.reading_key for item in items}) == len(items)
        return [(item.visit_id, self.record(item)["raw"]) for item in items]

    def record(self, item: wire.Item) -> dict[str, Any]:
        info = wire.ingest_info("gateway", "branch", item.key_id, item.seq, item.prev, item.visit_id, item.received_at)
        found: dict[str, Any] = json.loads(sealing.INGEST_SUITE.decrypt(wire.from_b64(item.sealed), SECRET, info))
        return found

    def visits(self) -> list[str | None]:
        return [visit for visit, _raw in self.sent()]


@pytest.fixture
def corner(tmp_path: Path) -> Iterator[Corner]:
    journal = Journal(tmp_path / "journal.db")
    yield Corner(journal)
    journal.close()


def test_equal_packets_of_three_visits_are_three_readings(corner: Corner) -> None:
    for name in ("maria", "ivan", "pelageya"):
        corner.visit(name)
        corner.ask()
        corner.brings(FIELD)
        corner.leave()
        corner.wait(minutes=28)

    assert corner.visits() == ["maria", "ivan", "pelageya"]


def test_equal_packets_of_one_series_are_two_readings(corner: Corner) -> None:
    corner.visit("maria")
    for _ in range(2):
        corner.ask()
        corner.brings(FIELD)

    assert corner.visits() == ["maria", "maria"]


def test_an_equal_packet_that_nobody_asked_for_is_the_one_of_before(corner: Corner) -> None:
    corner.visit("maria")
    corner.ask()
    corner.brings(FIELD)
    corner.brings(FIELD, after_s=5)
    corner.leave()
    corner.brings(FIELD)
    corner.visit("ivan")
    corner.brings(FIELD)

    assert corner.visits() == ["maria"]


def test_an_equal_packet_that_comes_more_than_a_minute_after_it_was_asked_for_is_the_one_of_before(corner: Corner) -> None:
    corner.visit("maria")
    corner.ask()
    corner.brings(FIELD)
    corner.ask()
    corner.brings(FIELD, after_s=61)

    assert corner.visits() == ["maria"]


@pytest.mark.parametrize(
    "stamp", [b"\xea\x07\x0b\x17\x0a\x02\x00", b"\xea\x07\x0b\x17\x0a\x01\x28"], ids=["10:02:00", "10:01:40"]
)
def test_an_equal_packet_with_a_stamp_that_can_be_trusted_is_one_reading_whoever_asks(
    corner: Corner, stamp: bytes
) -> None:
    packet = FIELD[:7] + stamp + FIELD[14:]
    corner.visit("maria")
    corner.ask()
    corner.brings(packet, offset_s=0)
    corner.ask()
    corner.brings(packet, offset_s=0)

    assert corner.visits() == ["maria"]


@pytest.mark.parametrize(
    ("stamp", "offset_s"),
    [(b"\xe3\x07\x01\x01\x00\x00\x00", 0), (b"\x34\x08\x01\x01\x00\x00\x00", 0), (b"\xea\x07\x0b\x16\x16\x01\x27", 43_201)],
    ids=["a stamp of 2019", "a stamp of 2100", "a clock 12 h and a second off"],
)
def test_a_stamp_that_proves_nothing_makes_no_later_measurement_a_copy(
    corner: Corner, stamp: bytes, offset_s: int
) -> None:
    packet = FIELD[:7] + stamp + FIELD[14:]
    corner.visit("maria")
    corner.ask()
    corner.brings(packet, offset_s=offset_s)
    first = len(corner.sent())
    corner.ask()
    corner.brings(packet, offset_s=offset_s)

    assert first == 1
    assert len(corner.sent()) == (2 if offset_s else 1), "only one that can be placed in a visit counts anew"


@pytest.mark.parametrize(("packet", "count"), [(FIELD, 1), (NO_STAMP, 2)])
def test_within_one_connection_equal_packets_with_a_stamp_are_one_and_without_two(
    corner: Corner, packet: bytes, count: int
) -> None:
    corner.visit("maria")
    corner.ask()
    corner.brings(packet, packet)

    assert len(corner.sent()) == count


@pytest.mark.parametrize(("old", "new"), [(FIELD, OTHER), (NO_STAMP, bytes.fromhex("0079005000ffff"))])
def test_a_cuff_that_sends_its_memory_again_gives_nobody_the_reading_of_the_one_before(
    corner: Corner, old: bytes, new: bytes
) -> None:
    """It is not known yet that this cuff does so: what else the connection brings tells."""
    corner.visit("maria")
    corner.ask()
    corner.brings(old)
    corner.leave()
    corner.wait(minutes=28)
    corner.visit("ivan")
    corner.ask()
    corner.brings(old, new)

    assert [raw for visit, raw in corner.sent() if visit == "maria"] == [old.hex()]
    assert ("maria", new.hex()) not in corner.sent()
    assert ("ivan", old.hex()) not in corner.sent()


def test_of_a_cuff_known_to_send_again_only_copies_beyond_those_known_are_new(corner: Corner) -> None:
    corner.visit("maria")
    corner.ask()
    corner.brings(FIELD)
    corner.leave()
    corner.wait(minutes=28)
    corner.brings(FIELD)  # with nobody there: it sends what it sent before
    corner.visit("ivan")
    corner.ask()
    corner.brings(FIELD)
    assert corner.visits() == ["maria"]

    corner.ask()
    corner.brings(FIELD, FIELD)
    assert corner.visits() == ["maria", "ivan"]

    corner.ask()
    corner.brings(FIELD, FIELD)
    assert corner.visits() == ["maria", "ivan"]

    corner.ask()
    corner.brings(FIELD, FIELD, FIELD)
    assert corner.visits() == ["maria", "ivan", "ivan"]


def test_it_is_remembered_over_a_restart_what_a_cuff_sent(corner: Corner) -> None:
    corner.visit("maria")
    corner.ask()
    corner.brings(FIELD)
    again = Corner(corner.journal, corner.now, corner.connections, corner.given)
    again.brings(FIELD)
    again.ask()
    again.brings(FIELD)

    assert again.visits() == ["maria", "maria"]


@pytest.mark.parametrize("fault", [b"\0\x08", b"\0\0"], ids=["time fault", "clock at fault in silence"])
@pytest.mark.parametrize("has_date", [True, False])
def test_the_number_of_a_glucose_record_stays_in_its_name(corner: Corner, fault: bytes, has_date: bool) -> None:
    """However often a record without a time is fetched it is one, and its neighbour with the same value another."""
    def record(number: int) -> bytes:
        raw = Glucose(number, 5.5, (NOW + timedelta(seconds=1)).replace(tzinfo=None)).measurement()[:-2] + fault
        return raw if has_date else raw[:3] + bytes(7) + raw[10:]

    for _ in range(3):
        corner.wait(minutes=30)
        corner.brings(record(1), record(2), kind="2a18", offset_s=0)

    assert len(corner.sent()) == 2


STAMPS = {"falls back": FIELD, "no stamp": NO_STAMP}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stamps=st.sampled_from(sorted(STAMPS)), keeps_memory=st.booleans(),
    story=st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6),
)  # fmt: skip
def test_one_measurement_is_one_row_and_nobody_elses_under_every_repeat(
    tmp_path_factory: pytest.TempPathFactory, stamps: str, keeps_memory: bool,
    story: list[tuple[bool, int, int]],
) -> None:  # fmt: skip
    """Patients come one after the other, or are measured again. Each is asked for and measured with one of three values;
    a cuff that keeps its memory sends all of it each time, any sends its last transfer again when the link broke. One
    that keeps its memory and has no clock at all must not stand on a shared table (docs/meters.md).
    """
    keeps_memory = keeps_memory and stamps == "falls back"
    journal = Journal(tmp_path_factory.mktemp("story") / "journal.db")
    corner, memory, taken, patient = Corner(journal), [], [], 0
    corner.visit("0")
    for is_next_patient, value, breaks in story:
        if is_next_patient:
            corner.leave()
            corner.wait(minutes=15)
            patient += 1
            corner.visit(str(patient))
        packet = STAMPS[stamps][:1] + bytes([STAMPS[stamps][1] + value]) + STAMPS[stamps][2:]
        memory = [*memory, packet] if keeps_memory else [packet]
        taken.append((str(patient), packet.hex()))
        corner.ask()
        corner.brings(*memory)
        for _ in range(breaks):
            corner.brings(*memory, after_s=1)
    rows = corner.sent()
    journal.close()

    assert len(rows) <= len(taken)
    for row in set(rows):
        visit, raw = row
        who = [of for of, measured in taken if measured == raw]
        assert visit is None or visit in who, "a reading stands in a visit in which it was not measured"
        assert rows.count(row) <= len(who)
        assert sum(one[1] == raw for one in rows) <= len(who)
