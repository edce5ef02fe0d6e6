"""Chain, visits and orders: numbered without a gap, each effect once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices import sealing, wire
from devices.journal import Journal, JournalFull
from devices.meters import BLOOD_PRESSURE, GLUCOSE, EnrolledMeters, MeterIdentity
from devices.orders import Orders
from devices.outbox import Outbox
from devices.pairing import ENROLLED, FAILED, FOUND, LINK_LOST, LOOK_FOR_S, LOOKING, PASSKEY_NEEDED, Enrolments
from devices.session import Session
from tests.devices.fake_server import FakeServer

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
AT = wire.iso(NOW)
SECRET = X25519PrivateKey.generate()
INGEST = wire.PublicKey("ingest-1", SECRET.public_key().public_bytes_raw())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def outbox(journal: Journal) -> Outbox:
    return Outbox(journal, "gateway", "branch")


def fill(outbox: Outbox, number: int) -> None:
    for count in range(number):
        assert outbox.append_reading(f"key-{count}", None, AT, INGEST, b"{}")


def answer(watermark: int) -> wire.ReadingsAnswer:
    return wire.ReadingsAnswer("epoch", watermark, ())


def test_items_are_chained_and_open_only_in_their_place(outbox: Outbox) -> None:
    fill(outbox, 3)
    batch = outbox.next_batch()
    prev = wire.CHAIN_START
    for seq, item in enumerate(batch, 1):
        assert (item.seq, item.prev) == (seq, prev)
        assert item.hash == wire.chain_hash("gateway", "branch", replace(item, hash=""))
        prev = item.hash
    info = wire.ingest_info("gateway", "branch", "ingest-1", 2, batch[1].prev, None, AT)

    assert sealing.INGEST_SUITE.decrypt(wire.from_b64(batch[1].sealed), SECRET, info) == b"{}"
    with pytest.raises(InvalidTag):
        sealing.INGEST_SUITE.decrypt(wire.from_b64(batch[0].sealed), SECRET, info)


def test_a_measurement_stands_in_the_chain_once(outbox: Outbox) -> None:
    assert outbox.append_reading("key", None, AT, INGEST, b"{}")
    assert not outbox.append_reading("key", "another-visit", AT, INGEST, b"{}")
    assert outbox.stored() == 1


def test_a_measurement_stays_known_after_its_item_was_dropped(outbox: Outbox) -> None:
    fill(outbox, 2)
    outbox.note_answer(answer(2))
    outbox.journal.forget_before("2027-01-01")

    assert outbox.stored() == 1
    assert not outbox.append_reading("key-0", None, AT, INGEST, b"{}")


def test_a_batch_has_at_most_200_items_and_fits_the_server(outbox: Outbox) -> None:
    fill(outbox, 205)
    assert [item.seq for item in outbox.next_batch()] == list(range(1, 201))

    for count in range(20):
        outbox.append_reading(f"large-{count}", None, AT, INGEST, bytes(40_000))
    outbox.note_answer(answer(205))

    assert 200_000 < len(wire.readings_request("gateway", "epoch", outbox.next_batch())) < 512_000


def test_only_what_the_watermark_covers_counts_as_sent(outbox: Outbox) -> None:
    fill(outbox, 5)

    assert outbox.note_answer(answer(3))
    assert [item.seq for item in outbox.next_batch()] == [4, 5]
    assert not outbox.note_answer(answer(3)), "no progress"


def test_a_new_epoch_queues_again_what_the_server_lost(outbox: Outbox) -> None:
    fill(outbox, 5)
    outbox.note_answer(answer(5))
    outbox.has_news.clear()

    assert outbox.enter_epoch("restored", 2)
    assert outbox.epoch() == "restored"
    assert [item.seq for item in outbox.next_batch()] == [3, 4, 5]
    assert outbox.has_news.is_set()


def test_a_server_that_asks_for_what_is_long_gone_is_told_the_truth(outbox: Outbox) -> None:
    fill(outbox, 3)
    outbox.note_answer(answer(3))
    outbox.journal.forget_before("2027-01-01")

    assert not outbox.send_again_from(1)
    assert outbox.send_again_from(3)


def test_visits_stand_in_the_sequence_and_only_one_is_open(journal: Journal, outbox: Outbox) -> None:
    session = Session(journal, outbox)
    session.open_visit("first", NOW)
    session.open_visit("first", NOW)
    session.open_visit("second", NOW)
    session.close_visit("first", NOW)
    kinds = [(item.kind, item.visit_id) for item in outbox.next_batch()]

    assert kinds == [("visit_opened", "first"), ("visit_closed", "first"), ("visit_opened", "second")]
    assert Session(journal, outbox).open_visit_id == "second", "an open visit survives a restart"


def test_ordinals_follow_the_order_and_never_repeat(journal: Journal, outbox: Outbox) -> None:
    session = Session(journal, outbox)
    session.open_visit("v", NOW)
    assert session.expected("v", BLOOD_PRESSURE).ordinal == 1

    session.ask_for("v", BLOOD_PRESSURE, 2, NOW)
    assert session.expected("v", BLOOD_PRESSURE).ordinal == 2

    session.note_taken("v", BLOOD_PRESSURE, 2)
    session.ask_for("v", BLOOD_PRESSURE, 2, NOW)
    assert session.expected("v", BLOOD_PRESSURE).ordinal == 3
    assert session.expected("v", GLUCOSE).ordinal == 1


def test_orders_take_effect_once_and_a_bad_one_holds_up_nothing(journal: Journal, outbox: Outbox) -> None:
    async def run() -> None:
        session, meters, pressed = Session(journal, outbox), EnrolledMeters(journal), []

        async def press(facts: dict[str, object]) -> None:
            pressed.append(facts)

        orders = Orders(journal, FakeServer().identity(), session, meters, Enrolments(journal), lambda: NOW, press)
        given = (
            wire.Order(1, "enrol_meter", {"enrolment_id": "m", "meter": "blood_pressure", "name": "A&D"}),
            wire.Order(2, "enrol_meter", {"enrolment_id": "n", "meter": "thermometer", "name": "x"}),
            wire.Order(3, "make_coffee", {}),
            wire.Order(4, "open_visit", {"visit_id": "v"}),
            wire.Order(5, "simulate", {"meter": "glucose", "values": None, "fault": None}),
            wire.Order(6, "ingest_key", INGEST.as_json()),
        )
        await orders.execute(given)
        await orders.execute(given)

        assert [meter.enrolment_id for meter in meters.all()] == ["m"]
        assert session.open_visit_id == "v"
        assert len(pressed) == 1
        assert orders.last() == 6
        assert orders.ingest_key() == INGEST
        assert outbox.stored() == 1

    asyncio.run(run())


def test_digits_just_typed_are_not_asked_for_again(journal: Journal) -> None:
    enrolments = Enrolments(journal)
    enrolments.begin("m")
    enrolments.note("m", PASSKEY_NEEDED)
    enrolments.give_passkey("m", "12345")
    assert enrolments.report("m", is_known=False)["enrolment"] == PASSKEY_NEEDED, "that was nonsense"
    enrolments.give_passkey("m", "123456")

    assert enrolments.report("m", is_known=False)["enrolment"] == FOUND


def test_digits_asked_for_late_in_the_minute_are_taken_and_nobody_calls_the_meter_paired(journal: Journal) -> None:
    now_s = 0.0
    enrolments = Enrolments(journal, lambda: now_s)
    enrolments.begin("m")
    now_s = 55.0
    enrolments.note("m", PASSKEY_NEEDED)
    now_s = 75.0
    assert enrolments.report("m", is_known=True)["enrolment"] == PASSKEY_NEEDED
    enrolments.give_passkey("m", "123456")

    assert enrolments.report("m", is_known=True)["enrolment"] == FOUND


def test_a_meter_that_went_away_while_it_was_paired_anew_is_not_paired(journal: Journal) -> None:
    now_s = 0.0
    enrolments = Enrolments(journal, lambda: now_s)
    enrolments.begin("m")
    enrolments.note("m", LOOKING)
    now_s = LOOK_FOR_S
    assert enrolments.report("m", is_known=True)["enrolment"] == ENROLLED, "it was not found and keeps what it had"

    enrolments.begin("m")
    begun = enrolments.open("m")
    assert begun is not None
    begun.is_fresh = True
    now_s += LOOK_FOR_S
    assert enrolments.report("m", is_known=True) == {"enrolment": FAILED, "enrolment_code": LINK_LOST}


def test_a_meter_is_known_by_name_then_by_address_and_another_serial_is_refused(journal: Journal) -> None:
    meters = EnrolledMeters(journal)
    meters.enrol("m", BLOOD_PRESSURE, "A&D_UA-651", NOW)

    assert meters.recognise("aa", "Neighbour", ["1810"], by_kind=False) is None
    assert meters.recognise("aa", "A&D_UA-651BLE_C3", ["1808"], by_kind=False) is None
    meter = meters.recognise("aa", "A&D_UA-651BLE_C3", ["1810"], by_kind=False)
    assert meter is not None

    assert meters.note_seen(meter, "aa", MeterIdentity("A&D", "UA-651", "5190", "1"), 80, NOW)
    bound = meters.recognise("aa", "", ["1810"], by_kind=False)
    assert bound is not None
    assert not meters.note_seen(bound, "aa", MeterIdentity(serial="other"), None, NOW)
    assert meters.recognise("bb", "A&D_UA-651BLE_C4", ["1810"], by_kind=True) is None, "it is bound already"
    meters.forget("m", NOW)
    assert meters.recognise("aa", "A&D_UA-651BLE_C3", ["1810"], by_kind=True) is None


def test_a_visit_that_a_full_disk_kept_from_closing_is_closed_at_the_next_try(
    journal: Journal, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(journal, outbox)
    orders = Orders(
        journal, FakeServer().identity(), session, EnrolledMeters(journal), Enrolments(journal), lambda: NOW
    )

    def full(name: str, value: str) -> None:
        raise JournalFull("no room")

    def give(order: wire.Order) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "remember", full)
            with pytest.raises(JournalFull):
                asyncio.run(orders.execute((order,)))

    opening = wire.Order(1, "open_visit", {"visit_id": "visit"})
    give(opening)
    assert session.open_visit_id is None
    asyncio.run(orders.execute((opening,)))
    closing = wire.Order(2, "close_visit", {"visit_id": "visit"})
    give(closing)
    assert session.open_visit_id == "visit"
    asyncio.run(orders.execute((closing,)))

    assert session.open_visit_id is None
    assert Session(journal, outbox).open_visit_id is None, "closed on the disk too"
    assert [item.kind for item in outbox.next_batch()] == ["visit_opened", "visit_closed"]
