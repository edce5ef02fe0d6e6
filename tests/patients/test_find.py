"""Finding: by anything scanned or typed, in the own branch, under one spelling; several are told apart by one fact."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select

from telemed.access.models import AuditRow
from telemed.bootstrap import Application
from telemed.checkup import service as checkup
from telemed.errors import Conflict, NotFound
from telemed.patients import service
from telemed.patients.models import Patient
from telemed.patients.rules_birth import Birth
from telemed.patients.rules_search import Search, read_search
from telemed.services import Services
from telemed.web import words
from tests import cast
from tests.make import Hands
from tests.page import problems_of, words_of
from tests.patients.test_register import NEW, TYPED

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
TOKEN = "8e7b0c3d5a9f1e2b4c6d8a0f9b7e5d3c"
BORN = date(1950, 5, 1)


def register(services: Services, who: cast.Person = cast.ANNA, **change: object) -> str:
    return str(service.register_patient(services, who.who, replace(NEW, **change), is_sure=True))  # type: ignore[arg-type]


def names_found(services: Services, who: cast.Person = cast.ANNA, **typed: object) -> list[str]:
    return [str(one.id) for one in service.find_people(services, who.who, **typed)]  # type: ignore[arg-type]


# --- one normal form ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registered", "sought"),
    [
        ("Мар'яна", "Мар\u2019яна"), ("Мар\u02bcяна", "Мар'яна"), ("Мар`яна", "Мар\u00b4яна"),
        ("Дмитрий", unicodedata.normalize("NFD", "Дмитрий")), (unicodedata.normalize("NFD", "Аркадий"), "Аркадий"),
        ("Анна\u00a0Мария", "Анна  Мария"), ("Анна\u2013Мария", "Анна-Мария"), ("Фёдора", "ФЕДОРА"),
        ("Екатерина", "Eкaтeринa"), ("Oльгa", "Ольга"),
    ],
)  # fmt: skip
def test_a_name_that_looks_the_same_is_found(services: Services, registered: str, sought: str) -> None:
    patient_id = register(services, given_name=registered)

    assert names_found(services, name=f"Серова {sought} Ивановна", born=BORN) == [patient_id]
    with services.db.read() as tx:
        kept = service.name_of(services, tx, UUID(patient_id))
    assert unicodedata.is_normalized("NFC", kept)
    assert "\u00a0" not in kept


def test_letters_that_nobody_can_tell_are_asked_about(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients/new", data=TYPED | {"given_name": "Клаvдия"})

    assert problems_of(answer) == ["Given name: This word mixes Cyrillic and Latin letters. Type it anew."]


def test_the_patronymic_is_not_needed_to_find(services: Services) -> None:
    with_it = register(services)
    without = register(services, given_name="Нина", patronymic="")

    assert names_found(services, name="Серова Клавдия", born=BORN) == [with_it]
    assert names_found(services, name="Серова Клавдия Ивановна", born=BORN) == [with_it]
    assert names_found(services, name="Серова Клавдия Петровна", born=BORN) == []
    assert names_found(services, name="Серова Нина", born=BORN) == [without]
    assert names_found(services, name="Серова Нина Ивановна", born=BORN) == [without]


@pytest.mark.parametrize(
    "typed", ["Клавдия Серова", "Клавдия Ивановна Серова", "КЛАВДИЯ СЕРОВА", "Серова Клавдия Ивановна"]
)
def test_the_given_name_may_come_first(services: Services, typed: str) -> None:
    patient_id = register(services)
    register(services, given_name="Нина")

    assert names_found(services, name=typed, born=BORN) == [patient_id]
    assert names_found(services, name=typed, born=Birth(1950)) == [patient_id]
    assert names_found(services, name=typed.replace("Ивановна", "") + " Петровна", born=BORN) == []


def test_two_names_in_each_others_field_are_the_same_person(sign_in: SignIn, services: Services) -> None:
    known = register(services)

    asked = sign_in(cast.ANNA).post("/patients/new", data=TYPED | {"family_name": "Клавдия", "given_name": "Серова"})

    assert asked.status_code == 409
    assert f"/patients/{known}/choose" in asked.text


# --- the year alone -----------------------------------------------------------------------------------------------


def test_a_birth_year_is_taken_shown_and_found_as_such(sign_in: SignIn, services: Services) -> None:
    ways = ("1950", " 1950 г. ", "00.00.1950", "1950 г.р.", "0.0.1950", "__.__.1950", "1950-00-00", "１９５０")
    for typed in ways:
        browser = sign_in(cast.ANNA)
        page = browser.post("/patients/new", data=TYPED | {"birth_date": typed, "sure": "yes"}, follow_redirects=True)
        assert page.status_code == 200
        assert "born 1950" in words_of(page.text)

    found = service.find_people(services, cast.ANNA.who, name="Серова Клавдия", born=Birth(1950))
    assert [one.birth.isoformat() for one in found] == ["1950"] * len(found)
    assert 1 < len(found) == len(names_found(services, name="Серова Клавдия", born=BORN))
    assert names_found(services, name="Серова Клавдия", born=Birth(1951)) == []


@pytest.mark.parametrize("year", ["2031", "1899", "195", "19500"])
def test_a_year_in_which_nobody_alive_was_born_is_refused(sign_in: SignIn, year: str) -> None:
    assert sign_in(cast.ANNA).post("/patients/new", data=TYPED | {"birth_date": year}).status_code == 422


def test_two_days_of_one_year_are_two_people(services: Services) -> None:
    first, second = register(services), register(services, birth_date=date(1950, 6, 2))

    assert names_found(services, name="Серова Клавдия", born=BORN) == [first]
    assert names_found(services, name="Серова Клавдия", born=Birth(1950)) == sorted([first, second])


def test_a_doctor_sees_two_ages_where_only_the_year_is_known(application: Application) -> None:
    with application.app.test_request_context():
        words.use_zone("Europe/Moscow")
        ages = words._words()["ages_of"]

        assert [ages("1950"), ages(Birth(1950)), ages(Birth.on(date(1950, 12, 1))), ages("1950-05-01")] == [
            (75, 76), (75, 76), (75, 75), (76, 76),
        ]  # fmt: skip
        assert words._words()["local_date"](Birth(1950)) == words._words()["local_date"]("1950") == "1950"


def test_no_code_reads_a_stored_birth_date_as_a_day() -> None:
    as_a_day = re.compile(r"date\.fromisoformat\([^)]*birth_date")
    product = (Path(__file__).parents[2] / "telemed").rglob("*.py")
    found = [path.name for path in product if as_a_day.search(path.read_text(encoding="utf-8"))]

    assert found == []


# --- anything in one field ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8 921 000 11 22", Search(number="8 921 000 11 22")),
        ("+375 (29) 123-45-67", Search(number="+375 (29) 123-45-67")),
        ("112-233-445 95", Search(number="112-233-445 95")), ("7700 0000 0000 0016", Search(number="7700 0000 0000 0016")),
        (TOKEN, Search(card=TOKEN)), (f"https://post.example/card#{TOKEN}", Search(card=f"https://post.example/card#{TOKEN}")),
        ("8у7и0с3в5ф9а1у2и4с6в8ф0а9и7у5в3с", Search(card="8у7и0с3в5ф9а1у2и4с6в8ф0а9и7у5в3с")),
        ("Ёлкина Мария Петровна 08.03.1948", Search(name="Ёлкина Мария Петровна", born=Birth.on(date(1948, 3, 8)))),
        ("Ёлкина Мария, 8,3,1948 г.", Search(name="Ёлкина Мария", born=Birth.on(date(1948, 3, 8)))),
        ("1948-03-08 Ёлкина Мария", Search(name="Ёлкина Мария", born=Birth.on(date(1948, 3, 8)))),
        ("Ёлкина Мария 1948", Search(name="Ёлкина Мария", born=Birth(1948))), ("Ёлкина Мария", Search(name="Ёлкина Мария")),
        ("Ёлкина Мария 08.03.1948 112-233-445 95",
         Search(number="112-233-445 95", name="Ёлкина Мария", born=Birth.on(date(1948, 3, 8)))),
        ("Ёлкина Мария 112-233-445 95", Search(number="112-233-445 95", name="Ёлкина Мария")), ("", Search()),
        *((f"Ёлкина Мария {born}", Search(name="Ёлкина Мария", born=Birth.on(date(1948, 3, 8)))) for born in (
            "08031948", "08 03 1948", "08\u201303\u20131948", "08;03;1948", "08\\03\\1948", "1948-3-8", "08.03.1948 г.р.",
            "08.03.1948 г. р.", "р. 08.03.1948", "08.03.1948 года рождения", "08.03.1948 г.н.",
        )),
        *((f"Ёлкина Мария {born}", Search(name="Ёлкина Мария", born=Birth(1948))) for born in (
            "1948 г.р.", "1948г.р.", "00.00.1948", "1948 года нараджэння", "р. 1948",
        )),
        ("Ёлкина Мария Петровна 08.03.1948, СНИЛС № 112-233-445 95",
         Search(number="112-233-445 95", name="Ёлкина Мария Петровна", born=Birth.on(date(1948, 3, 8)))),
        ("Васева Ева 08.03.1948 112-233-445-95",
         Search(number="112-233-445-95", name="Васева Ева", born=Birth.on(date(1948, 3, 8)))),
        ("Константинопольская Александра Владимировна 1948",
         Search(name="Константинопольская Александра Владимировна", born=Birth(1948))),
        ("тел. 8 921 000 11 22", Search(number="8 921 000 11 22")),
        ("полис: 7700000000000016", Search(number="7700000000000016")),
        (TOKEN[:31], Search(card=TOKEN[:31])), (TOKEN + "3", Search(card=TOKEN + "3")),
    ],
)  # fmt: skip
def test_what_is_scanned_or_typed_is_understood(text: str, meant: Search) -> None:
    assert read_search(text) == meant


def test_the_counters_first_field_takes_anything(sign_in: SignIn, services: Services) -> None:
    token = service.issue_card(services, cast.ANNA.who, cast.MARIA.id)
    browser = sign_in(cast.ANNA)
    desk = browser.get("/counter").text

    assert desk.index('name="text"') < desk.index("data-live-page")
    for text in ("8 921 123-45-67", cast.MARIA.snils, cast.MARIA.policy, token, f"http://localhost/card#{token}",
                 "Елкина Мария 08.03.1948", "ёлкина мария петровна 1948", "Мария Ёлкина 1948",
                 "Мария Петровна Ёлкина 08.03.1948"):  # fmt: skip
        assert browser.post("/patients", data={"text": text}).location == f"/patients/{cast.MARIA.id}"


def test_a_name_alone_asks_for_the_birth_date_and_keeps_the_name(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients", data={"text": "Ёлкина Мария"})

    assert answer.status_code == 422
    assert problems_of(answer) == [
        "Birth date: With a name the birth date is needed too: the day, or the year at least."
    ]
    assert 'value="Ёлкина Мария"' in answer.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Ёлкина 08.03.1948", "Both are needed: the family name and the given name."),
        ("08.03.1948", "Both are needed: the family name and the given name."),
        ("1948", "Both are needed: the family name and the given name."),
        ("8 921 123-45-67 Ёлкина 1948", "Both are needed: the family name and the given name."),
        ("Ёлкина Мария 08.03.48", "With a name the birth date is needed too: the day, or the year at least."),
        ("8/3/48 Ёлкина Мария", "With a name the birth date is needed too: the day, or the year at least."),
    ],
)
def test_of_too_little_it_is_not_said_that_nobody_is_here(sign_in: SignIn, text: str, problem: str) -> None:
    answer = sign_in(cast.ANNA).post("/patients", data={"text": text})

    assert answer.status_code == 422
    assert problem in words_of(answer.text)
    assert "<details open>" in answer.text, "the field to fill is in sight"
    assert "Sought" not in words_of(answer.text)


def test_another_patronymic_is_another_person_in_any_order(sign_in: SignIn) -> None:
    for text in ("Ёлкина Мария Ивановна 1948", "Мария Ивановна Ёлкина 1948"):
        assert sign_in(cast.ANNA).post("/patients", data={"text": text}).status_code == 404


def test_the_next_scan_does_not_join_the_last_one(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients", data={"text": "8 921 777 77 77"})

    assert "Sought: 8 921 777 77 77" in words_of(answer.text)
    assert "777" not in "".join(re.findall(r"<input[^>]*>", answer.text))


# --- several answers ----------------------------------------------------------------------------------------------


def test_several_answers_are_shown_masked_and_chosen_by_a_second_fact(sign_in: SignIn, services: Services) -> None:
    first, second = register(services), register(services, phone="8 921 000 33 44")
    browser = sign_in(cast.ANNA)

    page = browser.post("/patients", data={"text": "Серова Клавдия 01.05.1950"})
    chosen = browser.post(f"/patients/{second}/choose", data={"fact": "phone"})

    assert page.status_code == 200
    assert "Серова К. И. , born 1950, phone … 22" in words_of(page.text)
    assert "phone … 44" in words_of(page.text)
    assert first in page.text
    assert "0001122" not in page.text
    assert chosen.location == f"/patients/{second}"
    with services.db.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.action == "patient.choose")).all()
    assert [(row.reason, row.subject["patient_id"]) for row in rows] == [("allowed", second), ("by_phone", second)]


def test_nobody_is_chosen_without_a_fact(sign_in: SignIn, services: Services) -> None:
    patient_id = register(services)
    browser = sign_in(cast.ANNA)

    assert browser.post(f"/patients/{patient_id}/choose", data={}).location == "/patients"
    assert browser.post(f"/patients/{patient_id}/choose", data={"fact": "guess"}).location == "/patients"


def test_one_fact_more_leaves_one(sign_in: SignIn, services: Services) -> None:
    register(services)
    second = register(services, phone="8 921 000 33 44")

    answer = sign_in(cast.ANNA).post(
        "/patients", data={"name": "Серова Клавдия", "born": "01.05.1950", "number": "8 921 000 33 44"}
    )

    assert answer.location == f"/patients/{second}"


# --- before registering -------------------------------------------------------------------------------------------


def test_who_seems_to_be_in_the_register_is_shown_masked_before_saving(sign_in: SignIn, services: Services) -> None:
    known = register(services)
    browser = sign_in(cast.ANNA)

    asked = browser.post("/patients/new", data=TYPED | {"phone": "8 921 555 66 77"})

    assert asked.status_code == 409
    assert "Is it this one?" in asked.text
    assert f"/patients/{known}/choose" in asked.text
    assert "phone … 22" in words_of(asked.text)
    assert 'value="Клавдия"' in asked.text
    with services.db.read() as tx:
        assert len(tx.scalars(select(Patient.id)).all()) == len(cast.VILLAGERS) + 1

    sure = browser.post("/patients/new", data=TYPED | {"sure": "yes"}, follow_redirects=True)
    assert sure.status_code == 200


def test_a_person_of_another_branch_is_not_shown_before_saving(sign_in: SignIn, services: Services) -> None:
    register(services, cast.BORIS)

    assert sign_in(cast.ANNA).post("/patients/new", data=TYPED).status_code == 302


def test_the_hint_is_a_search_and_ends_with_the_hours_searches(services: Services) -> None:
    register(services)
    for _ in range(service.SEARCHES_AN_HOUR):
        names_found(services, number="+79990000000")

    assert service.register_patient(services, cast.ANNA.who, NEW)


# --- another branch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        {"text": cast.MARIA.snils}, {"text": cast.MARIA.policy}, {"text": cast.MARIA.phone},
        {"text": "Ёлкина Мария Петровна 08.03.1948"}, {"text": f"Ёлкина Мария 08.03.1948 {cast.MARIA.phone}"},
        {"text": f"Ёлкина Мария 09.03.1948 {cast.MARIA.snils}"}, {"text": f"Ёлкина Дарья 08.03.1948 {cast.MARIA.snils}"},
        {"text": f"Ёлкина Мария 1948 {cast.MARIA.snils}"},
    ],
)  # fmt: skip
def test_outside_the_own_branch_the_answer_is_as_for_an_unknown_one(sign_in: SignIn, typed: dict[str, str]) -> None:
    unknown = {"text": typed["text"].replace("Ёлкина", "Неведома") if "Ёлкина" in typed["text"] else "087-654-304 01"}

    foreign, missing = (sign_in(cast.BORIS).post("/patients", data=data) for data in (typed, unknown))

    assert foreign.status_code == missing.status_code == 404
    pages = ((foreign, typed), (missing, unknown))
    said = [words_without_request(page.text).replace(data["text"], "") for page, data in pages]
    assert said[0] == said[1]


def test_a_number_of_another_branch_asks_the_database_as_often_as_an_unknown_one(services: Services) -> None:
    asked: list[str] = []
    event.listen(services.db.engine, "before_cursor_execute", lambda _c, _cur, text, *_more: asked.append(text))

    def statements(number: str) -> list[str]:
        asked.clear()
        assert service.find_people(services, cast.BORIS.who, number=number) == []
        return list(asked)

    assert statements(cast.MARIA.snils) == statements("087-654-304 01")
    assert statements(cast.MARIA.phone) == statements("8 921 777 77 77")


def words_without_request(page: str) -> str:
    return re.sub("Request [0-9a-f]+", "", words_of(page))


def test_name_birth_date_and_document_name_the_branch_and_offer_to_take_over(sign_in: SignIn, services: Services) -> None:
    browser = sign_in(cast.BORIS)
    typed = {"name": "Елкина Мария", "born": "08.03.1948", "number": "112-233-445 95"}

    offered = browser.post("/patients", data=typed)
    assert offered.status_code == 409
    assert "This person is in the register of another branch" in offered.text
    assert "Озерки" in offered.text
    assert browser.get(f"/patients/{cast.MARIA.id}").status_code == 404

    taken = browser.post("/patients/take-over", data=typed, follow_redirects=True)
    assert taken.status_code == 200
    assert "Ёлкина Мария Петровна" in taken.text
    assert sign_in(cast.ANNA).get(f"/patients/{cast.MARIA.id}").status_code == 404
    with services.db.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.action == "patient.take_over").order_by(AuditRow.no)).all()
    assert [(row.reason, row.subject["branch_id"]) for row in rows] == [
        ("allowed", str(cast.SOSNOVO)), ("left_branch", str(cast.OZERKI)),
    ]  # fmt: skip


def test_registering_with_the_document_offers_it_too(sign_in: SignIn) -> None:
    typed = TYPED | {"family_name": "Ёлкина", "given_name": "Мария", "patronymic": "Петровна", "birth_date": "08.03.1948"}

    offered = sign_in(cast.BORIS).post("/patients/new", data=typed | {"snils": cast.MARIA.snils})
    silent = sign_in(cast.BORIS).post("/patients/new", data=typed)

    assert offered.status_code == 409
    assert "Озерки" in offered.text
    assert silent.status_code == 302


def test_a_shown_card_counts_as_the_document(services: Services) -> None:
    card = service.issue_card(services, cast.ANNA.who, cast.MARIA.id)

    assert service.find_people(services, cast.BORIS.who, card=card) == []
    with pytest.raises(service.KnownElsewhere):
        service.find_people(services, cast.BORIS.who, card=card, name="Ёлкина Мария", born=cast.MARIA.birth_date)


def test_nobody_is_taken_over_by_less_or_out_of_an_open_visit(services: Services, hands: Hands) -> None:
    typed = {"name": "Ёлкина Мария", "born": cast.MARIA.birth_date, "number": cast.MARIA.snils}
    for less in ({"number": cast.MARIA.phone}, {"name": "Ёлкина Дарья"}, {"born": date(1948, 3, 9)}):
        with pytest.raises(NotFound):
            service.take_over(services, cast.BORIS.who, **{**typed, **less})  # type: ignore[arg-type]
    hands.visit(cast.MARIA)

    with pytest.raises(Conflict, match="visit_elsewhere_open"):
        service.take_over(services, cast.BORIS.who, **typed)  # type: ignore[arg-type]


def test_what_the_other_branch_has_under_way_it_can_still_end(
    sign_in: SignIn, services: Services, hands: Hands
) -> None:
    hands.shift()
    hands.booking(cast.MARIA)
    typed = {"name": "Ёлкина Мария", "born": cast.MARIA.birth_date, "number": cast.MARIA.snils}
    service.take_over(services, cast.BORIS.who, **typed)  # type: ignore[arg-type]
    old = sign_in(cast.ANNA)

    assert "Ёлкина Мария" in old.get("/counter").text
    assert old.get(f"/patients/{cast.MARIA.id}").status_code == 200
    assert old.post("/patients", data={"text": cast.MARIA.phone}).status_code == 404
    visit = hands.visit(cast.MARIA)
    assert old.get(f"/counter/visits/{visit}").status_code == 200
    assert old.get("/counter").status_code == 200


def test_nobody_else_sees_a_person_who_has_nothing_under_way_there(sign_in: SignIn) -> None:
    assert sign_in(cast.ANNA).get(f"/patients/{cast.PELAGEYA.id}").status_code == 404


def test_a_visit_at_another_branch_is_said_and_leads_nowhere(services: Services, hands: Hands) -> None:
    hands.visit(cast.MARIA)

    with pytest.raises(Conflict, match="patient_has_visit") as caught:
        checkup.open_visit(services, cast.BORIS.who, cast.MARIA.id, cast.SOSNOVO, "document")

    assert caught.value.facts == {}
