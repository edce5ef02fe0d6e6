"""Unsent words: kept on the server for their author alone, by whom they are about, for twelve hours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from telemed.access import accounts, drafts
from telemed.access.models import AuditRow, Draft
from telemed.bootstrap import Application
from telemed.consultation import service as consultations
from telemed.errors import Invalid
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
PATH = "/api/v1/drafts"
NEW = "patients/new||0123456789abcdef"


def about(villager: cast.Villager, page: str = "0123456789abcdef") -> str:
    return f"complaint|{villager.id}|{page}"


def keep(browser: FlaskClient, draft: str, **words: str) -> TestResponse:
    return browser.post(PATH, json={"draft": draft, "words": list(words.items())})


def kept(browser: FlaskClient, draft: str) -> dict[str, str]:
    answer = browser.get(PATH, query_string={"draft": draft})
    return dict(answer.json["words"]) if answer.status_code == 200 else {}


def again(application: Application, person: cast.Person) -> FlaskClient:
    """Return a new browser in which the person has signed in anew."""
    browser = application.app.test_client()
    browser.set_cookie(COOKIE, accounts.open_session(application.services, account_id=person.id))
    return browser


def test_the_same_person_finds_the_words_after_a_new_sign_in(application: Application, sign_in: SignIn) -> None:
    keep(sign_in(cast.ANNA), about(cast.MARIA), text="Долго ждала")

    assert kept(again(application, cast.ANNA), about(cast.MARIA, "ffffffffffffffff")) == {"text": "Долго ждала"}


def test_nobody_else_finds_them(application: Application, sign_in: SignIn) -> None:
    keep(sign_in(cast.ANNA), about(cast.MARIA), text="Долго ждала")
    assert kept(sign_in(cast.ANNA), about(cast.MARIA)), "they are there"

    for person in (cast.BORIS, cast.VERA, cast.GALINA, cast.MARIA):
        assert kept(sign_in(person), about(cast.MARIA)) == {}
    assert application.app.test_client().get(PATH, query_string={"draft": about(cast.MARIA)}).status_code == 401


def test_words_about_one_patient_never_come_up_in_anothers_form(sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    keep(anna, about(cast.MARIA), text="Долго ждала")

    assert kept(anna, about(cast.IVAN)) == {}
    assert kept(anna, f"complaint||{'0' * 16}") == {}
    assert kept(anna, f"questions|{cast.MARIA.id}|{'0' * 16}") == {}


def test_they_are_forgotten_after_twelve_hours(
    application: Application, services: Services, sign_in: SignIn, clock: Clock
) -> None:
    keep(sign_in(cast.ANNA), NEW, family_name="Иванова")
    clock.forward(hours=11, minutes=59)
    assert kept(again(application, cast.ANNA), NEW) == {"family_name": "Иванова"}

    clock.forward(minutes=1)
    assert kept(again(application, cast.ANNA), NEW) == {}
    with services.db.write() as tx:
        drafts.forget_old(services, tx)
        assert tx.scalars(select(Draft.id)).all() == []


def test_a_form_left_open_over_lunch_gives_its_words_back(
    application: Application, sign_in: SignIn, clock: Clock
) -> None:
    """Half an hour idle ends the session; the words are sent all the same, with or without scripts."""
    anna = sign_in(cast.ANNA)
    clock.forward(minutes=31)

    answer = anna.post("/patients/new", data={"draft": NEW, "family_name": "Иванова", "birth_date": "01.02.1941"})
    assert answer.status_code == 401
    assert "with what you typed" in answer.text

    assert kept(again(application, cast.ANNA), NEW) == {"family_name": "Иванова", "birth_date": "01.02.1941"}


def test_a_page_promises_nothing_that_it_does_not_keep(application: Application, sign_in: SignIn, clock: Clock) -> None:
    anna = sign_in(cast.ANNA)
    clock.forward(hours=13)

    answer = anna.post("/patients/new", data={"draft": NEW, "family_name": "Иванова"})

    assert "with what you typed" not in answer.text
    assert kept(again(application, cast.ANNA), NEW) == {}


def test_typing_after_the_session_stood_idle_is_kept_too(application: Application, sign_in: SignIn, clock: Clock) -> None:
    anna = sign_in(cast.ANNA)
    clock.forward(minutes=31)
    assert anna.get("/counter").status_code == 302, "the session is over"

    assert keep(anna, NEW, family_name="Иванова").status_code == 200

    assert kept(again(application, cast.ANNA), NEW) == {"family_name": "Иванова"}
    assert anna.get("/counter").status_code == 302, "and stays over"
    assert anna.get(PATH, query_string={"draft": NEW}).status_code == 401, "it reads nothing"


def test_who_signed_out_or_was_shut_out_writes_nothing(
    application: Application, services: Services, sign_in: SignIn
) -> None:
    anna = sign_in(cast.ANNA)
    token = anna.get_cookie(COOKIE)
    assert token is not None
    anna.post("/sign-out")
    stale = application.app.test_client()
    stale.set_cookie(COOKIE, token.value)
    assert keep(stale, NEW, family_name="Иванова").status_code == 401

    boris = sign_in(cast.BORIS)
    accounts.disable_account(services, cast.OLEG.who, cast.BORIS.id)
    assert keep(boris, NEW, family_name="Иванова").status_code == 401


def test_what_was_sent_is_forgotten(sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    keep(anna, about(cast.MARIA), text="Долго")

    typed = {"patient_id": str(cast.MARIA.id), "category": "other", "text": "Долго ждала"}
    assert anna.post("/complaints/new", data={"draft": about(cast.MARIA), **typed}).status_code == 200

    assert kept(anna, about(cast.MARIA)) == {}


def test_a_save_that_arrives_after_its_form_was_sent_keeps_nothing(sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    typed = {"patient_id": str(cast.MARIA.id), "category": "other", "text": "Долго ждала"}
    anna.post("/complaints/new", data={"draft": about(cast.MARIA), **typed})

    keep(anna, about(cast.MARIA), text="Долго ждала")
    assert kept(anna, about(cast.MARIA)) == {}

    keep(anna, about(cast.MARIA, "a" * 16), text="Ещё одна")
    assert kept(anna, about(cast.MARIA)) == {"text": "Ещё одна"}, "a new page is a new form"


def test_a_refused_form_is_kept_and_a_password_never(sign_in: SignIn, services: Services) -> None:
    anna = sign_in(cast.ANNA)

    answer = anna.post("/patients/new", data={"draft": NEW, "family_name": "Иванова", "password": "x", "csrf_token": "y"})

    assert answer.status_code == 422
    assert kept(anna, NEW) == {"family_name": "Иванова"}


def test_the_words_are_sealed_under_their_author(sign_in: SignIn, services: Services) -> None:
    keep(sign_in(cast.ANNA), NEW, family_name="Иванова")

    with services.db.read() as tx:
        row = tx.scalars(select(Draft)).one()
        assert row.subject_id == cast.ANNA.id
        assert "Иванова".encode() not in (row.words or b"")
        assert services.vault.open(tx, row, "words") == {"words": [["family_name", "Иванова"]]}


def test_reading_them_is_audited_and_looking_for_none_is_not(sign_in: SignIn, services: Services) -> None:
    anna = sign_in(cast.ANNA)
    kept(anna, NEW)
    keep(anna, NEW, family_name="Иванова")
    kept(anna, NEW)

    with services.db.read() as tx:
        assert len(tx.scalars(select(AuditRow.no).where(AuditRow.action == "draft.read")).all()) == 1


def test_throwing_them_away(sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    keep(anna, NEW, family_name="Иванова")

    assert anna.post(f"{PATH}/drop", json={"draft": NEW}).status_code == 200

    assert kept(anna, NEW) == {}


@pytest.mark.parametrize(
    "draft", ["", "x", "||", "patients/new|../..|0123456789abcdef", "A|b|c", "patients/new||short", "\x00"]
)
def test_a_mark_that_no_form_of_ours_carries_is_refused(sign_in: SignIn, draft: str) -> None:
    assert keep(sign_in(cast.ANNA), draft, text="x").status_code == 422
    assert sign_in(cast.ANNA).get(PATH, query_string={"draft": draft}).status_code == 422


def test_more_than_any_form_holds_is_refused(services: Services, sign_in: SignIn) -> None:
    mark = drafts.read_mark(NEW)
    assert mark is not None
    for words in ([("a", "b")] * 151, [("a", "b" * 60_001)]):
        with pytest.raises(Invalid):
            drafts.keep_draft(services, cast.ANNA.id, mark, words)
    big = {"draft": NEW, "family_name": "Я" * 70_000}
    assert sign_in(cast.ANNA).post("/patients/new", data=big).status_code == 422, "and breaks no form"


def test_a_patients_own_words_wait_for_the_next_card(application: Application, services: Services, sign_in: SignIn) -> None:
    keep(sign_in(cast.MARIA), about(cast.MARIA), text="Грубо ответили")

    assert kept(sign_in(cast.MARIA), about(cast.MARIA)) == {"text": "Грубо ответили"}
    assert kept(sign_in(cast.IVAN), about(cast.MARIA)) == {}


def test_every_form_that_takes_words_about_somebody_names_whom(sign_in: SignIn, hands: Hands) -> None:
    """Only what is about nobody yet may go without: a new patient, a shift, the region's act."""
    pages = {
        "/patients/new": (cast.ANNA, "patients/new", ""),
        f"/complaints/new?patient_id={cast.MARIA.id}": (cast.ANNA, "complaint", str(cast.MARIA.id)),
        "/complaints/new": (cast.MARIA, "complaint", str(cast.MARIA.id)),
        f"/visits/{(visit := hands.visit())}/questions": (cast.ANNA, "questions", str(visit)),
        "/roster": (cast.GALINA, "shift", ""),
        "/region": (cast.GALINA, "region", ""),
    }
    for path, (person, form, whom) in pages.items():
        found = re.search(r'name="draft" value="([^"]*)"', sign_in(person).get(path).text)

        assert found, path
        assert found[1].split("|")[:2] == [form, whom], path
        assert drafts.read_mark(found[1]), path


