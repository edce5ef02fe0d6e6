"""A number that is no glucose: another strip, a value that no meter shows, a clock at fault. Nobody is told less than
the truth, and what may be urgent is told at once. The gateway of these tests is of the release before: it passes on as
glucose what it could read as a number, so the server judges by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from devices.plausibility import judge
from devices.profiles import decode
from devices.records import meter_time
from telemed.bootstrap import Application
from telemed.branches.models import Gateway
from telemed.checkup import service as checkup
from telemed.outbox import Worker
from telemed.readings import rules_glucose, service
from telemed.services import Services
from tests import cast
from tests.readings.sender import Sender

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
CASES = json.loads((Path(__file__).parents[1] / "contract/glucose-cases.json").read_text(encoding="utf-8"))
CALM = {"symptoms": [], "fasting": True, "arm": "left", "cuff": "medium"}
KETONES = "130100ea070b170a0001000022b011"  # 34 mg/dL or 1.887 mmol/L: near ketoacidosis, or far too low a glucose


def plain(decoded: dict[str, Any]) -> dict[str, Any]:
    """Return decoded values as they come out of a sealed record."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in decoded.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['record']} {case['context']}")
def test_gateway_and_server_judge_a_glucose_alike(case: dict[str, Any]) -> None:
    decoded = decode("2a18", bytes.fromhex(case["record"]))
    context = decode("2a34", bytes.fromhex(case["context"])) if case["context"] else None
    if context is None and decoded["context_follows"]:
        context = {"meal": 6}  # lost: it may have said so
    by_gateway = judge("glucose", decoded, context)
    by_server = rules_glucose.judge_anew("usable", (), plain(decoded), case["context"])

    assert (by_server[0], list(by_server[1])) == (case["verdict"], case["reasons"])
    assert by_gateway.verdict == case["verdict"]
    assert [code for code in by_gateway.reasons if code != "unusual_glucose"] == case["reasons"]
    assert rules_glucose.judge_anew(*by_server, plain(decoded), case["context"]) == by_server, "judged twice"
    assert rules_glucose.is_unclear_now(by_server[1], plain(decoded)) == case["urgent_as_glucose"]


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def visit(services: Services, sender: Sender) -> UUID:
    """Maria's visit: the questions are answered, the glucose is asked for, the branch PC is well."""
    visit_id = checkup.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")
    checkup.answer_questions(services, cast.ANNA.who, visit_id, CALM)
    checkup.ask_measurement(services, cast.ANNA.who, visit_id, "glucose")
    sender.opened(visit_id)
    with services.db.write() as tx:
        gateway = tx.query(Gateway).one()
        gateway.status, gateway.last_seen_at = "ok", services.clock()
    return visit_id


def arrives(sender: Sender, visit: UUID, raw: str, context: str | None = None, **more: Any) -> tuple[str, str | None]:
    """Let a gateway of the release before send a glucose: usable whenever there is a number."""
    decoded = plain(decode("2a18", bytes.fromhex(raw)))
    sender.reading(visit, **{**sender.glucose(None), "decoded": decoded, "raw": raw, "context_raw": context, **more})
    return sender.judged()[-1]


def run_jobs(services: Services) -> None:
    worker = Worker(services, services.db, services.journey, services.clock)
    while worker.run_due():
        pass


def situation(page: str) -> str | None:
    found = re.search(r'data-situation="(\w+)"', page)
    return found.group(1) if found else None


def level(services: Services, visit: UUID) -> str:
    with services.db.read() as tx:
        return service.triage_of(tx, visit)


@pytest.mark.parametrize("has_finished", [False, True])
def test_an_unclear_strip_that_may_be_urgent_is_told_at_once_to_clerk_and_doctor(
    services: Services, sender: Sender, sign_in: SignIn, visit: UUID, has_finished: bool
) -> None:
    anna, vera = sign_in(cast.ANNA), sign_in(cast.VERA)
    if has_finished:
        checkup.skip_step(services, cast.ANNA.who, visit, "glucose")
        checkup.finish(services, cast.ANNA.who, visit)
    assert arrives(sender, visit, KETONES, "02010006") == ("accepted", None)
    run_jobs(services)
    page, queue = anna.get(f"/counter/visits/{visit}").text, vera.get("/doctor").text

    assert situation(page) == "strip_now"
    assert "Take a glucose strip and measure again now." in page
    assert "alarm" in page.partition("data-situation")[0].rpartition("<div")[2]
    assert "Unclear strip: repeat with a glucose strip now." in queue
    assert "data-alarm" in queue
    assert "1.9" not in page
    assert level(services, visit) == "UNKNOWN"


def test_the_doctor_of_the_case_sees_no_glucose_and_the_sentence(
    services: Services, sender: Sender, sign_in: SignIn, hands: Any, visit: UUID
) -> None:
    hands.booking(cast.MARIA, cast.VERA, status="arrived")
    arrives(sender, visit, KETONES, "02010006")

    (view,) = service.readings_of_visit(services, cast.VERA.who, visit)
    assert (view.shown, view.glucose_mmol_l, view.is_unclear_strip, view.is_urgent) == ("—", None, True, True)


