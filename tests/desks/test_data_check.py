"""Bad data that is stored already: the coordinator sees each of it, masked, and can mend each; `app.py check` tells it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed import commands
from telemed.access.models import AuditRow
from telemed.booking.models import Shift
from telemed.errors import NotFound
from telemed.patients import service, service_check, service_mend
from telemed.patients.models import Patient, PersonQuestion
from telemed.services import Services
from tests import cast
from tests.make import Hands
from tests.page import words_of
from tests.patients.test_register import NEW

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


def spoil(services: Services, patient_id: UUID, section: str, **change: str) -> None:
    """Store what an older release took."""
    with services.db.write() as tx:
        row = tx.get_one(Patient, patient_id)
        services.vault.seal(tx, row, section, {**services.vault.open(tx, row, section), **change})
        if "phone" in change:
            row.phone_index = services.index.of("patient.phone", change["phone"])
        if "snils" in change:
            row.snils_index = services.index.of("patient.snils", change["snils"])


def document(services: Services, patient_id: UUID, section: str) -> dict[str, str]:
    with services.db.read() as tx:
        return services.vault.open(tx, tx.get_one(Patient, patient_id), section)


def kinds(services: Services, who: cast.Person = cast.GALINA) -> list[str]:
    return [one.kind for one in service_check.people_to_mend(services, who.who) if one.verdict != "same"]


def test_a_clean_register_has_nothing_to_mend(services: Services, sign_in: SignIn) -> None:
    assert kinds(services) == []
    assert "Nothing to mend." in sign_in(cast.GALINA).get("/coordinator/data").text
    assert commands.run(services, "check", {}) == []


def test_a_wrong_phone_is_mended_by_what_was_meant(services: Services, sign_in: SignIn) -> None:
    spoil(services, cast.MARIA.id, "contact", phone="+70291234567")
    browser = sign_in(cast.GALINA)

    page = browser.get("/coordinator/data").text
    assert "Stored: +70291 … 67. Probably meant: +37529 … 67" in words_of(page)
    assert "70291234567" not in page
    done = browser.post(f"/coordinator/data/{cast.MARIA.id}/phone", data={}, follow_redirects=True)

    assert "Mended." in done.text
    assert document(services, cast.MARIA.id, "contact")["phone"] == "+375291234567"
    assert kinds(services) == []
    [found] = service.find_people(services, cast.ANNA.who, number="8 029 123-45-67")
    assert found.id == cast.MARIA.id


def test_a_wrong_phone_is_mended_by_the_right_one(services: Services, sign_in: SignIn) -> None:
    spoil(services, cast.MARIA.id, "contact", phone="+7123")
    browser = sign_in(cast.GALINA)

    refused = browser.post(f"/coordinator/data/{cast.MARIA.id}/phone", data={"typed": "123"}, follow_redirects=True)
    assert "There is no such telephone number." in refused.text
    browser.post(f"/coordinator/data/{cast.MARIA.id}/phone", data={"typed": "8 921 333 22 11"})

    assert document(services, cast.MARIA.id, "contact")["phone"] == "+79213332211"


@pytest.mark.parametrize(("typed", "kept"), [("", ""), ("087-654-304 01", "08765430401")])
def test_a_number_of_zeros_is_taken_out_or_replaced(services: Services, sign_in: SignIn, typed: str, kept: str) -> None:
    spoil(services, cast.MARIA.id, "identity", snils="00000000000")
    assert kinds(services) == ["number_wrong"]

    sign_in(cast.GALINA).post(f"/coordinator/data/{cast.MARIA.id}/number", data={"field": "snils", "typed": typed})

    assert document(services, cast.MARIA.id, "identity")["snils"] == kept
    assert kinds(services) == []
    with services.db.read() as tx:
        assert (tx.get_one(Patient, cast.MARIA.id).snils_index is None) == (not kept)


def test_a_number_that_stands_with_another_is_not_typed_in(services: Services, sign_in: SignIn) -> None:
    spoil(services, cast.MARIA.id, "identity", policy="0" * 16)

    done = sign_in(cast.GALINA).post(
        f"/coordinator/data/{cast.MARIA.id}/number", data={"field": "policy", "typed": cast.IVAN.policy},
        follow_redirects=True,
    )  # fmt: skip

    assert "This number stands with another record." in done.text


@pytest.mark.parametrize("verdict", ["left", "moved"])
def test_whose_a_number_is_is_said_once(services: Services, sign_in: SignIn, verdict: str) -> None:
    other = service.register_patient(services, cast.BORIS.who, replace(NEW, snils=cast.MARIA.snils))
    browser = sign_in(cast.GALINA)
    page = words_of(browser.get("/coordinator/data").text)
    with services.db.read() as tx:
        question = tx.scalars(select(PersonQuestion.id)).one()

    browser.post(f"/coordinator/data/questions/{question}", data={"verdict": verdict})
    again = browser.post(f"/coordinator/data/questions/{question}", data={"verdict": "moved"}, follow_redirects=True)

    assert "Whose number is it?" in page
    assert "Ёлкина М. П., 1948" in page
    assert cast.MARIA.snils not in page
    assert "This was decided already." in again.text
    holder, bare = (cast.MARIA.id, other) if verdict == "left" else (other, cast.MARIA.id)
    assert document(services, holder, "identity")["snils"] == cast.MARIA.snils
    assert document(services, bare, "identity")["snils"] == ""
    assert kinds(services) == []


def test_of_another_regions_record_nothing_is_shown(services: Services, sign_in: SignIn) -> None:
    service.register_patient(services, cast.RITA.who, replace(NEW, snils=cast.MARIA.snils))

    page = words_of(sign_in(cast.KIRA).get("/coordinator/data").text)

    assert "stands with another record: of another region" in page
    assert "Ёлкина" not in page
    assert "move it" not in page


def test_double_records_are_listed_and_never_merged(services: Services, sign_in: SignIn) -> None:
    first = service.register_patient(services, cast.ANNA.who, NEW)
    second = service.register_patient(services, cast.ANNA.who, replace(NEW, patronymic=""), is_sure=True)
    browser = sign_in(cast.GALINA)
    pair = {"one": str(first), "other": str(second)}

    assert "One person or two?" in browser.get("/coordinator/data").text
    browser.post("/coordinator/data/pairs", data=pair | {"verdict": "same"})

    found = service.find_people(services, cast.ANNA.who, name="Серова Клавдия", born=NEW.birth)
    assert len(found) == 1
    assert kinds(services) == []
    with services.db.read() as tx:
        assert {first, second} <= set(tx.scalars(select(Patient.id)))

    assert "Judged to be one person" in browser.get("/coordinator/data").text
    browser.post("/coordinator/data/pairs", data=pair | {"verdict": "different"})
    assert len(service.find_people(services, cast.ANNA.who, name="Серова Клавдия", born=NEW.birth)) == 2
    assert kinds(services) == []


def test_two_snils_or_two_patronymics_are_two_people(services: Services) -> None:
    service.register_patient(services, cast.ANNA.who, NEW)
    service.register_patient(services, cast.ANNA.who, replace(NEW, patronymic="Петровна"), is_sure=True)

    assert kinds(services) == []


def test_a_name_of_two_alphabets_is_typed_anew(services: Services, sign_in: SignIn) -> None:
    spoil(services, cast.MARIA.id, "identity", given_name="Маrия")
    assert kinds(services) == ["name_two_alphabets"]

    sign_in(cast.GALINA).post(
        f"/coordinator/data/{cast.MARIA.id}/name",
        data={"family_name": "Ёлкина", "given_name": "Мария", "patronymic": "Петровна"},
    )

    assert kinds(services) == []
    [found] = service.find_people(services, cast.ANNA.who, name="Ёлкина Мария", born=cast.MARIA.birth_date)
    assert found.id == cast.MARIA.id


def test_a_damaged_record_is_listed_and_an_erased_one_is_not(services: Services) -> None:
    service.erase_patient(services, cast.IVAN.id)
    with services.db.write() as tx:
        row = tx.get_one(Patient, cast.MARIA.id)
        assert row.identity is not None
        row.identity = row.identity[:-1] + bytes([row.identity[-1] ^ 1])

    assert kinds(services) == ["record_unreadable"]


def test_a_shift_off_the_grid_begins_where_its_first_slot_does(
    services: Services, hands: Hands, sign_in: SignIn
) -> None:
    shift_id = hands.shift(starts_at=services.clock() + timedelta(minutes=3))
    browser = sign_in(cast.GALINA)

    assert "A shift begins off the time grid" in browser.get("/coordinator/data").text
    browser.post(f"/coordinator/data/shifts/{shift_id}")

    with services.db.read() as tx:
        assert tx.get_one(Shift, shift_id).starts_at == services.clock() + timedelta(minutes=5)
    assert "Nothing to mend." in browser.get("/coordinator/data").text


def test_only_the_regions_coordinator_sees_and_mends(services: Services, sign_in: SignIn) -> None:
    spoil(services, cast.MARIA.id, "contact", phone="+70291234567")
    assert kinds(services) == ["phone_wrong"]

    assert kinds(services, cast.KIRA) == []
    with pytest.raises(NotFound):
        service_mend.mend_phone(services, cast.KIRA.who, cast.MARIA.id, "")
    for person in (cast.ANNA, cast.VERA, cast.OLEG, cast.TAMARA):
        assert sign_in(person).get("/coordinator/data").status_code == 403
    with services.db.read() as tx:
        looks = tx.scalars(select(AuditRow).where(AuditRow.action == "patient.check_data", AuditRow.allowed)).all()
    assert len(looks) == 2


def test_the_command_names_ids_and_no_person(services: Services, hands: Hands) -> None:
    spoil(services, cast.MARIA.id, "contact", phone="+70291234567")
    spoil(services, cast.IVAN.id, "identity", snils="00000000000")
    hands.shift(starts_at=services.clock() + timedelta(minutes=3))

    lines = commands.run(services, "check", {})

    assert sorted(line.split()[0] for line in lines) == ["number_wrong", "phone_wrong", "shift_off_grid"]
    assert f"phone_wrong phone patient {cast.MARIA.id}" in lines
    assert not re.search("Ёлкина|Громов|[0-9]{11}", re.sub(r"[0-9a-f-]{36}", "", " ".join(lines)))