def test_a_held_write_lock_delays_no_answer_for_a_drafts_sake(sign_in: SignIn, services: Services) -> None:
    """What a red flag starts waits for no draft; neither does any other form."""
    anna = sign_in(cast.ANNA)
    typed = {"draft": NEW, "family_name": ""}
    with services.db.write() as tx, ThreadPoolExecutor(1) as other:
        tx.execute(select(Draft.id))
        began = time.monotonic()
        answer = other.submit(anna.post, "/patients/new", data=typed).result()

    assert answer.status_code == 422
    assert time.monotonic() - began < 5
    assert kept(anna, NEW) == {}


def test_without_scripts_the_words_stand_on_a_page_of_their_own(
    application: Application, sign_in: SignIn, clock: Clock
) -> None:
    anna = sign_in(cast.ANNA)
    assert "/drafts" in anna.get("/patients/new").text
    clock.forward(minutes=31)
    typed = {"patient_id": str(cast.MARIA.id), "category": "other", "sex": "female", "text": "Долго ждала в очереди"}
    anna.post("/complaints/new", data={"draft": about(cast.MARIA), **typed})

    page = again(application, cast.ANNA).get("/drafts").text
    assert "Долго ждала в очереди" in page
    assert str(cast.MARIA.id) not in page
    assert ">female<" not in page
    assert ">other<" not in page
    assert "Долго ждала" not in sign_in(cast.BORIS).get("/drafts").text


def test_without_scripts_a_doctors_note_is_kept_over_lunch_too(
    application: Application, sign_in: SignIn, services: Services, hands: Hands, clock: Clock
) -> None:
    hands.shift()
    visit_id = hands.visit(state="ready")
    with services.db.write() as tx:
        case_id = consultations.queue_case(services, tx, visit_id, "YELLOW")
    assert case_id is not None
    consultations.take(services, cast.VERA.who, case_id)
    vera = sign_in(cast.VERA)
    page = vera.get(f"/doctor/cases/{case_id}").text
    mark = re.search(r'<noscript><input type="hidden" name="draft" value="([^"]+)">', page)
    assert mark
    clock.forward(minutes=31)

    answer = vera.post(f"/consultations/{case_id}/note", data={"draft": mark[1], "plan": "Сахар утром"})

    assert answer.status_code == 401
    assert "with what you typed" in answer.text
    assert "Сахар утром" in again(application, cast.VERA).get("/drafts").text
