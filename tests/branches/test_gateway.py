"""The branch PC: joins once by a code, proves every request, gets its orders in number, and can be shut out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient

from telemed.bootstrap import Application
from telemed.branches import rules, service, service_meters
from telemed.branches.models import Gateway, Meter
from telemed.crypto import signing, wire
from telemed.errors import Invalid, NotFound
from telemed.ids import new_id
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import meter_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
HEARTBEAT = "/api/v1/gateway/heartbeat"


class BranchPc:
    """A gateway's side of the wire, written anew for the test."""

    def __init__(self, application: Application) -> None:
        self.browser = application.app.test_client()
        self.key = Ed25519PrivateKey.generate()
        self.id = str(new_id())
        self.joined: dict[str, Any] = {}

    def join(self, code: str | None, **change: Any) -> Any:
        public = base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        body = {"protocol": 1, "code": code, "gateway_id": self.id, "public_key": public, "name": "PC", **change}
        answer = self.browser.post("/api/v1/gateway/join", json=body)
        self.joined = answer.json
        return answer

    def beat(self, number: int = 1, *, key: Ed25519PrivateKey | None = None, **change: Any) -> Any:
        body = json.dumps(
            {
                "protocol": 1, "gateway_id": self.id, "beat": number, "last_order": 0, "queue": 0, "open_visit": None,
                "radio": "simulated", "status": "ok", "version": "1", "meters": [],
                "journal": {"undecodable": 0, "stored": 0}, **change,
            }
        ).encode()  # fmt: skip
        signature = (key or self.key).sign(wire.request_message("POST", HEARTBEAT, body))
        headers = {
            "Telemed-Gateway": self.id, "Telemed-Signature": base64.b64encode(signature).decode(),
            "Content-Type": "application/json",
        }  # fmt: skip
        answer = self.browser.post(HEARTBEAT, data=body, headers=headers)
        answer.is_ours = self.is_ours(body, answer)
        return answer

    def is_ours(self, body: bytes, answer: Any) -> bool:
        signature = base64.b64decode(answer.headers.get("Telemed-Server-Signature", ""))
        public = base64.b64decode(self.joined.get("server_key", {}).get("public_key", ""))
        return signing.verify(public, signature, wire.answer_message(HEARTBEAT, body, answer.data))


@pytest.fixture
def pc(application: Application) -> BranchPc:
    pc = BranchPc(application)
    code = service.issue_join_code(application.services, cast.ANNA.who, cast.OZERKI)
    assert pc.join(code).status_code == 200
    return pc


def test_a_gateway_joins_its_branch_and_is_told_of_its_meters(pc: BranchPc) -> None:
    assert pc.joined["branch_id"] == str(cast.OZERKI)
    assert pc.joined["demo"] is True

    orders = pc.beat(1).json["orders"]
    assert [(order["no"], order["kind"]) for order in orders] == [(1, "enrol_meter"), (2, "enrol_meter")]
    assert {order["meter"] for order in orders} == {"blood_pressure", "glucose"}
    assert {order["enrolment_id"] for order in orders} == {
        str(meter_of(cast.OZERKI, kind)) for kind in ("blood_pressure", "glucose")
    }


def test_a_code_is_used_once_and_the_same_gateway_may_repeat_its_own_join(application: Application) -> None:
    code = service.issue_join_code(application.services, cast.ANNA.who, cast.OZERKI)
    first, thief = BranchPc(application), BranchPc(application)

    assert first.join(code).status_code == 200
    assert first.join(code.lower().replace("-", " ")).status_code == 200
    assert thief.join(code).json["error"] == "join_code_used"


