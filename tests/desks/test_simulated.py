"""The simulated meters' page: every fault of the contract at a press, in a demo only, and SIMULATED wherever it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.bootstrap import Application
from telemed.branches.models import GatewayOrder
from telemed.checkup import rules, service, service_simulated
from telemed.consultation import service as consultation
from telemed.errors import Conflict, Forbidden, Invalid
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.readings.sender import Sender, pressure

CONTRACT = Path(__file__).parents[1] / "contract" / "simulated-faults.json"
PRESSES = [(kind, name) for name, kinds in rules.SIMULATED_FAULTS.items() for kind in kinds]
PAGE, MARK = "/simulated-meters", '<strong class="mark">SIMULATED</strong>'
CALM = {"symptoms": [], "fasting": True, "arm": "left", "cuff": "medium"}
SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def visit(services: Services, sender: Sender) -> UUID:
    """Maria's visit, whose questions are answered."""
    visit_id = service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")
    service.answer_questions(services, cast.ANNA.who, visit_id, CALM)
    return visit_id


def orders(services: Services) -> list[tuple[str, str | None]]:
    with services.db.read() as tx:
        rows = tx.scalars(select(GatewayOrder).order_by(GatewayOrder.no)).all()
        return [(row.kind, row.body.get("fault")) for row in rows if row.kind in ("take_series", "simulate")]


def test_the_servers_table_of_faults_is_the_contract() -> None:
    table = [{"name": name, "meters": list(kinds)} for name, kinds in rules.SIMULATED_FAULTS.items()]

    assert json.loads(CONTRACT.read_text()) == table


@pytest.mark.parametrize(("kind", "fault"), PRESSES)
def test_every_fault_can_be_pressed_and_travels_to_the_meter(
    sign_in: SignIn, services: Services, sender: Sender, kind: str, fault: str
) -> None:
    anna = sign_in(cast.ANNA)
    assert f'value="{fault}"' in anna.get(PAGE).text
    answer = anna.post(PAGE, data={"kind": kind, "fault": fault}, follow_redirects=True)

    assert "Nobody asked for it" in answer.text
    assert orders(services) == [("simulate", fault)]


def test_a_visit_that_waits_is_asked_for_the_measurement(
    sign_in: SignIn, services: Services, visit: UUID, clock: Clock
) -> None:
    anna = sign_in(cast.ANNA)
    anna.post(PAGE, data={"kind": "blood_pressure"})
    assert orders(services) == [], "the patient still rests"
    clock.forward(seconds=5)
    anna.post(PAGE, data={"kind": "blood_pressure", "fault": "irregular"})

    assert orders(services) == [("take_series", None), ("simulate", "irregular")]
    steps = service.visit_view(services, cast.ANNA.who, visit).steps
    assert next(step.state for step in steps if step.kind == "blood_pressure") == "asked"


def test_outside_a_demo_page_and_button_are_refused_with_the_reason(
    application: Application, sign_in: SignIn, services: Services, sender: Sender
) -> None:
    anna = sign_in(cast.ANNA)
    assert anna.get(PAGE).status_code == 200
    application.app.extensions["telemed"] = real = replace(services, demo=False)

    for answer in (anna.get(PAGE), anna.post(PAGE, data={"kind": "glucose"})):
        assert answer.status_code == 403
        assert "Simulated meters exist in a demo only" in answer.text
    with pytest.raises(Forbidden, match="demo_only"):
        service_simulated.press(real, cast.ANNA.who, "glucose")
    assert orders(services) == []


def test_only_a_clerk_presses_and_only_what_the_meter_can_do(sign_in: SignIn, services: Services) -> None:
    for person in (cast.VERA, cast.GALINA, cast.MARIA):
        assert sign_in(person).post(PAGE, data={"kind": "glucose"}).status_code == 403
    for kind, fault in (("glucose", "movement"), ("blood_pressure", "ketone"), ("glucose", "explode"), ("x", None)):
        with pytest.raises(Invalid):
            service_simulated.press(services, cast.ANNA.who, kind, fault)
    with pytest.raises(Conflict, match="no_gateway"):
        service_simulated.press(services, cast.ANNA.who, "glucose")


def test_what_comes_of_a_press_is_told_without_a_value_and_marked_simulated(
    sign_in: SignIn, sender: Sender, visit: UUID, hands: Hands
) -> None:
    sender.judged(
        [sender.opened(visit), sender.reading(visit, source="simulated"), sender.reading(None, source="simulated")]
    )
    anna = sign_in(cast.ANNA)
    page, tray = anna.get(PAGE).text, anna.get("/quarantine").text

    assert page.count(MARK) == 3  # the title, the reading in the visit, the one in the tray
    assert "in the tray" in page
    assert "in the visit" in page
    assert "128" not in page.split("What came of it")[1].split("Or measure, and let")[0]
    assert tray.count(MARK) == 1


@pytest.mark.parametrize(("source", "marked"), [("simulated", True), ("gateway", False)])
def test_values_mean_and_trend_of_the_doctor_say_simulated(
    sign_in: SignIn, services: Services, sender: Sender, hands: Hands, clock: Clock, source: str, marked: bool
) -> None:
    hands.booking(cast.MARIA, cast.VERA)
    visit = service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")
    sender.opened(visit)
    for systolic in (151, 149, 150, 152):
        clock.forward(seconds=60)
        sender.reading(visit, **{**sender.record(decoded=pressure(systolic, 88, 70)), "source": source})
    sender.judged()
    with services.db.write() as tx:
        case = consultation.queue_case(services, tx, visit, "YELLOW")
    assert case is not None
    consultation.take(services, cast.VERA.who, case)
    page = sign_in(cast.VERA).get(f"/doctor/cases/{case}").text
    values, trend = page.split('class="values"')[1], page.split('<figure class="trend">')[1]

    assert "data-series-mean" in values
    assert not re.search(r"</span><small>(Rule|Правил)", values), "a pulse of 82 and the rule must not run into one word"
    assert values.count("<tr data-reading") == 4
    assert "Upper pressure, the line marks 140" in trend
    assert page.count(MARK) == (7 if marked else 0), "four values, the mean, the picture and the chart"


def test_a_real_reading_in_the_tray_is_not_called_simulated(sign_in: SignIn, sender: Sender) -> None:
    sender.judged([sender.reading(None, source="gateway")])
    tray = sign_in(cast.ANNA).get("/quarantine").text

    assert "data-item" in tray
    assert MARK not in tray
