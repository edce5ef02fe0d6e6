"""Typed text: counted as the browser counts it, composed, given back when refused, and never cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import request
from flask.testing import FlaskClient

from telemed import rules_text
from telemed.bootstrap import Application
from telemed.checkup import rules as checkup
from telemed.checkup import service as checkups
from telemed.checkup.models import Visit
from telemed.consultation import rules as consultation
from telemed.consultation import service as consultations
from telemed.feedback import rules as feedback_rules
from telemed.feedback import service as feedback
from telemed.services import Services
from telemed.web.body import Body, parse
from tests import cast
from tests.make import Hands
from tests.page import problems_of, words_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
ROOT = Path(__file__).resolve().parents[2]
CALM = {f"symptom-{name}": "no" for name in checkup.SYMPTOMS} | {"fasting": "no", "arm": "left", "cuff": "medium"}


def lines(limit: int) -> str:
    """Return a text of exactly `limit` characters for the browser, in short lines, as a form sends it."""
    return ("таблетка\n" * limit)[: limit - 1].replace("\n", "\r\n") + "я"


@pytest.mark.parametrize(
    ("typed", "counted"),
    [("три", 3), ("а\nб", 3), ("", 0), ("🦊", 2), ("🦊\n🦊", 5), ("й", 1), ("и\u0306", 2), ("\ud800", 1)],
)
def test_a_length_is_what_maxlength_counts(typed: str, counted: int) -> None:
    assert rules_text.length(typed) == counted


@pytest.mark.parametrize("sent", ["а\r\nб", "а\rб", "а\nб"])
def test_a_line_break_is_one_character_however_it_is_sent(application: Application, sent: str) -> None:
    with application.app.test_request_context(method="POST", data={"text": sent}):
        assert request.form["text"] == "а\nб"
        assert request.values["text"] == "а\nб"


def test_decomposed_letters_are_composed_at_the_edge(application: Application) -> None:
    typed = unicodedata.normalize("NFD", "Дмитрий Ёлкин з Ваўкавыска")
    with application.app.test_request_context("/?q=" + typed, method="POST", data={"text": typed}):
        assert request.form["text"] == request.args["q"] == "Дмитрий Ёлкин з Ваўкавыска"


def test_a_password_is_taken_as_it_was_typed(application: Application) -> None:
    typed = unicodedata.normalize("NFD", "ёжик в тумане")
    with application.app.test_request_context(method="POST", data={"password": typed}):
        assert request.form["password"] == typed


def test_decomposed_letters_of_a_script_are_composed_too() -> None:
    class Line(Body):
        text: str
        more: list[str]

    typed = unicodedata.normalize("NFD", "й ё ў")

    assert parse(Line, {"text": typed, "more": [typed]}) == Line(text="й ё ў", more=["й ё ў"])


def test_a_reply_that_fits_its_field_is_stored_line_breaks_and_all(sign_in: SignIn, services: Services) -> None:
    feedback.file_complaint(services, cast.MARIA.who, cast.MARIA.id, "other", "Долго ждала.")
    (complaint,) = feedback.complaints(services, cast.GALINA.who)

    answer = sign_in(cast.GALINA).post(
        f"/complaints/{complaint.id}/reply", data={"text": lines(feedback_rules.WORDS_MAX)}
    )

    assert answer.status_code == 302
    (stored,) = feedback.complaints(services, cast.GALINA.who)
    assert rules_text.length(stored.reply) == feedback_rules.WORDS_MAX


def test_a_reply_that_is_too_long_comes_back_whole_in_its_complaint(sign_in: SignIn, services: Services) -> None:
    for words in ("Долго ждала.", "Грубо."):
        feedback.file_complaint(services, cast.MARIA.who, cast.MARIA.id, "other", words)
    first, _other = feedback.complaints(services, cast.GALINA.who)
    typed = "Мы разобрались. " * 100 + "Конец."

    answer = sign_in(cast.GALINA).post(f"/complaints/{first.id}/reply", data={"text": typed})

    assert answer.status_code == 422
    assert problems_of(answer) == ["Your reply: This is too long; make it shorter."]
    assert typed in words_of(answer.text)
    assert answer.text.count("Конец.") == 1, "in the complaint that it was written for, and in no other"


def test_a_reply_to_an_answered_complaint_comes_back(sign_in: SignIn, services: Services) -> None:
    feedback.file_complaint(services, cast.MARIA.who, cast.MARIA.id, "other", "Долго ждала.")
    (complaint,) = feedback.complaints(services, cast.GALINA.who)
    feedback.answer_complaint(services, cast.GALINA.who, complaint.id, "Первый ответ.")

    answer = sign_in(cast.GALINA).post(f"/complaints/{complaint.id}/reply", data={"text": "Второй ответ."})

    assert answer.status_code == 409
    assert "Второй ответ." in answer.text


@pytest.fixture
def visit(hands: Hands, services: Services) -> object:
    """Return the address of a visit whose questions were answered without texts."""
    visit_id = hands.visit()
    answers = {"symptoms": [], "fasting": None, "arm": "left", "cuff": "medium"}
    checkups.answer_questions(services, cast.ANNA.who, visit_id, answers)
    return visit_id


def test_answers_added_later_come_back_when_one_is_too_long(sign_in: SignIn, visit: object) -> None:
    typed = "метформин вечером по 1/2; " * 30

    answer = sign_in(cast.ANNA).post(
        f"/visits/{visit}/complete", data={"medicines": typed, "allergies": "пенициллин", "question": ""}
    )

    assert answer.status_code == 422
    assert typed.strip() in words_of(answer.text)
    assert "пенициллин" in answer.text
    assert problems_of(answer) == ["Which medicines does the patient take? This is too long; make it shorter."]


@pytest.mark.parametrize("form", ["complete", "correct"])
def test_answers_that_come_before_the_questions_come_back(sign_in: SignIn, hands: Hands, form: str) -> None:
    visit_id = hands.visit()

    answer = sign_in(cast.ANNA).post(f"/visits/{visit_id}/{form}", data={"medicines": "вечером по 1/2"})

    assert answer.status_code == 409
    assert "вечером по 1/2" in answer.text
    assert "Your words, not saved:" in answer.text


def test_a_red_flag_of_a_visit_that_is_over_leads_to_the_card_all_the_same(sign_in: SignIn, hands: Hands) -> None:
    visit_id = hands.visit(state="closed", closed_at=cast.NOON)

    answer = sign_in(cast.ANNA).post(f"/visits/{visit_id}/correct", data={f"symptom-{checkup.RED_FLAGS[0]}": "yes"})

    assert "103" in words_of(answer.text)


@pytest.mark.parametrize("form", ["questions", "correct"])
def test_a_form_with_a_red_flag_that_is_too_large_to_be_read_leads_to_the_card(
    sign_in: SignIn, hands: Hands, form: str
) -> None:
    typed = {**CALM, f"symptom-{checkup.RED_FLAGS[0]}": "yes", "medicines": "ж" * 600_000}

    answer = sign_in(cast.ANNA).post(f"/visits/{hands.visit()}/{form}", data=typed)

    assert answer.status_code == 413
    assert "103" in words_of(answer.text)


def test_answers_that_fit_their_field_are_stored_whole(sign_in: SignIn, services: Services, hands: Hands) -> None:
    visit_id = hands.visit()

    answer = sign_in(cast.ANNA).post(f"/visits/{visit_id}/questions", data={**CALM, "medicines": lines(checkup.TEXT_MAX)})

    assert answer.status_code == 302
    with services.db.read() as tx:
        stored = checkups.read_answers(services, tx, tx.get_one(Visit, visit_id))
    assert rules_text.length(stored["medicines"]) == checkup.TEXT_MAX


def test_a_note_that_fits_its_field_is_stored_whole(sign_in: SignIn, services: Services, hands: Hands) -> None:
    hands.shift()
    visit_id = hands.visit(state="ready")
    with services.db.write() as tx:
        case_id = consultations.queue_case(services, tx, visit_id, "YELLOW")
    assert case_id is not None
    consultations.take(services, cast.VERA.who, case_id)

    answer = sign_in(cast.VERA).post(
        f"/consultations/{case_id}/note", data={"plan": lines(consultation.NOTE_FIELD_MAX), "base_revision": "0"}
    )

    assert answer.status_code == 302
    note, _revision = consultations.read_note(services, cast.VERA.who, case_id)
    assert rules_text.length(note["plan"]) == consultation.NOTE_FIELD_MAX


def test_words_for_the_next_doctor_come_back_when_it_is_over(sign_in: SignIn, services: Services, hands: Hands) -> None:
    hands.shift()
    visit_id = hands.visit(state="ready")
    with services.db.write() as tx:
        case_id = consultations.queue_case(services, tx, visit_id, "YELLOW")
    assert case_id is not None
    consultations.take(services, cast.VERA.who, case_id)
    colleague = cast.Person("lena", "doctor", "Лена", None, cast.LAKE)
    with services.db.write() as tx:
        hands._account(tx, colleague, "x")
    consultations.save_note(services, cast.VERA.who, case_id, {"assessment": "ОК", "plan": "x"}, 0)
    consultations.end(services, cast.VERA.who, case_id, "advised")

    answer = sign_in(cast.VERA).post(
        f"/doctor/cases/{case_id}/hand-over", data={"to": str(colleague.id), "text": "Ждёт результата анализа."}
    )

    assert answer.status_code == 409
    assert "Ждёт результата анализа." in answer.text


def test_every_limit_on_a_page_is_the_limit_of_the_server() -> None:
    """A field that holds more than the server takes would refuse what the browser let through."""
    pages = {
        "feedback/complaints.html": feedback_rules.WORDS_MAX,
        "checkup/questions.html": checkup.TEXT_MAX,
        "consultation/parts/missing.html": checkup.TEXT_MAX,
        "checkup/complete.html": checkup.TEXT_MAX,
        "desks/doctor/parts/finish.html": consultation.HANDOVER_MAX,
        "desks/doctor/parts/note.html": consultation.NOTE_FIELD_MAX,
    }
    for page, limit in pages.items():
        text = (ROOT / "templates" / page).read_text(encoding="utf-8")
        assert f'maxlength="{limit}"' in text, page


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("ru", ["Абрамова", "Елина", "Ёлкина", "Ермак", "Жуков", "Иванов", "Яшин"]),
        ("be", ["Елізар", "Ермак", "Ёлка", "Жук", "Іваноў", "Кот", "Уладзімір", "Ўсевалад", "Фёдар", "Янка"]),
        ("ru", ["Иванов Ян", "Иванова Анна", "Иванова-Петрова Анна"]),
        ("be", ["Марыя", "Мар’я", "Мар'яна"]),
        ("ru", ["Озерки", "Сосново", "Ясное"]),
    ],
)
def test_names_stand_in_the_order_of_the_alphabet(language: str, names: list[str]) -> None:
    assert sorted(set(names), key=lambda name: rules_text.by_name(name, language)) == names


def test_the_doctors_of_a_region_are_listed_by_the_alphabet(sign_in: SignIn, services: Services, hands: Hands) -> None:
    """A database puts Ё before А."""
    with services.db.write() as tx:
        for login, name in (("eva", "Ёлкина Ева"), ("ada", "Абрамова Ада"), ("zoya", "Жукова Зоя")):
            hands._account(tx, cast.Person(login, "doctor", name, None, cast.LAKE), "x")

    page = sign_in(cast.GALINA).get("/roster").text
    assert page.index("Абрамова") < page.index("Вера Ильина") < page.index("Ёлкина") < page.index("Жукова")