def test_a_code_expires_after_a_day_and_a_made_up_one_is_unknown(application: Application, clock: Clock) -> None:
    code = service.issue_join_code(application.services, cast.ANNA.who, cast.OZERKI)
    clock.forward(hours=25)

    assert BranchPc(application).join(code).json["error"] == "join_code_expired"
    assert BranchPc(application).join("AAAA-BBBB-CCCC").json["error"] == "join_code_unknown"


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 2}, {"gateway_id": "x"}, {"public_key": "short"}, {"public_key": "!"}, {"code": "x" * 99},
        {"code": None}, {"name": "x" * 500},
    ],
)  # fmt: skip
def test_a_malformed_join_is_a_typed_error(application: Application, change: dict) -> None:
    answer = BranchPc(application).join(change.pop("code", "AAAA-BBBB-CCCC"), **change)

    assert answer.status_code == 422
    assert answer.json["error"] in ("body_invalid", "batch_invalid")


def test_answers_are_signed_with_the_pinned_key_refusals_too(pc: BranchPc) -> None:
    good, replayed = pc.beat(5), pc.beat(5)

    assert (good.status_code, good.is_ours) == (200, True)
    assert (replayed.status_code, replayed.json["error"], replayed.is_ours) == (409, "beat_replayed", True)


def test_a_wrong_signature_an_unknown_and_a_revoked_gateway_are_refused(
    application: Application, pc: BranchPc, services: Services
) -> None:
    assert pc.beat(1, key=Ed25519PrivateKey.generate()).json["error"] == "signature_wrong"
    assert BranchPc(application).beat(1).json["error"] == "gateway_unknown"

    gateway_id = service.branch_view(services, cast.ANNA.who, cast.OZERKI).gateway_id
    assert gateway_id is not None
    with pytest.raises(NotFound):
        service.revoke_gateway(services, cast.BORIS.who, gateway_id)
    service.revoke_gateway(services, cast.ANNA.who, gateway_id)

    assert pc.beat(2).json["error"] == "gateway_revoked"


def test_orders_come_in_number_and_only_those_that_were_not_had(pc: BranchPc, services: Services) -> None:
    with services.db.write() as tx:
        number = service.order_gateway(services, tx, cast.OZERKI, "open_visit", {"visit_id": str(new_id())})

    assert number == 3
    assert [order["no"] for order in pc.beat(1, last_order=1).json["orders"]] == [2, 3]
    assert pc.beat(2, last_order=3).json["orders"] == []


def test_a_branch_without_a_gateway_gets_no_order(services: Services) -> None:
    with services.db.write() as tx:
        assert service.order_gateway(services, tx, cast.SOSNOVO, "open_visit", {}) is None


def test_the_heartbeat_keeps_the_registry_of_meters(pc: BranchPc, services: Services) -> None:
    meter = {
        "enrolment_id": str(meter_of(cast.OZERKI, "glucose")), "kind": "glucose", "manufacturer": "Simulated",
        "model": "SIM-GL", "serial": "7", "battery_pct": 12, "drift_s": -3, "last_seen_at": "2026-11-23T09:00:00.000Z",
    }  # fmt: skip
    foreign = {**meter, "enrolment_id": str(meter_of(cast.SOSNOVO, "glucose"))}

    assert pc.beat(1, meters=[meter, foreign]).status_code == 200

    with services.db.read() as tx:
        assert tx.get(Meter, meter_of(cast.OZERKI, "glucose")).battery_pct == 12
        assert tx.get(Meter, meter_of(cast.SOSNOVO, "glucose")).battery_pct is None
    view = service.branch_view(services, cast.ANNA.who, cast.OZERKI)
    assert [meter.battery_low for meter in view.meters if meter.kind == "glucose"] == [True]


@pytest.mark.parametrize(
    "change",
    [
        {"beat": 0}, {"beat": "x"}, {"beat": 2**40}, {"radio": "steam"}, {"status": "Мария"}, {"queue": -1},
        {"meters": [{"enrolment_id": "x"}]}, {"meters": [{}] * 51}, {"last_order": None},
    ],
)  # fmt: skip
def test_a_malformed_heartbeat_is_a_typed_error(pc: BranchPc, change: dict) -> None:
    answer = pc.beat(change.pop("beat", 1), **change)

    assert (answer.status_code, answer.json["error"]) == (422, "body_invalid")


