"""From packet to sealed record: strips, repeated packets, meters that number backwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices import sealing, wire
from devices.journal import Connection, Journal
from devices.meters import BLOOD_PRESSURE
from devices.outbox import Outbox
from devices.sealer import Sealer
from devices.session import Session
from devices.simulator.models import Glucose, Pressure

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECRET = X25519PrivateKey.generate()
INGEST = wire.PublicKey("ingest-1", SECRET.public_key().public_bytes_raw())
PRESSURE = bytes.fromhex("0078005000ffff")  # 120/80 mmHg, no time stamp


@dataclass
class Bench:
    """A journal with a visit open and packets put in by hand."""

    journal: Journal
    outbox: Outbox
    session: Session
    sealer: Sealer
    arrived: int = 0

    def connect(self, name: str, maker: str = "", model: str = "") -> None:
        """Open a connection; the one before is over."""
        self.journal.open_connection(Connection(name, "meter", wire.iso(NOW), None, 0, maker or None, model or None))

    def packet(self, connection: str, characteristic: str, raw: bytes) -> None:
        """Let a packet arrive a millisecond after the one before."""
        self.arrived += 1
        at = wire.iso(NOW + timedelta(milliseconds=self.arrived))
        self.journal.keep_packet(connection, self.arrived, characteristic, raw, at, self.session.open_visit_id)

    def records(self) -> list[dict[str, Any]]:
        """Seal what came and return all records of the chain."""
        self.sealer.seal_new()
        return [self._open(item) for item in self.outbox.next_batch() if item.kind == wire.READING]

    def _open(self, item: wire.Item) -> dict[str, Any]:
        info = wire.ingest_info("gateway", "branch", item.key_id, item.seq, item.prev, item.visit_id, item.received_at)
        record: dict[str, Any] = json.loads(sealing.INGEST_SUITE.decrypt(wire.from_b64(item.sealed), SECRET, info))
        return record


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    journal = Journal(tmp_path / "journal.db")
    outbox = Outbox(journal, "gateway", "branch")
    session = Session(journal, outbox)
    session.open_visit("visit", NOW)
    yield Bench(journal, outbox, session, Sealer(journal, outbox, session, lambda: INGEST, "gateway", UTC))
    journal.close()


def strip(number: int, mmol_per_l: float, meal: int | None = None) -> Glucose:
    return Glucose(number, mmol_per_l, (NOW + timedelta(seconds=1)).replace(tzinfo=None), meal=meal)


@pytest.mark.parametrize(
    ("maker", "model", "verdict", "reasons"),
    [("i-SENS", "CareSens Dual", "not_a_result", ["ketone", "unusual_glucose"]),
     ("i-SENS", "CareSens 1A2B", "not_a_result", ["strip_unknown", "unusual_glucose"]),
     ("Roche", "Guide", "not_a_result", ["strip_unknown", "unusual_glucose"])],
)  # fmt: skip
def test_a_ketone_strip_is_told_by_its_context(
    bench: Bench, maker: str, model: str, verdict: str, reasons: list[str]
) -> None:
    bench.connect("c", maker, model)
    record = strip(1, 0.6, meal=6)
    bench.packet("c", "2a18", record.measurement())
    bench.packet("c", "2a34", record.context() or b"")

    (found,) = bench.records()
    assert (found["verdict"], found["reasons"]) == (verdict, reasons)


def test_a_strip_whose_context_was_lost_is_no_result_whoever_made_the_meter(bench: Bench) -> None:
    for name, model in (("c", "CareSens Dual"), ("d", "Guide")):
        bench.connect(name, "maker", model)
        bench.packet(name, "2a18", strip(len(name), 4.5 if name == "c" else 4.6, meal=1).measurement())
        bench.journal.end_connection(name, wire.iso(NOW))

    for found in bench.records():
        assert (found["verdict"], found["reasons"]) == ("not_a_result", ["strip_unknown"])


@pytest.mark.parametrize("meals", [(1, 6), (6, 1), (0, 200)])
def test_of_two_contexts_the_one_against_glucose_counts_in_whatever_order(bench: Bench, meals: tuple[int, ...]) -> None:
    bench.connect("c", "maker", "model")
    for meal in meals:
        bench.packet("c", "2a34", strip(1, 5.5, meal=meal).context() or b"")
    bench.packet("c", "2a18", strip(1, 5.5, meal=1).measurement())

    (found,) = bench.records()
    assert (found["verdict"], found["reasons"]) == ("not_a_result", ["strip_unknown"])


def test_a_stamp_of_a_meter_whose_clock_was_at_fault_is_unknown(bench: Bench) -> None:
    """The packet of a usable result, with the sensor status "time fault" (bit 11) and without it."""
    for number, status in ((1, b"\0\0"), (2, b"\0\x08")):
        bench.connect(str(number), "maker", "model")
        raw = strip(number, 5.5).measurement()
        assert raw[0] & 8, "the simulated meter always sends its status"
        bench.packet(str(number), "2a18", raw[:-2] + status)

    good, bad = bench.records()
    assert (good["time_quality"], good["verdict"]) == ("corrected", "usable")
    assert (bad["effective_at"], bad["time_quality"]) == (None, "unknown")
    assert bad["reasons"] == ["time_unknown"]


def test_a_record_that_got_another_number_is_the_same_record(bench: Bench) -> None:
    for name, number in (("c", 0), ("d", 1)):
        bench.connect(name, "TaiDoc", "DM30b")
        bench.packet(name, "2a18", strip(number, 5.5).measurement())
    assert len(bench.records()) == 1

    for name in ("e", "f"):
        bench.connect(name, "Roche", "Guide")
        bench.packet(name, "2a18", strip(len(bench.records()) + 7, 6.5).measurement())
    assert len(bench.records()) == 3, "elsewhere the number belongs to the record"


def test_a_packet_without_time_stamp_sent_again_after_a_lost_link_is_one_reading(bench: Bench) -> None:
    bench.session.ask_for("visit", BLOOD_PRESSURE, 1, NOW)
    for name in ("c", "d", "e"):
        bench.connect(name)
        bench.packet(name, "2a35", PRESSURE)
        assert len(bench.records()) == 1

    bench.session.ask_for("visit", BLOOD_PRESSURE, 2, NOW)
    bench.connect("f")
    bench.packet("f", "2a35", PRESSURE)
    assert [record["ordinal"] for record in bench.records()] == [1, 2], "asked for anew, it is a new reading"


def test_outside_a_visit_a_packet_without_time_stamp_sent_again_is_one_reading_too(bench: Bench) -> None:
    bench.session.close_visit("visit", NOW)
    for name in ("c", "d"):
        bench.connect(name)
        bench.packet(name, "2a35", PRESSURE)
        assert len(bench.records()) == 1

    bench.arrived += 11 * 60_000
    bench.connect("e")
    bench.packet("e", "2a35", PRESSURE)
    assert len(bench.records()) == 2, "so much later it is another measurement"


def test_two_equal_packets_of_one_connection_are_two_readings(bench: Bench) -> None:
    bench.session.ask_for("visit", BLOOD_PRESSURE, 1, NOW)
    bench.connect("c")
    bench.packet("c", "2a35", PRESSURE)
    bench.packet("c", "2a35", PRESSURE)

    assert [record["ordinal"] for record in bench.records()] == [1, 2]


def test_a_connection_that_a_full_disk_left_open_holds_nothing_up(bench: Bench) -> None:
    bench.connect("c", "Roche", "Guide")
    bench.packet("c", "2a18", strip(1, 5.5, meal=1).measurement())
    assert bench.records() == []

    bench.connect("d", "Roche", "Guide")

    assert len(bench.records()) == 1


def test_a_packet_stamped_before_the_meters_clock_was_set_back_is_not_the_next_patients(bench: Bench) -> None:
    ahead_s = 1200
    bench.session.close_visit("visit", NOW + timedelta(minutes=5))
    stamp = (NOW + timedelta(minutes=2, seconds=ahead_s)).replace(tzinfo=None)
    # The clock is found ahead and set; the link breaks before the packet comes.
    bench.journal.open_connection(Connection("c", "meter", wire.iso(NOW + timedelta(minutes=3)), None, -ahead_s))
    bench.session.open_visit("next", NOW + timedelta(minutes=20))
    # Fetched twenty minutes after it could have been stamped by the old clock, a packet is beyond doubt.
    for name, minutes, at in (("d", 25, stamp), ("e", 50, (NOW + timedelta(minutes=50)).replace(tzinfo=None))):
        moment = wire.iso(NOW + timedelta(minutes=minutes))
        bench.journal.open_connection(Connection(name, "meter", moment, None, 0))
        bench.journal.keep_packet(name, 1, "2a35", Pressure(120, 80, 70, at).packet(), moment, "next")
    bench.sealer.seal_new()

    assert [item.visit_id for item in bench.outbox.next_batch() if item.kind == wire.READING] == [None, "next"]


def test_a_packet_left_over_when_the_link_broke_is_placed_by_the_clock_that_stamped_it(bench: Bench) -> None:
    behind_s = 600
    # The clock is found behind and set; the link breaks before the first packet comes.
    bench.journal.open_connection(Connection("c", "meter", wire.iso(NOW), None, behind_s))
    left_over = (NOW - timedelta(seconds=30 + behind_s)).replace(tzinfo=None)
    taken_since = (NOW + timedelta(seconds=90)).replace(tzinfo=None)
    moment = wire.iso(NOW + timedelta(minutes=2))
    bench.journal.open_connection(Connection("d", "meter", moment, None, 1))
    for number, stamp in enumerate((left_over, taken_since)):
        bench.journal.keep_packet("d", number + 1, "2a35", Pressure(120, 80, 70, stamp).packet(), moment, "visit")

    found = [(record["effective_at"], record["offset_s"], record["reasons"]) for record in bench.records()]
    assert found == [
        (wire.iso(NOW - timedelta(seconds=30)), behind_s, ["clock_drift"]),
        (wire.iso(NOW + timedelta(seconds=91)), 1, []),
    ]


@pytest.mark.parametrize(("is_whole", "expected"), [(True, "visit"), (False, None)])
def test_a_record_newer_than_all_the_meter_had_is_stamped_by_the_clock_found_then(
    bench: Bench, is_whole: bool, expected: str | None
) -> None:
    """The clock went wrong before the connection "d". Only when "d" emptied the meter, nothing is left of before."""
    behind_s = 3 * 3600
    for name, minutes, offset_s in (("c", -60, 0), ("d", -30, behind_s)):
        moment = wire.iso(NOW + timedelta(minutes=minutes))
        bench.journal.open_connection(Connection(name, "meter", moment, None, offset_s))
    if is_whole:
        bench.journal.note_whole("d")
    moment = wire.iso(NOW + timedelta(seconds=30))
    bench.journal.open_connection(Connection("e", "meter", moment, None, behind_s))
    record = Glucose(8, 6.1, (NOW + timedelta(seconds=20 - behind_s)).replace(tzinfo=None))
    bench.journal.keep_packet("e", 1, "2a18", record.measurement(), moment, "visit")
    bench.sealer.seal_new()

    assert [item.visit_id for item in bench.outbox.next_batch() if item.kind == wire.READING] == [expected]
