"""What a doctor reads of allergies: named, none and not known are three things, and what was named once stays named."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from telemed.checkup import service as checkup
from telemed.checkup import service_allergies
from telemed.checkup.allergies import Said, kind_of, known_allergies
from telemed.checkup.models import Visit
from telemed.consultation.models import Consultation
from telemed.errors import Forbidden, NotFound
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.prescription import made

VERA, ANNA = cast.VERA.who, cast.ANNA.who
ANSWERS: dict[str, Any] = {
    "symptoms": [],
    "arm": "left",
    "cuff": "medium",
    "question": "",
    "medicines": "",
    "fasting": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "нет",
        "Нет.",
        " НЕТУ ",
        "нет аллергии",
        "Аллергии нет",
        "отрицает",
        "няма",
        "Алергіі няма!",
        "none",
        "No",
        "nkda",
        "-",
        "—",
    ],
)
def test_none_is_known_in_the_words_that_people_write(text: str) -> None:
    assert kind_of(text) == "none"


@pytest.mark.parametrize(
    "text",
    [
        "пенициллин",
        "нет, кроме пенициллина",
        "не переносит анальгин",
        "no, but penicillin",
        "ампицилин - сыпь",
        "кошки",
    ],
)
def test_whatever_else_is_written_names_an_allergy(text: str) -> None:
    assert kind_of(text) == "named"


@pytest.mark.parametrize(
    "text", ["", "  ", "?", "не знает", "Не помнит.", "неизвестно", "не ведае", "unknown", "don’t know"]
)
def test_not_knowing_is_neither(text: str) -> None:
    assert kind_of(text) == "unknown"


def test_a_named_allergy_stays_whatever_is_said_before_and_after() -> None:
    """A property over every order of five answers: the state never falls from named to anything else."""
    said = ["пенициллин", "нет", "", "не знает", "Пенициллин."]
    for order in itertools.permutations(said):
        found = known_allergies(Said(text, cast.NOON + timedelta(hours=n)) for n, text in enumerate(order))
        assert (found.state, len(found.named)) == ("named", 1)
        assert found.denied_at is not None


def answered(services: Services, hands: Hands, allergies: str) -> None:
    visit_id = hands.visit(cast.MARIA)
    checkup.answer_questions(services, ANNA, visit_id, {**ANSWERS, "allergies": allergies})
    checkup.close_visit(services, ANNA, visit_id)


def test_an_allergy_of_an_hour_ago_is_not_unknown_now(services: Services, hands: Hands, clock: Clock) -> None:
    answered(services, hands, "пенициллин")
    clock.forward(hours=1)
    answered(services, hands, "")
    made.case(hands)

    found = service_allergies.allergies_of(services, VERA, cast.MARIA.id)
    assert (found.state, [said.text for said in found.named]) == ("named", ["пенициллин"])
    assert found.named[0].at == cast.NOON


def test_asking_again_with_an_empty_field_takes_no_answer_away(services: Services, hands: Hands) -> None:
    visit_id = hands.visit(cast.MARIA)
    first = {**ANSWERS, "allergies": "пенициллин", "medicines": "лоризаприл"}
    checkup.answer_questions(services, ANNA, visit_id, first)
    checkup.answer_questions(services, ANNA, visit_id, {**ANSWERS, "allergies": "", "symptoms": ["chest_pain"]})

    made_case(hands, visit_id)
    found = checkup.answers_of(services, VERA, visit_id)
    assert (found["allergies"], found["medicines"], found["symptoms"]) == ("пенициллин", "лоризаприл", ["chest_pain"])


def test_an_allergy_that_a_correction_took_away_still_stands_before_the_doctor(services: Services, hands: Hands) -> None:
    visit_id = hands.visit(cast.MARIA)
    checkup.answer_questions(services, ANNA, visit_id, {**ANSWERS, "allergies": "пенициллин"})
    checkup.correct_answers(services, ANNA, visit_id, {"allergies": "нет"})
    made_case(hands, visit_id)

    found = service_allergies.allergies_of(services, VERA, cast.MARIA.id)
    assert (found.state, [said.text for said in found.named]) == ("named", ["пенициллин"])
    assert found.denied_at is not None


def made_case(hands: Hands, visit_id: Any) -> None:
    case_id = made.case(hands, cast.IVAN)
    with hands.services.db.write() as tx:
        case = tx.get_one(Consultation, case_id)
        case.visit_id, case.patient_id = visit_id, cast.MARIA.id


def test_who_gives_no_care_reads_none_of_it(services: Services, hands: Hands) -> None:
    answered(services, hands, "пенициллин")
    for who, refusal in ((ANNA, Forbidden), (cast.GALINA.who, Forbidden), (cast.GLEB.who, NotFound), (VERA, NotFound)):
        with pytest.raises(refusal):
            service_allergies.allergies_of(services, who, cast.MARIA.id)


def test_what_a_stranger_said_in_this_patients_visit_is_not_this_patients(services: Services, hands: Hands) -> None:
    answered(services, hands, "пенициллин")
    made.case(hands)
    assert service_allergies.allergies_of(services, VERA, cast.MARIA.id).state == "named"
    with services.db.write() as tx:
        tx.scalars(select(Visit).where(Visit.answers.is_not(None))).one().ending = "wrong_person"

    assert service_allergies.allergies_of(services, VERA, cast.MARIA.id).state == "unknown"