def test_the_light_turns_to_silent_after_ninety_seconds(pc: BranchPc, services: Services, clock: Clock) -> None:
    pc.beat(1)
    assert service.branch_view(services, cast.ANNA.who, cast.OZERKI).light == "ok"

    clock.forward(seconds=91)
    assert service.branch_view(services, cast.ANNA.who, cast.OZERKI).light == "silent"


def test_polling_is_fast_only_while_a_visit_may_open() -> None:
    assert rules.next_poll_s(visit_is_open=True, branch_is_open=True, demo=True) == 0.5
    assert rules.next_poll_s(visit_is_open=True, branch_is_open=False, demo=False) == 2.0
    assert rules.next_poll_s(visit_is_open=False, branch_is_open=False, demo=True) == 10.0


def test_only_the_own_branch_is_seen_and_given_a_code(services: Services) -> None:
    assert service.branch_view(services, cast.GALINA.who, cast.SOSNOVO).place == "Сосново"

    for call in (service.branch_view, service.issue_join_code):
        for person in (cast.BORIS, cast.KIRA):
            with pytest.raises(NotFound):
                call(services, person.who, cast.OZERKI)


def test_the_page_shows_a_code_once_and_adds_a_meter(sign_in: SignIn, services: Services) -> None:
    browser = sign_in(cast.ANNA)

    assert "numbers" in browser.post("/branch/join-code").text
    assert browser.post("/branch/meters", data={"kind": "glucose", "name": ""}).status_code == 422
    assert browser.post("/branch/meters", data={"kind": "steam", "name": "x"}).status_code == 422
    assert browser.post("/branch/meters", data={"kind": "glucose", "name": "Accu-Chek"}).status_code == 302
    assert "Accu-Chek" in browser.get("/branch").text


def test_a_joined_gateway_belongs_to_its_branch_only(pc: BranchPc, services: Services) -> None:
    with services.db.read() as tx:
        assert tx.query(Gateway).one().branch_id == cast.OZERKI


def report(kind: str, enrolment: str, code: str | None = None) -> dict[str, Any]:
    return {"enrolment_id": str(meter_of(cast.OZERKI, kind)), "enrolment": enrolment, "enrolment_code": code}


@pytest.mark.parametrize("typed", ["123 456", "123-456", " 123\u2013456 ", "123\u00a0456", "１２３４５６", "123\u200b456"])
def test_the_branch_sees_how_far_an_enrolment_is_and_gives_the_passkey(
    pc: BranchPc, application: Application, typed: str
) -> None:
    services, meter_id = application.services, meter_of(cast.OZERKI, "glucose")
    pc.beat(1, last_order=2, meters=[report("glucose", "passkey_needed")])
    seen = {meter.id: meter for meter in service.branch_view(services, cast.ANNA.who, cast.OZERKI).meters}
    assert seen[meter_id].enrolment == "passkey_needed"

    service_meters.give_passkey(services, cast.ANNA.who, meter_id, typed)

    assert pc.beat(2, last_order=2).json["orders"] == [
        {"no": 3, "kind": "passkey", "enrolment_id": str(meter_id), "passkey": "123456"}
    ]


def test_a_meter_that_lost_its_pairing_is_enrolled_again_under_its_id(pc: BranchPc, application: Application) -> None:
    services, meter_id = application.services, meter_of(cast.OZERKI, "glucose")
    pc.beat(1, last_order=2, meters=[report("glucose", "failed", "bond_lost")])

    service_meters.enrol_again(services, cast.ANNA.who, meter_id)

    seen = {meter.id: meter for meter in service.branch_view(services, cast.ANNA.who, cast.OZERKI).meters}
    assert (seen[meter_id].enrolment, seen[meter_id].enrolment_code) == ("looking", None)
    order = pc.beat(2, last_order=2).json["orders"][0]
    assert (order["kind"], order["enrolment_id"]) == ("enrol_meter", str(meter_id))


