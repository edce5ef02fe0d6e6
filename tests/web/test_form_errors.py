"""What is wrong is said in words: of the whole form as of one field, in every language, on every page with a form."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import render_template_string
from flask.testing import FlaskClient
from wtforms import RadioField

from telemed import i18n
from telemed.access import accounts
from telemed.bootstrap import Application
from telemed.errors import Invalid, TelemedError
from telemed.patients import service as patients
from telemed.services import Services
from telemed.web import forms
from tests import cast
from tests.make import Hands
from tests.page import problems_of, words_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
BOX = '{% from "parts/forms.html" import errors with context %}{{ errors(form) }}{{ errors(fields=faults) }}'


@pytest.fixture
def stranger(application: Application) -> FlaskClient:
    """Return a browser in which nobody is signed in and English is chosen."""
    browser = application.app.test_client()
    browser.set_cookie("lang", "en")
    return browser


def test_a_wrong_password_is_said(stranger: FlaskClient) -> None:
    answer = stranger.post("/sign-in", data={"login": "anna", "password": "wrong"})

    assert problems_of(answer) == ["The name or the password is wrong."]


def test_too_many_tries_are_said(stranger: FlaskClient) -> None:
    for _ in range(accounts.TRIES):
        stranger.post("/sign-in", data={"login": "anna", "password": "wrong"})

    answer = stranger.post("/sign-in", data={"login": "anna", "password": cast.PASSWORD})

    assert answer.status_code == 429
    assert problems_of(answer) == ["Too many tries. Wait a little and try again."]


@pytest.mark.parametrize("language", sorted(i18n.LANGUAGES))
def test_the_sentence_stands_in_the_readers_language(stranger: FlaskClient, language: str) -> None:
    stranger.set_cookie("lang", language)

    answer = stranger.post("/sign-in", data={"login": "anna", "password": "wrong"})

    assert problems_of(answer) == [i18n.code_text(language, "wrong_password")]


def test_a_dead_card_is_said(stranger: FlaskClient, services: Services) -> None:
    old = patients.issue_card(services, cast.ANNA.who, cast.MARIA.id)
    patients.issue_card(services, cast.ANNA.who, cast.MARIA.id)

    answer = stranger.post("/card", data={"token": old})

    assert problems_of(answer) == [i18n.code_text("en", "card_ended")]


@pytest.mark.parametrize("typed", ["", " ", "x" * 201])
def test_a_card_that_nobody_looked_for_is_not_called_unknown(stranger: FlaskClient, typed: str) -> None:
    answer = stranger.post("/card", data={"token": typed})

    assert answer.status_code == 422
    said = i18n.code_text("en", "too_long" if len(typed) > 1 else "required")
    assert problems_of(answer) == [f"Code of the card: {said}"]


def test_an_unknown_rating_link_is_said(stranger: FlaskClient) -> None:
    answer = stranger.post("/rate", data={"token": "a" * 32, "score": "5"})

    assert answer.status_code == 404
    assert problems_of(answer) == [i18n.code_text("en", "rating_token_unknown")]


@pytest.mark.parametrize("form_class", forms.PageForm.__subclasses__())
def test_every_form_says_what_belongs_to_no_field(application: Application, form_class: type[forms.PageForm]) -> None:
    """Known number, several people, a step that is not legal: whatever the service answers heads the form."""
    with application.app.test_request_context():
        form = form_class()
        form.take(Invalid("too_large"))
        form.take(Invalid(fields={"a_field_of_no_form": "phone_invalid"}))

        box = words_of(render_template_string(BOX, form=form, faults={}))

    for code in ("too_large", "phone_invalid"):
        assert i18n.code_text("ru", code) in box


def test_a_page_without_a_form_class_says_it_too(application: Application) -> None:
    with application.app.test_request_context():
        box = words_of(render_template_string(BOX, form=None, faults=Invalid("too_large").faults))

    assert i18n.code_text("ru", "too_large") in box


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Invalid("note_needed"), "note_needed"),
        (Invalid("note_needed", fields={"assessment": "note_needed"}), "note_needed"),
        (Invalid(fields={"passkey": "passkey_invalid"}), "passkey_invalid"),
        (Invalid(), "invalid"),
    ],
)
def test_where_one_sentence_must_do_the_nearest_is_said(error: TelemedError, said: str) -> None:
    assert isinstance(error, Invalid)
    assert error.said == said


def test_an_error_page_says_what_is_wrong_and_not_only_that_something_is(sign_in: SignIn) -> None:
    """A post that no form of ours sends: the page that answers names the fault."""
    answer = sign_in(cast.ANNA).post("/counter/visits", data={"patient_id": cast.MARIA.id, "identified_by": "rumour"})

    assert i18n.code_text("en", "invalid") not in words_of(answer.text)


@pytest.mark.parametrize("language", ["ru", "be"])
def test_no_library_speaks_english_of_its_own(application: Application, language: str) -> None:
    """A choice that the list does not hold, a number or a day that is none: WTForms has sentences of its own."""

    class Odd(forms.PageForm):
        choice = RadioField("Sex", choices=[("a", "A")])
        day = forms.DayField("Day")
        number = forms.NumberField("Packs")

    with application.app.test_request_context(data={"choice": "z", "day": "soon", "number": "many"}, method="POST"):
        form = Odd()
        form.validate()

        assert {code for codes in form.errors.values() for code in codes} == {"invalid", "not_a_date", "not_a_number"}
    assert i18n.code_text(language, "invalid") != i18n.code_text("en", "invalid")


def test_what_is_wrong_is_said_in_one_style() -> None:
    """A page that says it itself lets no browser say it before, in a bubble of its own and in its own language."""
    own = {
        f"{path.relative_to(TEMPLATES)}: {form}"
        for path in TEMPLATES.rglob("*.html")
        if "errors(" in (text := path.read_text(encoding="utf-8")) and path.name != "forms.html"
        for form in re.findall(r'<form method="post"[^>]*>', text)
        if "novalidate" not in form and "sign_in.demo" not in form
    }

    assert own == set()


def test_a_list_of_what_is_wrong_names_each_question() -> None:
    """Fifteen times "Fill this in." helps nobody to find the field."""
    nameless = [
        str(path.relative_to(TEMPLATES))
        for path in TEMPLATES.rglob("*.html")
        for call in re.findall(r"{{ errors\(fields=.*?}}", path.read_text(encoding="utf-8"))
        if "labels=" not in call
    ]

    assert nameless == []


def test_the_questions_before_measuring_are_named(sign_in: SignIn, hands: Hands) -> None:
    answer = sign_in(cast.ANNA).post(f"/visits/{hands.visit()}/questions", data={"fasting": "no"})

    said = problems_of(answer)
    assert len(said) == len(set(said)) > 10
    assert "Which cuff? Fill this in." in said
