"""Signing in: one answer for every wrong try, a limit, sessions that end at once when told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from telemed.access import accounts
from telemed.bootstrap import Application
from telemed.errors import Forbidden, Invalid, TelemedError, TooMany
from telemed.services import Services
from telemed.web.live import COOKIE
from tests import cast
from tests.conftest import Clock

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


def test_the_right_password_opens_a_session_and_signing_out_ends_it(application: Application) -> None:
    browser = application.app.test_client()

    browser.post("/sign-in", data={"login": "anna", "password": cast.PASSWORD})
    token = browser.get_cookie(COOKIE)
    assert token is not None
    assert accounts.who_is(application.services, token.value).id == cast.ANNA.id

    browser.post("/sign-out")
    assert accounts.who_is(application.services, token.value).role is None


@pytest.mark.parametrize(
    ("login", "password"), [("anna", "wrong"), ("nobody", cast.PASSWORD), ("", ""), ("anna", "x" * 300)]
)
def test_every_wrong_try_gets_the_same_kind_of_answer(application: Application, login: str, password: str) -> None:
    browser = application.app.test_client()

    answer = browser.post("/sign-in", data={"login": login, "password": password})

    assert answer.status_code in (403, 422)
    assert browser.get_cookie(COOKIE) is None
    assert password not in answer.text or not password


def test_the_ninth_wrong_try_waits_also_with_the_right_password(services: Services, clock: Clock) -> None:
    for _ in range(accounts.TRIES):
        with pytest.raises(Forbidden):
            accounts.sign_in(services, "anna", "wrong", "10.0.0.1")

    with pytest.raises(TooMany):
        accounts.sign_in(services, "anna", cast.PASSWORD, "10.0.0.2")

    clock.forward(minutes=11)
    assert accounts.sign_in(services, "anna", cast.PASSWORD, "10.0.0.2")


def test_tries_at_the_same_moment_are_counted_one_by_one(services: Services) -> None:
    def guess(number: int) -> str:
        try:
            return accounts.sign_in(services, "anna", f"guess {number}", f"10.0.0.{number}")
        except TelemedError as refused:
            return refused.code

    with ThreadPoolExecutor(20) as people:
        said = Counter(people.map(guess, range(20)))

    assert said == {"wrong_password": accounts.TRIES, "too_many_attempts": 20 - accounts.TRIES}


def test_a_right_password_counts_for_nothing(services: Services) -> None:
    for _ in range(accounts.TRIES + 1):
        assert accounts.sign_in(services, "anna", cast.PASSWORD, "10.0.0.1")


def test_a_session_ends_when_idle_and_after_twelve_hours(services: Services, clock: Clock) -> None:
    token = accounts.open_session(services, account_id=cast.ANNA.id)
    for _ in range(30):
        clock.forward(minutes=28)
        if accounts.who_is(services, token).role is None:
            break
    assert clock.now - cast.NOON >= accounts.ABSOLUTE

    token = accounts.open_session(services, account_id=cast.ANNA.id)
    clock.forward(minutes=31)
    assert accounts.who_is(services, token).role is None


def test_disabling_an_account_ends_its_sessions_at_once(services: Services) -> None:
    token = accounts.open_session(services, account_id=cast.ANNA.id)
    assert accounts.who_is(services, token).role == "clerk"

    accounts.disable_account(services, cast.OLEG.who, cast.ANNA.id)

    assert accounts.who_is(services, token).role is None
    with pytest.raises(Forbidden):
        accounts.sign_in(services, "anna", cast.PASSWORD, "10.0.0.1")


def test_a_clerk_cannot_disable_an_account(services: Services) -> None:
    with pytest.raises(Forbidden):
        accounts.disable_account(services, cast.ANNA.who, cast.BORIS.id)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"login": "Bad Name"}, "login"),
        ({"login": "anna"}, "login"),
        ({"password": "p" * 300}, "password"),
        ({"password": "contains lena itself"}, "password"),
        ({"role": "patient"}, "role"),
        ({"role": "king"}, "role"),
        ({"display_name": " "}, "display_name"),
        ({"language": "fr"}, "language"),
    ],
)
def test_a_new_account_says_which_field_is_wrong(services: Services, change: dict[str, str], field: str) -> None:
    new = {"login": "lena", "password": "long and good enough", "role": "clerk", "display_name": "Лена"} | change

    with pytest.raises(Invalid) as caught:
        accounts.create_account(services, **new)  # type: ignore[arg-type]

    assert field in caught.value.fields


def test_one_click_sign_in_exists_only_in_a_demo(application: Application) -> None:
    browser = application.app.test_client()
    application.services.demo = False

    assert browser.post("/sign-in/demo", data={"login": "anna"}).status_code == 404
    assert "demo.clerk" not in browser.get("/sign-in").text


def test_one_click_keeps_the_language_in_which_the_button_was_read(application: Application) -> None:
    accounts.create_account(application.services, "demo.auditor", "long and good enough", "auditor", "Тамара")
    browser = application.app.test_client()

    answer = browser.post("/sign-in/demo", data={"login": "demo.auditor"}, headers={"Accept-Language": "en"})

    assert answer.status_code == 302
    assert browser.get_cookie("lang").value == "en"


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:1", "/\t/evil.example", "/\r/x"],
)
def test_signing_in_never_leads_to_a_foreign_page(application: Application, target: str) -> None:
    browser = application.app.test_client()

    answer = browser.post("/sign-in", data={"login": "anna", "password": cast.PASSWORD, "next": target})

    assert answer.status_code == 302
    assert answer.location == "/"


def test_a_page_for_staff_sends_a_stranger_to_sign_in_and_back(application: Application) -> None:
    answer = application.app.test_client().get("/day?date=2026-11-23")

    assert answer.status_code == 302
    assert "/sign-in?next=" in answer.location


def test_a_form_without_its_token_changes_nothing(application: Application, sign_in: SignIn) -> None:
    application.app.config.update(WTF_CSRF_ENABLED=True)
    browser = sign_in(cast.ANNA)

    assert browser.post("/sign-out").status_code == 400
    assert browser.get("/counter").status_code == 200
    json_answer = browser.post("/api/v1/consultations/00000000-0000-4000-8000-000000000000/note", json={})
    assert (json_answer.status_code, json_answer.json["error"]) == (400, "csrf_expired")


def test_whose_session_ended_behind_a_form_is_asked_to_sign_in_and_comes_back(application: Application) -> None:
    application.app.config.update(WTF_CSRF_ENABLED=True)
    stranger = application.app.test_client()
    stranger.set_cookie("lang", "be")
    answer = stranger.post("/patients/new?phone=1", headers={"Referer": "http://localhost/patients/new?phone=1"})
    foreign = stranger.post("/patients/new", headers={"Referer": "https://example.org/patients/new"})

    assert answer.status_code == foreign.status_code == 401
    assert "/sign-in?next=/patients/new?phone%3D1" in answer.text
    assert "Увайдзіце" in answer.text, "in the language of before"
    assert "example.org" not in foreign.text


def test_an_old_form_that_anybody_may_send_is_only_too_old(application: Application) -> None:
    application.app.config.update(WTF_CSRF_ENABLED=True)

    assert application.app.test_client().post("/card").status_code == 400


@pytest.mark.parametrize(
    ("asked_for", "shown"),
    [
        ("/patients/new?phone=1", "/patients/new?phone=1"),
        ("/doctor", "/"),
        ("/nowhere", "/"),
        ("/sign-out", "/"),
        ("", "/"),
    ],
)
def test_a_session_begins_at_the_page_it_was_asked_for_unless_that_is_another_roles(
    application: Application, asked_for: str, shown: str
) -> None:
    form = {"login": "anna", "password": cast.PASSWORD, "next": asked_for}

    assert application.app.test_client().post("/sign-in", data=form).location == shown