def test_what_a_gateway_says_before_it_has_heard_of_the_pairing_is_over(pc: BranchPc, services: Services) -> None:
    """Else the clerk is asked again for digits just typed, or to pair a meter that is being looked for."""
    meter_id = meter_of(cast.OZERKI, "glucose")

    def enrolment() -> str | None:
        view = service.branch_view(services, cast.ANNA.who, cast.OZERKI)
        return next(meter.enrolment for meter in view.meters if meter.id == meter_id)

    service_meters.enrol_again(services, cast.ANNA.who, meter_id)
    pc.beat(1, last_order=2, meters=[report("glucose", "failed", "bond_lost")])
    assert enrolment() == "looking"
    pc.beat(2, last_order=3, meters=[report("glucose", "passkey_needed")])
    assert enrolment() == "passkey_needed"
    service_meters.give_passkey(services, cast.ANNA.who, meter_id, "123456")
    pc.beat(3, last_order=3, meters=[report("glucose", "passkey_needed")])
    assert enrolment() == "found"
    pc.beat(4, last_order=4, meters=[report("glucose", "failed", "passkey_wrong")])

    assert enrolment() == "failed"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345x", "\u0661\u0662\u0663\u0664\u0665\u0666"])
def test_a_passkey_has_six_digits(pc: BranchPc, application: Application, typed: str) -> None:
    with pytest.raises(Invalid):
        service_meters.give_passkey(application.services, cast.ANNA.who, meter_of(cast.OZERKI, "glucose"), typed)


def test_nobody_pairs_the_meter_of_another_branch(pc: BranchPc, application: Application) -> None:
    with pytest.raises(NotFound):
        service_meters.enrol_again(application.services, cast.ANNA.who, meter_of(cast.SOSNOVO, "glucose"))


@pytest.mark.parametrize(
    ("states", "seen_at", "is_paired"),
    [
        (("looking", "found", "enrolled"), "2026-11-23T09:00:00.000Z", True),
        (("looking", "passkey_needed", "enrolled"), "2026-11-23T09:00:00.000Z", True),
        (("looking", "enrolled"), "2026-11-23T09:00:30.000Z", True),
        (("looking", "enrolled"), "2026-11-23T09:00:00.000Z", False),
        (("looking", "found"), "2026-11-23T09:00:30.000Z", False),
    ],
)
def test_a_meter_that_answered_is_just_paired_and_one_that_stayed_silent_is_not(
    pc: BranchPc, services: Services, states: tuple[str, ...], seen_at: str, is_paired: bool
) -> None:
    """The one that stayed silent keeps the pairing it had: the gateway says "enrolled" of both."""
    known = {**report("glucose", "enrolled"), "last_seen_at": "2026-11-23T09:00:00.000Z"}
    with services.db.write() as tx:
        meter = tx.get_one(Meter, meter_of(cast.OZERKI, "glucose"))
        meter.enrolment, meter.last_seen_at = "enrolled", datetime(2026, 11, 23, 9, tzinfo=UTC)
    for number, state in enumerate(states, start=1):
        last_seen_at = seen_at if state == states[-1] else known["last_seen_at"]
        pc.beat(number, last_order=2, meters=[{**known, "enrolment": state, "last_seen_at": last_seen_at}])

    view = service.branch_view(services, cast.ANNA.who, cast.OZERKI)
    assert [meter.is_just_paired for meter in view.meters if meter.kind == "glucose"] == [is_paired]


def test_an_unknown_word_about_an_enrolment_is_refused(pc: BranchPc) -> None:
    assert pc.beat(1, meters=[report("glucose", "married")]).status_code == 422
