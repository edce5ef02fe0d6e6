"""The clerk's way through a check-up, page by page."""

from __future__ import annotations

from uuid import UUID

import pytest

from telemed.checkup import rules, service
from telemed.checkup.models import Visit
from telemed.errors import Conflict, Forbidden, NotFound
from tests import cast


def typed(**more: str) -> dict[str, str]:
    calm = {f"symptom-{code}": "no" for code in rules.SYMPTOMS}
    return calm | {"fasting": "yes", "known_hypertension": "", "arm": "left", "cuff": "medium"} | more


@pytest.fixture
def visit(services) -> UUID:
    return service.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")


@pytest.mark.parametrize("code", rules.RED_FLAGS)
def test_each_red_flag_shows_the_emergency_numbers_at_once_before_any_job_has_run(sign_in, visit, code):
    answers = typed(**{f"symptom-{code}": "yes"})
    page = sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=answers, follow_redirects=True)
    assert page.status_code == 200
    assert "tel:112" in page.text
    assert "tel:103" in page.text


def test_a_red_flag_is_not_held_up_by_an_open_question(sign_in, visit):
    answer = sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data={"symptom-chest_pain": "yes"})
    assert answer.status_code == 302
    assert answer.location.endswith("/emergency")


def test_calm_answers_lead_to_the_series(sign_in, visit):
    answer = sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=typed())
    assert answer.status_code == 302
    assert answer.location == f"/counter/visits/{visit}"


def test_the_answers_are_sealed_and_come_back_to_their_reader(services, sign_in, visit):
    sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=typed(question="can-4711"))
    with services.db.write() as tx:
        row = tx.get(Visit, visit)
        assert b"can-4711" not in row.answers
        assert service.read_answers(services, tx, row)["question"] == "can-4711"


@pytest.mark.parametrize("missing", [f"symptom-{code}" for code in rules.SYMPTOMS] + ["fasting", "arm", "cuff"])
def test_an_open_question_is_refused_and_typed_text_stays(services, sign_in, visit, missing):
    data = typed(question="why so tired")
    del data[missing]
    page = sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=data)
    assert page.status_code == 422
    assert "why so tired" in page.text
    assert not service.visit_view(services, cast.ANNA.who, visit).answered


def test_a_text_that_is_too_long_is_refused(sign_in, visit):
    page = sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=typed(medicines="x" * (rules.TEXT_MAX + 1)))
    assert page.status_code == 422


def test_nothing_is_measured_before_the_questions(services, visit):
    with pytest.raises(Conflict) as refused:
        service.ask_measurement(services, cast.ANNA.who, visit, "glucose")
    assert refused.value.code == "questions_first"


def test_pressure_is_not_measured_before_the_rest_is_over(services, sign_in, visit, clock):
    sign_in(cast.ANNA).post(f"/visits/{visit}/questions", data=typed())
    with pytest.raises(Conflict) as refused:
        service.ask_measurement(services, cast.ANNA.who, visit, "blood_pressure")
    assert refused.value.code == "rest_first"
    assert refused.value.facts["wait_s"] == 5
    clock.forward(seconds=5)
    assert service.ask_measurement(services, cast.ANNA.who, visit, "blood_pressure") == 1


def test_another_branchs_clerk_may_neither_see_nor_answer(services, sign_in, visit):
    assert service.visit_view(services, cast.ANNA.who, visit).id == visit
    with pytest.raises((Forbidden, NotFound)):
        service.visit_view(services, cast.BORIS.who, visit)
    assert sign_in(cast.BORIS).post(f"/visits/{visit}/questions", data=typed()).status_code in (403, 404)
    assert sign_in(cast.BORIS).get(f"/visits/{visit}/emergency").status_code in (403, 404)


def test_one_corner_has_one_open_visit(services, visit):
    with pytest.raises(Conflict) as refused:
        service.open_visit(services, cast.ANNA.who, cast.IVAN.id, cast.OZERKI, "card")
    assert refused.value.code == "corner_busy"
    service.close_visit(services, cast.ANNA.who, visit)
    assert service.open_visit(services, cast.ANNA.who, cast.IVAN.id, cast.OZERKI, "card") != visit
