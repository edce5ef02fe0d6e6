"""Whom a page is about: a doctor's page says name, age, sex and allergies, a clerk's name and year of birth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.checkup import service as checkup
from telemed.consultation import service as consultation
from telemed.prescription import service as prescription
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.prescription import made

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
ANSWERS: dict[str, Any] = {
    "symptoms": [], "arm": "left", "cuff": "medium", "question": "", "medicines": "", "fasting": None
}  # fmt: skip
NAME = "Ёлкина Мария Петровна"


@pytest.fixture
def visit(hands: Hands) -> UUID:
    return hands.visit(cast.MARIA)


@pytest.fixture
def case(services: Services, visit: UUID) -> UUID:
    with services.db.write() as tx:
        case_id = consultation.queue_case(services, tx, visit, "YELLOW")
    assert case_id is not None
    consultation.take(services, cast.VERA.who, case_id)
    return case_id


def answer(services: Services, visit: UUID, allergies: str) -> None:
    checkup.answer_questions(services, cast.ANNA.who, visit, {**ANSWERS, "allergies": allergies})


def doctors_pages(services: Services, vera: FlaskClient, visit: UUID, case: UUID) -> dict[str, str]:
    """Return each page on which a doctor works for one person, as its bytes."""
    prescription_id = prescription.draft(services, cast.VERA.who, case, made.TABLETS, made.IN_PERSON)
    paths = [
        f"/doctor/cases/{case}", f"/consultations/{case}/prescription", f"/prescriptions/{prescription_id}/change",
        f"/prescriptions/{prescription_id}", f"/visits/{visit}/claims",
    ]  # fmt: skip
    pages = {path: vera.get(path).text for path in paths}
    refused = vera.post(f"/consultations/{case}/note", data={"plan": "x", "base_revision": "7"})
    wrong = vera.post(f"/consultations/{case}/prescription", data={"code-1": "nothing"})
    return {**pages, "a refused note": refused.text, "a refused draft": wrong.text}


def test_each_page_of_a_doctor_says_name_age_sex_and_allergies(
    services: Services, sign_in: SignIn, visit: UUID, case: UUID
) -> None:
    answer(services, visit, "пенициллин")
    for path, page in doctors_pages(services, sign_in(cast.VERA), visit, case).items():
        assert NAME in page, path
        assert "78 years old" in page, path
        assert "woman" in page, path
        assert 'data-allergies="named"' in page, path
        assert "пенициллин" in page, path


@pytest.mark.parametrize(
    ("said", "state", "words", "look"),
    [
        ("пенициллин", "named", "ALLERGY", "badge alarm"),
        ("нет", "none", "No allergies, the patient says", "badge ok"),
        ("не знает", "unknown", "Allergies are not known: ask", "badge unknown"),
        (None, "unknown", "Allergies are not known: ask", "badge unknown"),
    ],
)
def test_named_none_and_unknown_differ_in_words_and_look(
    services: Services, sign_in: SignIn, visit: UUID, case: UUID, said: str | None, state: str, words: str, look: str
) -> None:
    if said is not None:
        answer(services, visit, said)
    for path, page in doctors_pages(services, sign_in(cast.VERA), visit, case).items():
        line = page[page.index("data-allergies=") :].split("</p>")[0]
        assert f'"{state}"' in line, path
        assert words in line, path
        assert f'class="{look}"' in line, path


def test_the_queue_says_age_and_sex_where_it_says_the_name(sign_in: SignIn, case: UUID) -> None:
    page = sign_in(cast.VERA).get("/doctor").text

    assert NAME in page
    assert "78 years old" in page
    assert "woman" in page


def test_an_age_is_counted_to_the_day(sign_in: SignIn, case: UUID, clock: Clock) -> None:
    """Maria is 79 on 8 March, at midnight of the branch: 21:00 of the day before in UTC."""
    vera = sign_in(cast.VERA)

    def page_at(month: int, day: int, hour: int) -> str:
        clock.now = clock.now.replace(year=2027, month=month, day=day, hour=hour, minute=30)
        return sign_in(cast.VERA).get(f"/doctor/cases/{case}").text

    assert "78 years old" in vera.get(f"/doctor/cases/{case}").text
    assert "78 years old" in page_at(3, 7, 20)
    assert "79 years old" in page_at(3, 7, 21)


def clerks_pages(anna: FlaskClient, visit: UUID) -> dict[str, str]:
    paths = [
        f"/patients/{cast.MARIA.id}", f"/counter/visits/{visit}", f"/visits/{visit}/questions", f"/visits/{visit}/correct",
        f"/visits/{visit}/type/blood_pressure", f"/visits/{visit}/type/glucose",
    ]  # fmt: skip
    pages = {path: anna.get(path).text for path in paths}
    typed = anna.post(f"/visits/{visit}/type/blood_pressure", data={"systolic_mmhg": "abc"})
    asked = anna.post(f"/visits/{visit}/questions", data={})
    late = anna.post(f"/visits/{visit}/complete", data={"medicines": "ю" * 501})
    card = anna.post(f"/patients/{cast.MARIA.id}/card")
    return {**pages, "refused values": typed.text, "refused answers": asked.text, "late": late.text, "card": card.text}


def test_each_page_of_a_clerk_says_name_and_year_and_nothing_more(
    services: Services, sign_in: SignIn, visit: UUID, case: UUID
) -> None:
    answer(services, visit, "пенициллин")
    for path, page in clerks_pages(sign_in(cast.ANNA), visit).items():
        assert NAME in page, path
        assert "1948" in page, path
        for word in ("08.03", "1948-03", "78 years", "woman", "пенициллин"):
            assert word not in page, (path, word)
