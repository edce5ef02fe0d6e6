"""Telephone numbers: the region's country reads them first, the neighbour's way to write is known, no other is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telemed.branches.models import Region
from telemed.errors import Invalid
from telemed.patients import service
from telemed.patients.models import Patient
from telemed.patients.phones import meant_by, valid_phone
from telemed.services import Services
from tests import cast
from tests.patients.test_register import NEW

MINSK_PHONE = "+375291234567"


@pytest.mark.parametrize("country", ["RU", "BY"])
@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("8 029 123-45-67", MINSK_PHONE), ("029 123-45-67", MINSK_PHONE), ("00375 29 123-45-67", MINSK_PHONE),
        ("375 29 123-45-67", MINSK_PHONE),
        ("\u202a+375 29 123-45-67\u202c", MINSK_PHONE), ("\u200e029 123\u00ad45\u2060-67", MINSK_PHONE),
        ("80291234567", MINSK_PHONE), ("+375 (29) 123-45-67", MINSK_PHONE),
        ("+375 (029) 123-45-67", MINSK_PHONE), ("375 029 123 45 67", MINSK_PHONE), ("8 10 375 29 123 45 67", MINSK_PHONE),
        ("8 017 200-00-01", "+375172000001"), ("8 921 123-45-67", "+79211234567"), ("7 921 123-45-67", "+79211234567"),
        ("+7 921 123-45-67", "+79211234567"), ("8\u00a0921\u00a0123\u201345\u201367", "+79211234567"),
        ("007 921 123 45 67", "+79211234567"), ("+49 30 901820", "+4930901820"),
    ],
)  # fmt: skip
def test_a_number_of_either_country_is_the_same_in_both(country: str, typed: str, kept: str) -> None:
    assert valid_phone(typed, country) == kept


@pytest.mark.parametrize(
    ("typed", "russian", "belarusian"),
    [
        ("8 162 77 11 22", "+78162771122", "+375162771122"), ("8 800 555 35 35", "+78005553535", "+3758005553535"),
        ("921 123-45-67", "+79211234567", None), ("29 123-45-67", None, MINSK_PHONE),
    ],
)  # fmt: skip
def test_what_both_countries_write_is_read_by_the_regions(typed: str, russian: str, belarusian: str | None) -> None:
    assert (valid_phone(typed, "RU"), valid_phone(typed, "BY")) == (russian, belarusian)


@pytest.mark.parametrize("country", ["RU", "BY"])
@pytest.mark.parametrize(
    "typed",
    ["", "112", "103", "phone", "8 921 123-45-6", "8 921 123-45-678", "+7 029 123-45-67", "0000000000", "+70000000000",
     "8 921 abc de fg", "375 29 123-45-6", "+375 29 123-45-678", "123-45-67"],
)  # fmt: skip
def test_what_is_no_number_is_no_number_in_either_country(country: str, typed: str) -> None:
    assert valid_phone(typed, country) is None


@pytest.mark.parametrize("typed", ["+7 029 123-45-67", "8 921 123-45-6", "8 000 000-00-00"])
def test_a_number_that_does_not_exist_is_asked_about_and_not_stored(services: Services, typed: str) -> None:
    with pytest.raises(Invalid) as caught:
        service.register_patient(services, cast.ANNA.who, replace(NEW, phone=typed))

    assert caught.value.fields == {"phone": "phone_invalid"}


def test_a_belarusian_number_is_stored_as_one_and_found_however_it_is_typed(services: Services) -> None:
    patient_id = service.register_patient(services, cast.ANNA.who, replace(NEW, phone="8 029 123-45-67"))

    with services.db.read() as tx:
        assert service.contact_of(services, tx, patient_id)["phone"] == MINSK_PHONE
    for typed in ("029 123 45 67", "375291234567", "+375 29 123-45-67", "00375291234567"):
        found = service.find_patient(services, cast.ANNA.who, number=typed)
        assert found is not None
        assert found.id == patient_id


def test_the_country_is_the_regions(services: Services) -> None:
    with services.db.write() as tx:
        tx.get_one(Region, cast.RIVER).zone = "Europe/Minsk"

    minsk = service.register_patient(services, cast.RITA.who, replace(NEW, phone="8 162 12-34-56"))
    moscow = service.register_patient(services, cast.ANNA.who, replace(NEW, phone="8 162 12-34-56", given_name="Анна"))

    with services.db.read() as tx:
        kept = [service.contact_of(services, tx, one)["phone"] for one in (minsk, moscow)]
    assert kept == ["+375162123456", "+78162123456"]


def test_a_number_stored_as_none_of_any_country_is_still_found_and_shows_what_was_meant(services: Services) -> None:
    patient_id = service.register_patient(services, cast.ANNA.who, NEW)
    with services.db.write() as tx:
        tx.get_one(Patient, patient_id).phone_index = services.index.of("patient.phone", "+70291234567")

    found = service.find_patient(services, cast.ANNA.who, number="8 029 123-45-67")

    assert found is not None
    assert found.id == patient_id
    assert meant_by("+70291234567", "RU") == meant_by("+700375291234567", "RU") == MINSK_PHONE
    assert meant_by("+7123", "RU") is None
