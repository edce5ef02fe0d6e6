"""Pairing from the branch page: what the gateway asks for, and the way back after a lost pairing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.branches.models import GatewayOrder, Meter
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands, meter_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
MINE, FOREIGN = meter_of(cast.OZERKI, "glucose"), meter_of(cast.SOSNOVO, "glucose")


@pytest.fixture
def anna(hands: Hands, sign_in: SignIn) -> FlaskClient:
    hands.gateway(bytes(32))
    return sign_in(cast.ANNA)


def orders(services: Services) -> list[str]:
    with services.db.read() as tx:
        return [order.kind for order in tx.scalars(select(GatewayOrder).order_by(GatewayOrder.no))]


def say(services: Services, enrolment: str, code: str | None = None) -> None:
    with services.db.write() as tx:
        meter = tx.get_one(Meter, MINE)
        meter.enrolment, meter.enrolment_code = enrolment, code


def test_a_meter_that_lost_its_pairing_is_paired_again_from_the_page(anna: FlaskClient, services: Services) -> None:
    say(services, "failed", "bond_lost")
    assert "lost its pairing" in anna.get("/branch").get_data(as_text=True)
    anna.post(f"/branch/meters/{MINE}/pair")

    assert orders(services) == ["enrol_meter"]
    assert "looks for the meter now" in anna.get("/branch").get_data(as_text=True)


def test_a_meter_just_added_is_looked_for_and_says_so(anna: FlaskClient) -> None:
    anna.post("/branch/meters", data={"kind": "glucose", "name": "Accu-Chek"})
    text = anna.get("/branch").get_data(as_text=True)

    assert "Glucose Accu-Chek</span> The gateway looks for the meter now" in text


def test_the_page_says_for_a_while_which_meter_was_paired(anna: FlaskClient, services: Services, clock: Clock) -> None:
    with services.db.write() as tx:
        tx.get_one(Meter, MINE).paired_at = clock()
    say(services, "enrolled")
    text = anna.get("/branch").get_data(as_text=True)
    assert "Glucose SIM-GL</span> The meter is paired. You can measure with it now." in text
    clock.forward(minutes=1)

    assert "You can measure with it now." not in anna.get("/branch").get_data(as_text=True)


def test_the_digits_of_the_meter_go_to_the_gateway(anna: FlaskClient, services: Services) -> None:
    say(services, "passkey_needed")
    assert "The six digits on the meter" in anna.get("/branch").get_data(as_text=True)
    anna.post(f"/branch/meters/{MINE}/passkey", data={"passkey": "12 34"})
    assert orders(services) == [], "wrong digits are told, not sent"

    anna.post(f"/branch/meters/{MINE}/passkey", data={"passkey": "123 456"})
    assert orders(services) == ["passkey"]


def test_another_branchs_meter_is_out_of_reach(anna: FlaskClient, services: Services) -> None:
    for deed in ("pair", "passkey", "forget"):
        assert anna.post(f"/branch/meters/{FOREIGN}/{deed}", data={"passkey": "123456"}).status_code == 404
    assert orders(services) == []


def test_the_registry_shows_what_is_known_of_each_meter(anna: FlaskClient, services: Services) -> None:
    with services.db.write() as tx:
        meter = tx.get_one(Meter, MINE)
        meter.serial, meter.battery_pct, meter.drift_s = "GL-77", 15, 600
        meter.calibration_due_on = date(2027, 2, 1)
    text = anna.get("/branch").get_data(as_text=True)

    assert all(words in text for words in ("GL-77", "15 %", "wrong by 10 min", "01.02.2027", "battery is low"))
    assert "The times of its results are corrected" in text


def test_a_meter_taken_off_the_list_is_forgotten_by_the_gateway_too(anna: FlaskClient, services: Services) -> None:
    anna.post(f"/branch/meters/{MINE}/forget")

    assert orders(services) == ["forget_meter"]
    assert str(MINE) not in anna.get("/branch").get_data(as_text=True)
