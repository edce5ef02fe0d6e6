"""Registering and finding: every wrong field at once, one person once, at most one answer, nothing readable at rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from telemed.ids import new_id
from telemed.patients import service
from telemed.patients.models import Consent, Patient, PersonQuestion
from telemed.patients.rules import PURPOSES
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.page import problems_of, words_of

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
NEW = service.NewPatient(
    family_name="Серова", given_name="Клавдия", patronymic="Ивановна", birth_date=date(1950, 5, 1), sex="female",
    phone="8 921 000 11 22", snils="", policy="", address="ул. Садовая, 3", postal_index="174001",
    consents=("care", "delivery"),
)  # fmt: skip
TYPED = {
    "family_name": "Серова", "given_name": "Клавдия", "patronymic": "", "birth_date": "01.05.1950", "sex": "female",
    "phone": "8 921 000 11 22", "address": "ул. Садовая, 3", "postal_index": "174001", "language": "ru",
    "type_size": "large", "snils": "", "policy": "", "consent_care": "yes",
    "consent_telemedicine": "no", "consent_delivery": "no", "consent_notifications": "no",
}  # fmt: skip


def test_a_registered_patient_is_found_by_each_number_however_it_is_typed(services: Services) -> None:
    patient_id = service.register_patient(services, cast.ANNA.who, replace(NEW, policy="7700 0000 0000 0032"))

    for typed in ("+7 (921) 000-11-22", "89210001122", "9210001122", "7700000000000032"):
        found = service.find_patient(services, cast.ANNA.who, number=typed)
        assert found is not None
        assert found.id == patient_id


def test_yo_and_case_do_not_matter_in_a_name(services: Services) -> None:
    found = service.find_patient(
        services, cast.ANNA.who, name="елкина  МАРИЯ петровна", born=cast.MARIA.birth_date
    )  # fmt: skip

    assert found is not None
    assert found.id == cast.MARIA.id


def test_another_birth_date_or_given_name_finds_nobody_and_a_part_of_a_name_is_asked_about(services: Services) -> None:
    for name, born in (("Ёлкина Анна", cast.MARIA.birth_date), ("Ёлкина Мария Петровна", date(1948, 3, 9))):
        assert service.find_patient(services, cast.ANNA.who, name=name, born=born) is None
    with pytest.raises(Invalid) as refused:
        service.find_patient(services, cast.ANNA.who, name="Ёлкина", born=cast.MARIA.birth_date)

    assert refused.value.fields == {"name": "names_needed"}


def test_two_people_with_one_phone_ask_for_a_document(services: Services) -> None:
    service.register_patient(services, cast.ANNA.who, replace(NEW, phone=cast.MARIA.phone))

    with pytest.raises(Conflict, match="ask_for_document"):
        service.find_patient(services, cast.ANNA.who, number=cast.MARIA.phone)


@pytest.mark.parametrize("name", ["snils", "policy"])
def test_a_number_of_somebody_else_is_not_stored_and_the_coordinator_is_asked(services: Services, name: str) -> None:
    number = getattr(cast.MARIA, name)

    patient_id = service.register_patient(services, cast.BORIS.who, replace(NEW, **{name: number}))

    with services.db.read() as tx:
        row = tx.get_one(Patient, patient_id)
        assert services.vault.open(tx, row, "identity")[name] == ""
        assert getattr(row, f"{name}_index") is None
        question = tx.scalars(select(PersonQuestion)).one()
        assert (question.kind, question.field, question.branch_id) == ("number_taken", name, cast.SOSNOVO)
        assert (question.patient_id, question.other_id) == (patient_id, cast.MARIA.id)
        assert services.vault.open(tx, question, "claim") == {"number": number}
        assert number.encode() not in b"".join(v for v in vars(question).values() if isinstance(v, bytes))


def test_the_second_person_with_a_mistyped_number_keeps_the_own_good_one(services: Services) -> None:
    typed = replace(NEW, snils=cast.MARIA.snils, policy="7700 0000 0000 0032")

    patient_id = service.register_patient(services, cast.ANNA.who, typed)

    found = service.find_patient(services, cast.ANNA.who, number="7700000000000032")
    assert found is not None
    assert found.id == patient_id


def test_no_word_tells_that_a_number_is_known(sign_in: SignIn) -> None:
    """Neither its own clerk nor another learns by registering somebody whether a number stands in the register."""
    new = "SNILS 087-654-304 01"
    for clerk in (cast.ANNA, cast.BORIS):
        pages = []
        for snils in (new.removeprefix("SNILS "), cast.MARIA.snils):
            typed = TYPED | {"snils": snils, "sure": "yes"}
            answer = sign_in(clerk).post("/patients/new", data=typed, follow_redirects=True)
            assert answer.status_code == 200
            assert str(cast.MARIA.id) not in answer.text
            pages.append(re.sub("Request [0-9a-f]+", "", words_of(answer.text)))
        assert pages[0] == pages[1]
        assert "The numbers are compared with the register" in pages[0]


def test_zeros_are_refused_with_the_advice_to_leave_the_field_empty(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients/new", data=TYPED | {"snils": "000-000-000 00", "policy": "0" * 16})

    assert answer.status_code == 422
    assert problems_of(answer) == [
        f"{name}: Nobody was ever given such a number. Leave the field empty." for name in ("SNILS", "Policy number")
    ]


@pytest.mark.parametrize("typed", ["-", "нет", "—", "б/н", "1234", "\u0661" * 16])
def test_a_filler_in_words_or_dashes_gets_the_same_advice(sign_in: SignIn, typed: str) -> None:
    answer = sign_in(cast.ANNA).post("/patients/new", data=TYPED | {"snils": typed, "policy": typed})

    assert answer.status_code == 422
    assert [said.endswith("Without the document leave the field empty.") for said in problems_of(answer)] == [True, True]


def test_the_same_form_twice_is_one_patient(services: Services) -> None:
    patient_id = new_id()

    first = service.register_patient(services, cast.ANNA.who, NEW, patient_id)
    second = service.register_patient(services, cast.ANNA.who, NEW, patient_id)

    assert first == second == patient_id


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"family_name": ""}, "family_name", "required"),
        ({"given_name": "1"}, "given_name", "name_invalid"),
        ({"birth_date": None}, "birth_date", "required"),
        ({"birth_date": date(2030, 1, 1)}, "birth_date", "date_in_future"),
        ({"sex": "x"}, "sex", "required"),
        ({"phone": ""}, "phone", "required"),
        ({"phone": "12"}, "phone", "phone_invalid"),
        ({"snils": "112-233-445 96"}, "snils", "snils_check_digit"),
        ({"snils": "none"}, "snils", "snils_check_digit"),
        ({"policy": "123"}, "policy", "policy_invalid"),
        ({"policy": "7700000000000031"}, "policy", "policy_check_digit"),
        ({"policy": "0" * 16}, "policy", "number_not_real"),
        ({"snils": "000-000-000 00"}, "snils", "number_not_real"),
        ({"address": ""}, "address", "required"),
        ({"address": "x" * 300}, "address", "too_long"),
        ({"postal_index": "12"}, "postal_index", "postal_index_invalid"),
        ({"language": "fr"}, "language", "invalid"),
        ({"consents": ("everything",)}, "consents", "invalid"),
    ],
)
def test_a_wrong_field_is_named_with_its_code(services: Services, change: dict, field: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        service.register_patient(services, cast.ANNA.who, replace(NEW, **change))

    assert caught.value.fields[field] == code


def test_all_wrong_fields_are_named_at_once(services: Services) -> None:
    with pytest.raises(Invalid) as caught:
        service.register_patient(services, cast.ANNA.who, replace(NEW, family_name="", phone="", snils="1"))

    assert {"family_name", "phone", "snils"} <= set(caught.value.fields)


def test_nothing_of_a_patient_can_be_read_in_the_row(services: Services) -> None:
    patient_id = service.register_patient(services, cast.ANNA.who, NEW)

    with services.db.read() as tx:
        row = tx.get(Patient, patient_id)
        raw = b"".join(value for value in vars(row).values() if isinstance(value, bytes))
        assert services.vault.open(tx, row, "identity")["family_name"] == "Серова"
    assert "Серова".encode() not in raw
    assert b"79210001122" not in raw


def test_the_31st_search_within_an_hour_waits(services: Services, clock: Clock) -> None:
    for _ in range(service.SEARCHES_AN_HOUR):
        service.find_patient(services, cast.ANNA.who, number="+79990000000")

    with pytest.raises(TooMany):
        service.find_patient(services, cast.ANNA.who, number="+79990000000")
    assert service.find_patient(services, cast.BORIS.who, number="+79990000000") is None

    clock.forward(minutes=61)
    assert service.find_patient(services, cast.ANNA.who, number="+79990000000") is None


def test_a_clerk_of_another_branch_and_other_roles_do_not_see_the_patient(services: Services) -> None:
    assert service.patient_card(services, cast.ANNA.who, cast.MARIA.id).full_name.startswith("Ёлкина")

    for person, error in ((cast.BORIS, NotFound), (cast.VERA, NotFound), (cast.FEDOR, Forbidden), (cast.OLEG, Forbidden)):
        with pytest.raises(error):
            service.patient_card(services, person.who, cast.MARIA.id)


def test_a_card_opens_the_patients_own_page_until_a_new_one_is_issued(services: Services) -> None:
    old = service.issue_card(services, cast.ANNA.who, cast.MARIA.id)
    assert service.show_card(services, old) == cast.MARIA.id
    assert service.show_card(services, f"http://x/card#{old.upper()}") == cast.MARIA.id

    new = service.issue_card(services, cast.ANNA.who, cast.MARIA.id)

    assert service.show_card(services, old) is None
    assert service.show_card(services, new) == cast.MARIA.id
    assert service.show_card(services, "0" * 32) is None


def test_a_consent_is_given_per_purpose_and_its_row_outlives_withdrawal(services: Services) -> None:
    service.give_consent(services, cast.ANNA.who, cast.MARIA.id, "delivery")
    service.give_consent(services, cast.ANNA.who, cast.MARIA.id, "delivery")
    service.withdraw_consent(services, cast.MARIA.who, cast.MARIA.id, "delivery")

    history = service.consents_of(services, cast.ANNA.who, cast.MARIA.id)
    with services.db.read() as tx:
        assert not service.has_consent(tx, cast.MARIA.id, "delivery")
    assert [(item.purpose, item.withdrawn_at is not None) for item in history] == [("delivery", True)]
    assert history[0].version


def test_another_patient_cannot_withdraw_a_consent(services: Services) -> None:
    service.give_consent(services, cast.ANNA.who, cast.MARIA.id, "care")

    with pytest.raises(NotFound):
        service.withdraw_consent(services, cast.IVAN.who, cast.MARIA.id, "care")


# --- the pages ----------------------------------------------------------------------------------------------------


def test_the_form_registers_and_shows_the_patient(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients/new", data=TYPED, follow_redirects=True)

    assert answer.status_code == 200
    assert "Серова Клавдия" in answer.text
    assert "0001122" not in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"birth_date": "31.02.1950"}, {"birth_date": "195"}, {"birth_date": "01.01.2090"}, {"family_name": ""},
        {"family_name": "x" * 1000}, {"snils": "112-233-445 96"}, {"phone": "phone"}, {"sex": "?"}, {"language": "xx"},
        {"consent_care": "?"}, {"consent_delivery": ""},
    ],
)  # fmt: skip
def test_a_refused_form_keeps_what_was_typed_and_names_the_field(sign_in: SignIn, change: dict) -> None:
    answer = sign_in(cast.ANNA).post("/patients/new", data=TYPED | change)

    assert answer.status_code == 422
    assert "Клавдия" in answer.text
    assert "error-summary" in answer.text
    assert re.search(rf'id="{next(iter(change))}-error"', answer.text)


def test_no_consent_is_marked_before_the_patient_has_spoken(sign_in: SignIn) -> None:
    page = sign_in(cast.ANNA).get("/patients/new").text

    questions = re.findall(r'<input[^>]* name="consent_\w+"[^>]*>', page)
    assert len(questions) == 2 * len(PURPOSES)
    assert not [question for question in questions if "checked" in question]


def test_a_yes_is_stored_and_a_no_is_not(sign_in: SignIn, services: Services) -> None:
    sign_in(cast.ANNA).post("/patients/new", data=TYPED)

    with services.db.read() as tx:
        assert set(tx.scalars(select(Consent.purpose))) == {"care"}


def test_a_postman_cannot_open_the_register(sign_in: SignIn) -> None:
    assert sign_in(cast.ANNA).get("/patients").status_code == 200

    assert sign_in(cast.FEDOR).get("/patients").status_code == 403
    assert sign_in(cast.FEDOR).post("/patients/new", data=TYPED).status_code == 403


def test_nobody_found_offers_to_register(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients", data={"number": "+79990000000"})

    assert answer.status_code == 404
    assert "/patients/new" in answer.text


def test_an_empty_search_is_asked_for_a_number(sign_in: SignIn) -> None:
    assert sign_in(cast.ANNA).post("/patients", data={}).status_code == 422


def test_a_name_with_markup_is_shown_as_text_never_as_markup(sign_in: SignIn) -> None:
    answer = sign_in(cast.ANNA).post("/patients/new", data=TYPED | {"family_name": "<img src=x onerror=alert(1)>"})

    assert answer.status_code == 422
    assert "<img src=x" not in answer.text
