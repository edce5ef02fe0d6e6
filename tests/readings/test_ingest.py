"""A gateway's batch: judged item by item, stored once, refused whole only for its place in the chain."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import event, func, select, update

from telemed.bootstrap import Application
from telemed.branches.models import Gateway, Meter
from telemed.checkup.models import SeriesStep, Visit
from telemed.crypto import signing, wire
from telemed.ids import new_id
from telemed.readings.events import ReadingStored, SeriesComplete
from telemed.readings.models import Reading, Transmission
from telemed.readings.wire import Record
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands, meter_of
from tests.readings.sender import PATH, SUITE, Sender, later, pressure

GOLDEN = json.loads((Path(__file__).parent.parent / "contract" / "wire-readings.json").read_text(encoding="utf-8"))


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def visit(hands: Hands) -> UUID:
    return hands.visit(cast.MARIA)


def count(services: Services, table: type) -> int:
    with services.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


# --- the golden batch ---------------------------------------------------------------------------------------------


def test_the_golden_batch_is_what_the_server_would_compute() -> None:
    batch = json.loads(GOLDEN["request_body"])
    ingest = X25519PrivateKey.from_private_bytes(base64.b64decode(GOLDEN["keys"]["ingest"]["private"]))
    gateway = base64.b64decode(GOLDEN["keys"]["gateway"]["public"])
    body = GOLDEN["request_body"].encode()
    signature = base64.b64decode(GOLDEN["request_headers"]["Telemed-Signature"])

    assert signing.verify(gateway, signature, wire.request_message("POST", GOLDEN["path"], body))
    for item, step in zip(batch["items"], GOLDEN["steps"], strict=True):
        assert wire.chain_hash(GOLDEN["gateway_id"], GOLDEN["branch_id"], item) == step["hash"] == item["hash"]
        if item["sealed"]:
            info = wire.ingest_info(GOLDEN["gateway_id"], GOLDEN["branch_id"], item)
            plaintext = SUITE.decrypt(base64.b64decode(item["sealed"]), ingest, info=info)
            assert info.hex() == step["info_hex"]
            assert plaintext.decode() == step["plaintext"]
            Record.model_validate_json(plaintext)


def test_the_golden_answer_carries_the_signature_we_would_make() -> None:
    server = base64.b64decode(GOLDEN["keys"]["server"]["public"])
    message = wire.answer_message(
        GOLDEN["path"], GOLDEN["request_body"].encode(), GOLDEN["response_body"].encode()
    )  # fmt: skip

    assert message.hex() == GOLDEN["response_signed_hex"]
    assert signing.verify(
        server, base64.b64decode(GOLDEN["response_headers"]["Telemed-Server-Signature"]), message
    )  # fmt: skip


# --- items --------------------------------------------------------------------------------------------------------


def test_a_reading_of_an_open_visit_enters_the_record(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    sender.reading(visit, decoded=pressure(151, 88, 70))

    assert sender.judged() == [("accepted", None), ("accepted", None)]
    with services.db.read() as tx:
        reading = tx.scalars(select(Reading)).one()
        assert (reading.patient_id, reading.visit_id, reading.status) == (cast.MARIA.id, visit, "usable")
        assert services.vault.open(tx, reading, "clinical")["decoded"]["systolic_mmhg"] == 151


def test_the_answer_is_signed_and_names_epoch_and_watermark(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    response = sender.post()
    with services.db.write() as tx:
        key = services.signer.key_for(tx, "server")
    message = wire.answer_message(PATH, sender.body, response.data)
    signature = base64.b64decode(response.headers["Telemed-Server-Signature"])

    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    assert response.headers["Telemed-Server-Key"] == str(key.id)
    assert response.get_json()["epoch"] == str(services.epoch)
    assert response.get_json()["watermark"] == 1


def test_what_was_sent_before_is_a_duplicate(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    sender.reading(visit)
    assert sender.judged() == [("accepted", None)] * 2

    assert sender.judged() == [("duplicate", None)] * 2
    assert count(services, Reading) == 1


def test_a_batch_half_known_is_taken_from_where_it_is_new(sender: Sender, visit: UUID) -> None:
    sender.opened(visit)
    sender.judged()
    sender.reading(visit)

    assert sender.judged() == [("duplicate", None), ("accepted", None)]


def test_other_bytes_under_a_known_number_are_a_conflict(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    sender.judged()
    forged = {**sender.items[0], "visit_id": None}

    assert sender.judged([forged]) == [("conflict", "other_bytes")]
    assert count(services, Transmission) == 1


def test_a_measurement_sent_under_a_new_number_is_a_duplicate(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    record = sender.record()
    sender.reading(visit, **record)
    sender.reading(visit, **record)

    assert sender.judged()[1:] == [("accepted", None), ("duplicate", "reading_known")]
    assert count(services, Reading) == 1


def test_an_event_id_used_before_is_a_conflict_and_the_sequence_goes_on(sender: Sender, visit: UUID) -> None:
    first = sender.opened(visit)
    sender.add("visit_closed", visit, event_id=first["event_id"])
    sender.add("visit_opened", visit)

    assert sender.judged() == [("accepted", None), ("conflict", "event_id_used"), ("accepted", None)]
    assert sender.post().get_json()["watermark"] == 3


def test_a_reading_before_the_visit_was_opened_is_quarantined(sender: Sender, visit: UUID) -> None:
    sender.reading(visit)

    assert sender.judged() == [("quarantined", "visit_not_open")]


def test_a_reading_after_the_visit_was_closed_is_quarantined(sender: Sender, visit: UUID) -> None:
    sender.opened(visit)
    sender.closed(visit)
    sender.reading(visit)

    assert sender.judged()[2] == ("quarantined", "visit_not_open")


def test_a_reading_that_arrived_before_the_close_is_taken_though_its_number_comes_after(
    services: Services, sender: Sender, visit: UUID
) -> None:
    sender.opened(visit)
    sender.add("visit_closed", visit, received_at=later(services.clock, seconds=5))
    sender.reading(visit)

    assert sender.judged()[2] == ("accepted", None)


@pytest.mark.parametrize("visit_id", [None, new_id()])
def test_a_reading_without_a_known_visit_is_quarantined(sender: Sender, visit_id: UUID | None) -> None:
    sender.reading(visit_id)

    assert sender.judged() == [("quarantined", "no_visit")]


def test_a_reading_named_for_a_visit_of_another_branch_is_quarantined(sender: Sender, hands: Hands) -> None:
    elsewhere = hands.visit(cast.PELAGEYA)
    sender.opened(elsewhere)
    sender.reading(elsewhere)

    assert sender.judged()[1] == ("quarantined", "visit_elsewhere")


@pytest.mark.parametrize("meter", [meter_of(cast.SOSNOVO, "blood_pressure"), new_id()], ids=["foreign", "unknown"])
def test_a_meter_that_is_not_this_branchs_is_quarantined(sender: Sender, visit: UUID, meter: UUID) -> None:
    sender.opened(visit)
    sender.reading(visit, meter={"enrolment_id": str(meter)})

    assert sender.judged()[1] == ("quarantined", "meter_not_enrolled")


def test_a_meter_that_is_not_this_branchs_is_called_so_outside_a_visit_too(sender: Sender, visit: UUID) -> None:
    """Else two people could vouch for what another meter sent over the pairing of the enrolled one."""
    sender.opened(visit)
    sender.reading(None, meter={"enrolment_id": str(new_id())})

    assert sender.judged()[1] == ("quarantined", "meter_not_enrolled")


def test_a_meter_removed_since_still_counts_for_what_came_before(
    sender: Sender, visit: UUID, services: Services, clock: Clock
) -> None:
    sender.opened(visit)
    sender.reading(visit)
    clock.forward(hours=1)
    with services.db.write() as tx:
        tx.execute(update(Meter).values(removed_at=clock()))
    clock.forward(hours=1)
    sender.reading(visit)

    assert sender.judged()[1:] == [("accepted", None), ("quarantined", "meter_not_enrolled")]


@pytest.mark.parametrize(
    ("effective", "judged"),
    [
        ({"seconds": -29}, ("accepted", None)),
        ({"seconds": -31}, ("quarantined", "outside_window")),
        ({"days": -3}, ("quarantined", "outside_window")),
    ],
)
def test_an_old_memory_of_the_meter_is_not_given_to_the_patient(
    sender: Sender, visit: UUID, clock: Clock, effective: dict[str, float], judged: tuple[str, str | None]
) -> None:
    sender.opened(visit)
    sender.reading(visit, effective_at=later(clock, **effective), time_quality="meter")

    assert sender.judged()[1] == judged


def test_a_reading_from_the_future_is_quarantined(sender: Sender, visit: UUID, clock: Clock) -> None:
    sender.opened(visit)
    sender.reading(visit, effective_at=later(clock, seconds=119))
    sender.reading(visit, effective_at=later(clock, seconds=121))

    assert sender.judged()[1:] == [("accepted", None), ("quarantined", "outside_window")]


def test_a_reading_without_a_time_is_quarantined(sender: Sender, visit: UUID) -> None:
    sender.opened(visit)
    sender.reading(visit, effective_at=None, time_quality="unknown")

    assert sender.judged()[1] == ("quarantined", "time_unknown")


def test_what_arrives_after_the_visit_was_closed_on_the_server_is_still_accepted(
    sender: Sender, visit: UUID, services: Services, clock: Clock
) -> None:
    sender.opened(visit)
    sender.reading(visit)
    sender.closed(visit)
    with services.db.write() as tx:
        tx.execute(update(Visit).values(state="closed", closed_at=clock()))
    clock.forward(days=5)

    assert sender.judged() == [("accepted", None)] * 3


def test_an_item_sealed_to_another_key_or_place_is_rejected(sender: Sender, visit: UUID) -> None:
    sender.opened(visit)
    good = sender.reading(visit)
    kept = {name: good[name] for name in ("sealed", "key_id")}
    sender.add("reading", visit, **{**kept, "reading_key": "ab" * 32})
    sender.add("reading", visit, **{**kept, "reading_key": "cd" * 32, "key_id": str(new_id())})
    sender.add("reading", visit, **{**kept, "reading_key": "ef" * 32, "sealed": "not base64"})

    assert sender.judged()[1:] == [("accepted", None), *[("rejected", "unsealable")] * 3]


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"kind": "weight"},
        {"raw": "zz"},
        {"verdict": "fine"},
        {"meter": {}},
        {"decoded": 5},
        {"effective_at": "yesterday"},
        {"effective_at": "2026-11-23T10:00:00"},
        {"received_at": "0001-01-01T00:00:00+14:00"},
        {"source": "typed"},
    ],
    ids=lambda change: next(iter(change)) + "=" + str(next(iter(change.values())))[:12],
)
def test_a_record_that_cannot_be_read_is_rejected(sender: Sender, visit: UUID, change: dict[str, Any]) -> None:
    sender.opened(visit)
    sender.reading(visit, **change)

    assert sender.judged()[1] == ("rejected", "record_invalid")


def test_sealed_bytes_that_are_no_json_are_rejected(sender: Sender, visit: UUID) -> None:
    sender.opened(visit)
    sender.add("reading", visit, record=b"\xff\x00 no json")

    assert sender.judged()[1] == ("rejected", "record_invalid")


@pytest.mark.parametrize("stamp", ["now", "2026-11-23T10:00:00", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"])
def test_a_stamp_that_is_no_moment_is_rejected_and_the_sequence_goes_on(
    sender: Sender, visit: UUID, stamp: str
) -> None:
    sender.add("visit_opened", visit, received_at=stamp)
    sender.opened(visit)

    assert sender.judged() == [("rejected", "time_invalid"), ("accepted", None)]


def test_simulated_readings_exist_in_a_demo_only(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    sender.reading(visit, source="simulated")
    sender.reading(visit, source="simulated")
    assert sender.judged(sender.items[:2])[1] == ("accepted", None)

    services.demo = False
    assert sender.judged(sender.items[2:]) == [("rejected", "simulated_refused")]


# --- whole batches ------------------------------------------------------------------------------------------------


def test_a_gap_tells_from_where_to_send(sender: Sender, visit: UUID, services: Services) -> None:
    for _ in range(3):
        sender.opened(visit)
    response = sender.post(sender.items[1:])

    assert response.status_code == 409
    assert response.get_json()["error"] == "sequence_gap"
    assert response.get_json()["expected"] == 1
    assert count(services, Transmission) == 0


@pytest.mark.parametrize("change", [{"hash": "ab" * 32}, {"prev": "cd" * 32}, {"visit_id": None}])
def test_a_broken_chain_is_refused_whole(
    sender: Sender, visit: UUID, services: Services, change: dict[str, Any]
) -> None:
    sender.opened(visit)
    sender.reading(visit)
    response = sender.post([sender.items[0], {**sender.items[1], **change}])

    assert (response.status_code, response.get_json()["error"]) == (409, "chain_broken")
    assert count(services, Transmission) == 0


def test_another_epoch_tells_the_new_one_and_the_watermark(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    sender.judged()
    response = sender.post(epoch=str(new_id()))

    assert (response.status_code, response.get_json()["error"]) == (409, "epoch_changed")
    assert response.get_json()["epoch"] == str(services.epoch)
    assert response.get_json()["watermark"] == 1


def test_refusals_are_signed_too(sender: Sender, visit: UUID, services: Services) -> None:
    sender.opened(visit)
    response = sender.post(epoch="other")
    message = wire.answer_message(PATH, sender.body, response.data)
    with services.db.write() as tx:
        public_key = services.signer.key_for(tx, "server").public_key

    assert signing.verify(public_key, base64.b64decode(response.headers["Telemed-Server-Signature"]), message)


GOOD = {"seq": 1, "kind": "visit_opened", "event_id": str(new_id()), "visit_id": None, "received_at": "x",
        "reading_key": "", "key_id": "", "sealed": "", "prev": "0" * 64, "hash": "0" * 64}  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"items": []},
        {"items": [{}]},
        {"items": [GOOD] * 201},
        {"items": [GOOD, {**GOOD, "seq": 3}]},
        {"items": [{**GOOD, "seq": 0}]},
        {"items": [{**GOOD, "seq": 2**31}]},
        {"items": [{**GOOD, "kind": "joke"}]},
        {"items": [{**GOOD, "sealed": "\ud800"}]},
        {"items": [{**GOOD, "extra": 1}]},
        {"items": [GOOD], "protocol": 2},
        {"items": [GOOD], "gateway_id": 5},
        {"items": "many"},
    ],
)
def test_a_batch_of_another_shape_is_invalid(sender: Sender, document: dict[str, Any]) -> None:
    response = sender.post(**document)

    assert (response.status_code, response.get_json()["error"]) == (422, "batch_invalid")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"[" * 5000, b'{"items": "' + b"x" * 513_000 + b'"}'])
def test_bytes_that_are_no_batch_are_invalid(sender: Sender, body: bytes) -> None:
    response = sender.post_raw(body)

    assert (response.status_code, response.get_json()["error"]) == (422, "batch_invalid")


def test_a_batch_in_another_gateways_name_is_refused(application: Application, sender: Sender, visit: UUID) -> None:
    other = Sender(application, cast.SOSNOVO)
    sender.opened(visit)

    response = sender.post(gateway_id=str(other.id))
    assert (response.status_code, response.get_json()["error"]) == (403, "gateway_unknown")


def test_only_a_joined_gateway_is_listened_to(sender: Sender, visit: UUID, services: Services, clock: Clock) -> None:
    sender.opened(visit)
    assert sender.post().status_code == 200

    wrong = base64.b64encode(bytes(64)).decode()
    codes = [
        sender.post_raw(b"{}", **{"Telemed-Signature": wrong}).get_json()["error"],
        sender.post_raw(b"{}", **{"Telemed-Signature": "?"}).get_json()["error"],
        sender.post_raw(b"{}", **{"Telemed-Gateway": str(new_id())}).get_json()["error"],
    ]
    with services.db.write() as tx:
        tx.execute(update(Gateway).values(revoked_at=clock()))
    codes.append(sender.post().get_json()["error"])

    assert codes == ["signature_wrong", "signature_wrong", "gateway_unknown", "gateway_revoked"]


# --- a batch costs by the batch, not by the item ------------------------------------------------------------------


def test_a_larger_batch_asks_the_database_no_more_often(sender: Sender, services: Services, hands: Hands) -> None:
    asked: list[str] = []
    event.listen(services.db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    counts = []
    for readings in (1, 20, 100):  # the first opens the keys
        visit = hands.visit(cast.MARIA, state="closed")
        begun = len(sender.items)
        sender.opened(visit)
        for _ in range(readings):
            sender.reading(visit)
        asked.clear()
        assert set(sender.judged(sender.items[begun:])) == {("accepted", None)}
        counts.append(len(asked))

    assert counts[1] == counts[2]


def test_one_batch_tells_of_a_visit_once_whatever_came(
    sender: Sender, application: Application, visit: UUID, hands: Hands
) -> None:
    other = hands.visit(cast.IVAN, state="closed")
    news: list[object] = []
    application.services.db.after_commit = news.extend
    for which in (visit, other):
        sender.opened(which)
        for _ in range(4):
            sender.reading(which)
    sender.judged()

    assert [one.visit_id for one in news if isinstance(one, ReadingStored)] == [visit, other]


def test_the_series_goes_on_with_each_reading_of_a_batch(
    sender: Sender, application: Application, visit: UUID, services: Services
) -> None:
    with services.db.write() as tx:
        for ordinal in (1, 2, 3):
            tx.add(SeriesStep(id=new_id(), visit_id=visit, kind="blood_pressure", ordinal=ordinal, state="waiting",
                              not_before=services.clock()))  # fmt: skip
    news: list[object] = []
    application.services.db.after_commit = news.extend
    sender.opened(visit)
    sender.reading(visit)
    sender.reading(visit, verdict="questionable", reasons=["body_movement"])  # its step is asked for once more
    for _ in range(4):
        sender.reading(visit)
    sender.judged()

    with services.db.read() as tx:
        assert set(tx.scalars(select(SeriesStep.state).where(SeriesStep.visit_id == visit))) == {"done"}
    assert sum(isinstance(one, SeriesComplete) for one in news) == 1


# --- two patients back to back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    ("seconds_after_close", "judged"), [(-1, ("quarantined", "outside_window")), (1, ("accepted", None))]
)
def test_what_was_measured_before_the_last_patient_left_is_not_the_next_ones(
    sender: Sender, hands: Hands, services: Services, clock: Clock, visit: UUID, in_one_batch: bool,
    seconds_after_close: int, judged: tuple[str, str | None],
) -> None:  # fmt: skip
    following = hands.visit(cast.IVAN, state="closed")
    sender.opened(visit)
    sender.closed(visit)
    if not in_one_batch:
        sender.judged()
    effective = later(services.clock, seconds=seconds_after_close)
    clock.forward(seconds=10)
    sender.opened(following)
    clock.forward(seconds=20)
    item = sender.reading(following, effective_at=effective)

    assert sender.judged(sender.items[0 if in_one_batch else 2 :])[-1] == judged
    assert item["visit_id"] == str(following)
