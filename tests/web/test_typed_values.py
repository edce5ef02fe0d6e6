"""Days, hours and numbers are taken as people type them; what could be read in two ways is asked for, never guessed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from telemed import rules_typed
from telemed.bootstrap import Application
from telemed.web import forms
from tests import cast

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
BORN = date(1941, 3, 5)


@pytest.mark.parametrize(
    "typed",
    [
        "05.03.1941", "05,03,1941", " 05.03.1941 ", "5.3.1941", "5,3,1941", "05-03-1941", "05/03/1941", "05 03 1941",
        "05\u00a003\u00a01941", "\u00a005.03.1941\u202f", "05. 03. 1941", "05 . 03 . 1941", "05\u201303\u20131941",
        "05\u201203\u20121941", "05\u221203\u22121941", "05.03.1941г.", "05.03.1941 г.", "05.03.1941 года", "05031941",
        "1941-03-05", "1941.03.05", "1941/3/5", "\u200b05.03.1941\ufeff", "05\\03\\1941", "05:03:1941", "05.03-1941",
        "05\t03\t1941", "05;03;1941", "05_03_1941", "05ю03ю1941", "05Б03Б1941", "05.03.1941 г.р.", "05.03.1941 Г. Р.",
        "05.03.1941 года рождения", "05.03.1941 г.н.", "05.03.1941.", "05.03.1941,", "０５.０３.１９４１",
    ],
)  # fmt: skip
def test_a_day_is_taken_with_any_separator(typed: str) -> None:
    assert rules_typed.read_day(typed) == BORN


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("05.03.41", "year_short"), ("5,3,41", "year_short"), ("05.03.941", "year_short"), ("05 03 1", "year_short"),
        ("31.02.1941", "not_a_date"), ("05.13.1941", "not_a_date"), ("00.03.1941", "not_a_date"),
        ("03/25/1941", "not_a_date"), ("0503941", "not_a_date"), ("050319411", "not_a_date"), ("1941", "not_a_date"),
        ("05.03", "not_a_date"), ("5 марта 1941", "not_a_date"), ("\u0665.03.1941", "not_a_date"),
        ("05..03..1941", "not_a_date"), ("41.03.05", "not_a_date"), ("2026W101", "not_a_date"), ("", "not_a_date"),
        ("05.03.0000", "not_a_date"),
    ],
)  # fmt: skip
def test_what_is_no_day_or_might_be_two_is_refused(typed: str, code: str) -> None:
    with pytest.raises(rules_typed.Unreadable) as refused:
        rules_typed.read_day(typed)

    assert refused.value.code == code


@pytest.mark.parametrize(
    "typed",
    ["08:30", "8:30", "08,30", "8,30", "08.30", "8-30", "8/30", "8 30", "0830", "830", " 08 : 30 ", "08\u00a030",
     "08\u201330", "08 ч 30 мин", "8ч30", "08 гадз 30 хв", "08;30", "08ю30", "０８：３０"],
)  # fmt: skip
def test_an_hour_is_taken_with_any_separator(typed: str) -> None:
    assert rules_typed.read_hour(typed) == time(8, 30)


@pytest.mark.parametrize(
    "typed", ["24:00", "08:60", "8", "08:3", "8:30:00", "8.5", "-8:30", "08:30 pm", "\u0660\u0668:30", ""]
)
def test_what_is_no_hour_is_refused(typed: str) -> None:
    with pytest.raises(rules_typed.Unreadable, match="not_an_hour"):
        rules_typed.read_hour(typed)


@pytest.mark.parametrize(
    ("typed", "number"),
    [("126", 126), (" 126 ", 126), ("\u00a0126", 126), ("1 250", 1250), ("1\u202f250", 1250), ("0", 0), ("-1", -1)],
)
def test_a_whole_number_is_taken_with_blanks(typed: str, number: int) -> None:
    assert rules_typed.read_whole(typed) == number


@pytest.mark.parametrize("typed", ["12,5", "1 25", "12 6", "1e3", "0x10", "1_000", "\u0661\u0662", "120/80", "", "9" * 40])
def test_what_is_no_whole_number_is_refused(typed: str) -> None:
    with pytest.raises(rules_typed.Unreadable, match="not_a_number"):
        rules_typed.read_whole(typed)


@pytest.mark.parametrize(
    ("typed", "number"),
    [("5,6", "5.6"), ("5.6", "5.6"), (" 5,60 ", "5.60"), ("5", "5"), ("\u00a05,6\u00a0", "5.6"), ("5ю6", "5.6"),
     ("5Б6", "5.6")],
)  # fmt: skip
def test_a_decimal_is_taken_with_comma_or_dot(typed: str, number: str) -> None:
    assert rules_typed.read_decimal(typed) == Decimal(number)


@pytest.mark.parametrize("typed", ["5,6,7", "5..6", "NaN", "Infinity", "1e3", "5,", "", "5,6 ммоль"])
def test_what_is_no_decimal_is_refused(typed: str) -> None:
    with pytest.raises(rules_typed.Unreadable, match="not_a_number"):
        rules_typed.read_decimal(typed)


class AnyForm(forms.PageForm):
    day = forms.DayField("Day", forms.required())
    hour = forms.HourField("From", forms.optional())
    name = forms.TextField("Name", forms.required())


def filled(application: Application, **typed: str) -> AnyForm:
    with application.app.test_request_context(method="POST", data=typed):
        form = AnyForm()
        form.validate()
    return form


def test_a_refused_day_comes_back_as_it_was_typed(application: Application) -> None:
    form = filled(application, day="05.03.41", hour="8:99", name="x")

    assert form.errors == {"day": ["year_short"], "hour": ["not_an_hour"]}
    assert 'value="05.03.41"' in form.day()
    assert 'value="8:99"' in form.hour()


@pytest.mark.parametrize("blank", ["", "   ", "\u00a0", "\u200b", "\t"])
def test_blanks_are_no_answer(application: Application, blank: str) -> None:
    form = filled(application, day=blank, hour=blank, name=blank)

    assert form.errors == {"day": ["required"], "name": ["required"]}


def test_a_clerk_finds_a_person_with_commas_in_the_date(sign_in: SignIn) -> None:
    name = unicodedata.normalize("NFD", "Ёлкина Мария Петровна")

    answer = sign_in(cast.ANNA).post("/patients", data={"name": name, "born": " 08,03,1948 "})

    assert answer.status_code == 302
    assert str(cast.MARIA.id) in answer.headers["Location"]


def test_a_shift_is_planned_with_commas(sign_in: SignIn) -> None:
    shift = {"doctor_id": str(cast.VERA.id), "day": "27,11,2026", "starts_at": "08,30", "ends_at": "16 00"}

    answer = sign_in(cast.GALINA).post("/roster", data={**shift, "slot_minutes": "15"})

    assert answer.status_code == 302


@pytest.mark.parametrize("language", ["ru", "be", "en"])
def test_a_short_year_is_asked_for_in_words(sign_in: SignIn, language: str) -> None:
    browser = sign_in(cast.ANNA)
    browser.set_cookie("lang", language)

    answer = browser.post("/patients", data={"name": "Ёлкина Мария Петровна", "born": "08.03.48"})

    assert {"ru": "четырьмя цифрами", "be": "чатырма лічбамі", "en": "four figures"}[language] in answer.text