def test_a_glucose_strip_measured_after_it_settles_the_matter(
    services: Services, sender: Sender, sign_in: SignIn, visit: UUID
) -> None:
    arrives(sender, visit, KETONES, "02010006")
    run_jobs(services)
    sender.reading(visit, **sender.glucose(5.5))
    sender.judged()

    assert situation(sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text) != "strip_now"
    assert "Unclear strip" not in sign_in(cast.VERA).get("/doctor").text


def test_an_unclear_strip_is_told_also_when_the_series_is_over(
    services: Services, sender: Sender, sign_in: SignIn, visit: UUID
) -> None:
    sender.reading(visit, **sender.glucose(5.5))
    arrives(sender, visit, KETONES, "02010006")

    assert situation(sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text) == "strip_now"


def test_an_unclear_strip_that_is_not_urgent_is_measured_again_in_peace(
    services: Services, sender: Sender, sign_in: SignIn, visit: UUID
) -> None:
    """90 mg/dL on a strip that may have been one for ketones: no glucose, and nobody is frightened."""
    arrives(sender, visit, "130100ea070b170a000100005ab011", "02010006")
    run_jobs(services)

    assert situation(sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text) == "ketone_strip"
    assert "Unclear strip" not in sign_in(cast.VERA).get("/doctor").text
    assert level(services, visit) == "UNKNOWN"


@pytest.mark.parametrize(
    ("raw", "shown", "expected", "urgency"),
    [
        ("030200ea070b170a00010000000011", "LO", "urgent", "RED"),
        ("030200ea070b170a0001000013b011", "LO", "urgent", "RED"),
        ("030200ea070b170a000100005ab211", "HI", "urgent_again", "AMBER"),
        ("030200ea070b170a00010000780011", "—", "meter_fault", "UNKNOWN"),
    ],
    ids=["0 mg/dL", "19 mg/dL", "602 mg/dL", "120 kg/L"],
)
def test_a_number_that_no_meter_shows_is_told_and_measured_again(
    services: Services, sender: Sender, sign_in: SignIn, hands: Any, visit: UUID, raw: str, shown: str, expected: str,
    urgency: str,
) -> None:  # fmt: skip
    hands.booking(cast.MARIA, cast.VERA, status="arrived")
    arrives(sender, visit, raw)

    assert situation(sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text) == expected
    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].shown == shown
    assert level(services, visit) == urgency


def test_above_the_range_the_doctor_is_called_and_the_patient_measured_once_more_and_only_once(
    services: Services, sender: Sender, sign_in: SignIn, visit: UUID
) -> None:
    anna, path = sign_in(cast.ANNA), f"/counter/visits/{visit}"
    arrives(sender, visit, "030200ea070b170a000100005ab211")
    page = anna.get(path).text
    assert "Call the doctor" in page
    assert f"/visits/{visit}/measure" in page.partition('data-situation="urgent_again"')[2].partition("</section>")[0]

    arrives(sender, visit, "030300ea070b170a000200005cb211")
    assert situation(anna.get(path).text) == "urgent"


def test_a_typed_value_under_every_range_is_urgent_too(services: Services, sign_in: SignIn, visit: UUID) -> None:
    service.type_in(services, cast.ANNA.who, visit, "glucose", {"glucose_mmol_l": 0.9})

    assert situation(sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text) == "urgent"
    assert level(services, visit) == "RED"


@pytest.mark.parametrize(
    ("typed", "shown", "expected"),
    [({"beyond": "hi"}, "HI", "AMBER"), ({"beyond": "lo"}, "LO", "RED"), ({"glucose_mmol_l": " Lo "}, "LO", "RED"),
     ({"glucose_mmol_l": "НІ"}, "HI", "AMBER")],
    ids=["button HI", "button LO", "typed Lo", "typed on a Belarusian keyboard"],
)  # fmt: skip
def test_what_a_display_says_instead_of_a_number_can_be_passed_on_by_hand(
    services: Services, hands: Any, sign_in: SignIn, visit: UUID, typed: dict[str, str], shown: str, expected: str
) -> None:
    hands.booking(cast.MARIA, cast.VERA, status="arrived")
    anna = sign_in(cast.ANNA)
    page = anna.get(f"/visits/{visit}/type/glucose").text
    assert page.count('name="beyond"') == 2
    assert page.index("Store the values") < page.index('name="beyond"'), "Enter presses the first button"
    assert anna.post(f"/visits/{visit}/type/glucose", data=typed).status_code == 302

    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].shown == shown
    assert level(services, visit) == expected
    assert situation(anna.get(f"/counter/visits/{visit}").text) == "urgent"


def test_a_glucose_whose_meter_says_that_its_clock_is_at_fault_has_no_time(
    services: Services, sender: Sender, visit: UUID
) -> None:
    """Sensor status bit 11. The gateway of before placed it by its stamp; the time of it is not known."""
    good, bad = ("0b0400ea070b170a0001000055b0110000", "0b0500ea070b170a0001000055b0110008")
    assert meter_time("glucose", decode("2a18", bytes.fromhex(good))) is not None
    assert arrives(sender, visit, good) == ("accepted", None)

    assert arrives(sender, visit, bad) == ("quarantined", "time_unknown")


@pytest.mark.parametrize("broken", ["", "02", "0201", "020100", "zz", "8301", "82010000"])
def test_a_context_that_breaks_off_says_nothing(broken: str) -> None:
    assert rules_glucose.meal_of(broken) is None
