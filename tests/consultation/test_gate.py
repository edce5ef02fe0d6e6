"""The complete-case gate: no case reaches a doctor empty, and nothing holds up an emergency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.bootstrap import Application
from telemed.checkup import service as checkup
from telemed.consultation import rules, service, service_gate
from telemed.errors import Conflict
from telemed.readings import service as readings
from telemed.services import Services
from tests import cast
from tests.make import Hands
from tests.readings.sender import Sender, pressure

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
WHOLE = {"symptoms": [], "question": "Что с давлением?", "medicines": "эналаприл", "allergies": "нет",
         "arm": "left", "cuff": "medium", "fasting": True}  # fmt: skip


@pytest.fixture
def measured(services: Services, hands: Hands) -> UUID:
    """A visit of Maria with a result of each kind and no answers yet."""
    visit = hands.visit()
    take(services, visit, "blood_pressure", {"systolic": 135, "diastolic": 85, "pulse": 70})
    take(services, visit, "glucose", {"glucose_mmol_l": 5.4})
    return visit


def take(services: Services, visit: UUID, kind: str, values: dict[str, Any]) -> None:
    readings.type_in(services, cast.ANNA.who, visit, kind, values)


@pytest.mark.parametrize(
    ("answers", "vitals", "level", "missing"),
    [
        (WHOLE, ("blood_pressure", "pulse"), "GREEN", ()),
        ({}, (), "UNKNOWN", ("complaint", "vitals", "medicines", "allergies", "question")),
        (WHOLE, ("glucose",), "YELLOW", ("vitals",)),
        ({**WHOLE, "allergies": " "}, ("blood_pressure", "pulse", "glucose"), "AMBER", ("allergies",)),
        ({}, (), "RED", ()),
    ],
)
def test_what_a_case_lacks(
    answers: dict[str, Any], vitals: tuple[str, ...], level: str, missing: tuple[str, ...]
) -> None:
    assert rules.missing(answers, vitals, level) == missing


def test_a_second_glucose_is_no_second_vital(services: Services, hands: Hands) -> None:
    visit = hands.visit()
    checkup.answer_questions(services, cast.ANNA.who, visit, WHOLE)
    for _ in range(2):
        take(services, visit, "glucose", {"glucose_mmol_l": 5.4})
    assert service_gate.missing_at_counter(services, cast.ANNA.who, visit) == ("vitals",)

    take(services, visit, "blood_pressure", {"systolic": 135, "diastolic": 85, "pulse": 70})
    assert service_gate.missing_at_counter(services, cast.ANNA.who, visit) == ()


@pytest.mark.parametrize(("pulse", "missing"), [(70, ()), (None, ("vitals",))])
def test_a_branch_with_a_pressure_meter_alone_passes_when_the_meter_sent_the_pulse(
    application: Application, services: Services, hands: Hands, pulse: int | None, missing: tuple[str, ...]
) -> None:
    sender, visit = Sender(application), hands.visit()
    sender.opened(visit)
    checkup.answer_questions(services, cast.ANNA.who, visit, WHOLE)
    sender.reading(visit, decoded=pressure(135, 85, pulse))
    sender.judged(sender.items)

    assert service_gate.missing_at_counter(services, cast.ANNA.who, visit) == missing


def test_an_incomplete_case_stays_at_the_counter_until_it_is_filled_in(
    services: Services, measured: UUID, jobs: Callable[[], int]
) -> None:
    checkup.answer_questions(services, cast.ANNA.who, measured, {**WHOLE, "allergies": ""})
    with pytest.raises(Conflict) as refused:
        service_gate.hand_to_doctors(services, cast.ANNA.who, measured)
    jobs()
    assert (refused.value.code, refused.value.facts["missing"]) == ("case_incomplete", ["allergies"])
    assert service.queue(services, cast.VERA.who) == []

    checkup.complete_answers(services, cast.ANNA.who, measured, {"allergies": "пенициллин", "question": "другой"})
    service_gate.hand_to_doctors(services, cast.ANNA.who, measured)
    jobs()
    (case,) = service.queue(services, cast.VERA.who)
    service.take(services, cast.VERA.who, case.id)
    answers = checkup.answers_of(services, cast.VERA.who, measured)
    assert (answers["allergies"], answers["question"], case.missing) == ("пенициллин", WHOLE["question"], ())


def test_a_clerk_may_send_it_with_a_reason_that_the_doctor_sees(
    services: Services, measured: UUID, jobs: Callable[[], int]
) -> None:
    checkup.answer_questions(services, cast.ANNA.who, measured, {**WHOLE, "medicines": ""})
    service_gate.hand_to_doctors(services, cast.ANNA.who, measured, "patient_cannot_say")
    jobs()

    (case,) = service.queue(services, cast.VERA.who)
    assert (case.missing, case.despite) == (("medicines",), "patient_cannot_say")


def test_a_whole_case_that_cannot_wait_says_so_whatever_its_level(
    services: Services, measured: UUID, jobs: Callable[[], int]
) -> None:
    checkup.answer_questions(services, cast.ANNA.who, measured, WHOLE)
    service_gate.hand_to_doctors(services, cast.ANNA.who, measured, "cannot_wait")
    jobs()

    (case,) = service.queue(services, cast.VERA.who)
    assert (case.missing, case.needs_a_doctor_now) == ((), True)


def test_a_reason_that_is_none_of_ours_is_no_reason(services: Services, measured: UUID) -> None:
    checkup.answer_questions(services, cast.ANNA.who, measured, {**WHOLE, "medicines": ""})

    with pytest.raises(Conflict):
        service_gate.hand_to_doctors(services, cast.ANNA.who, measured, "because")


def test_red_bypasses_the_gate(services: Services, hands: Hands, jobs: Callable[[], int]) -> None:
    visit = hands.visit()
    checkup.answer_questions(services, cast.ANNA.who, visit, {**WHOLE, "symptoms": ["chest_pain"], "medicines": ""})
    jobs()

    service_gate.hand_to_doctors(services, cast.ANNA.who, visit)

    assert checkup.visit_view(services, cast.ANNA.who, visit).state == "ready"


def test_the_counter_says_in_one_line_what_is_missing(sign_in: SignIn, services: Services, measured: UUID) -> None:
    checkup.answer_questions(services, cast.ANNA.who, measured, {**WHOLE, "allergies": "", "question": ""})
    anna = sign_in(cast.ANNA)
    page = anna.get(f"/counter/visits/{measured}").get_data(as_text=True)
    assert "Still missing for the doctor: <strong>allergies, question to the doctor</strong>" in page
    assert WHOLE["medicines"] not in page, "the clerk never reads an answer back"

    anna.post(f"/visits/{measured}/complete", data={"allergies": "нет", "question": "Что с давлением?"})
    assert "data-missing" not in anna.get(f"/counter/visits/{measured}").get_data(as_text=True)
