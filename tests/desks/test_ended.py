"""A doctor finds the own cases again: today's and those of 30 days whole, of older ones what the doctor wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.access.models import AuditRow
from telemed.checkup import service as checkup
from telemed.consultation import service as consultation
from telemed.consultation import service_call, service_ended
from telemed.consultation.models import Consultation
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.prescription import service as prescription
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.consultation.conftest import SECOND
from tests.make import Hands
from tests.prescription import made

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
VERA = cast.VERA.who
NAME = "Ёлкина Мария Петровна"
ANSWERS: dict[str, Any] = {
    "symptoms": ["headache"], "arm": "left", "cuff": "medium", "question": "вопрос-щ", "medicines": "",
    "allergies": "пенициллин", "fasting": None,
}  # fmt: skip
NOTE = {"complaint": "жалоба-щ", "findings": "осмотр-щ", "assessment": "заключение-щ", "plan": "план-щ"}


@pytest.fixture
def ended(services: Services, hands: Hands) -> UUID:
    """Maria's case that Vera has ended, with everything that a case can hold."""
    return end_a_case(services, hands)


def end_a_case(services: Services, hands: Hands, villager: cast.Villager = cast.MARIA) -> UUID:
    visit = hands.visit(villager)
    checkup.answer_questions(services, cast.ANNA.who, visit, ANSWERS)
    with services.db.write() as tx:
        case_id = consultation.queue_case(services, tx, visit, "YELLOW")
    assert case_id is not None
    consultation.take(services, VERA, case_id)
    service_call.write_message(services, VERA, case_id, "слово разговора-щ")
    consultation.save_note(services, VERA, case_id, NOTE, 0)
    draft = prescription.draft(services, VERA, case_id, made.TABLETS, made.IN_PERSON)
    prescription.sign(services, VERA, draft, prescription.read_prescription(services, VERA, draft).content_hash)
    consultation.end(services, VERA, case_id, "treated")
    checkup.close_visit(services, cast.ANNA.who, visit)
    return case_id


def prescription_of(services: Services, case_id: UUID) -> UUID:
    [found] = prescription.prescriptions_of_consultation(services, VERA, case_id)
    return found.id


def audited(services: Services, action: str) -> int:
    with services.db.read() as tx:
        return len(list(tx.scalars(select(AuditRow).where(AuditRow.action == action, AuditRow.allowed))))


# --- finding it again ---------------------------------------------------------------------------------------------


def test_the_list_leads_to_the_case_and_each_look_at_it_is_audited(
    services: Services, sign_in: SignIn, ended: UUID
) -> None:
    vera = sign_in(cast.VERA)
    before = audited(services, "consultation.list_ended")
    page = vera.get("/doctor/ended").text

    assert f"/doctor/cases/{ended}" in page
    assert NAME in page
    assert "Today" in page
    assert "/doctor/ended" in vera.get("/doctor").text
    assert audited(services, "consultation.list_ended") == before + 1


@pytest.mark.parametrize(
    ("days", "group"),
    [(0, "Today"), (1, "Last 30 days"), (29, "Last 30 days"), (31, "Older"), (900, "Older")],
)
def test_a_case_stays_in_the_list_however_old_it_is(
    sign_in: SignIn, ended: UUID, clock: Clock, days: int, group: str
) -> None:
    clock.forward(days=days)
    page = sign_in(cast.VERA).get("/doctor/ended").text

    assert f"/doctor/cases/{ended}" in page
    assert f"<h2>{group}</h2>" in page


def test_a_long_list_has_a_next_page(
    services: Services, hands: Hands, sign_in: SignIn, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_ended, "PAGE", 2)
    cases = []
    for villager in (cast.MARIA, cast.IVAN, cast.MARIA):
        cases.append(end_a_case(services, hands, villager))
        clock.forward(hours=1)
    vera = sign_in(cast.VERA)
    first = vera.get("/doctor/ended").text
    link = first.split('href="/doctor/ended?before=')[1].split('"')[0]
    second = vera.get(f"/doctor/ended?before={link}").text

    assert [str(case) in first for case in cases] == [False, True, True]
    assert [str(case) in second for case in cases] == [True, False, False]
    assert vera.get("/doctor/ended?before=yesterday").status_code == 200


def test_nobody_elses_cases_are_listed_or_opened(
    services: Services, hands: Hands, sign_in: SignIn, ended: UUID, clock: Clock
) -> None:
    with services.db.write() as tx:
        hands._account(tx, SECOND, "-")
    clock.forward(days=40)
    for person, status in ((SECOND, 404), (cast.GLEB, 404), (cast.ANNA, 403), (cast.GALINA, 403)):
        client = sign_in(person)
        assert client.get(f"/doctor/cases/{ended}").status_code == status
        assert client.post(f"/doctor/cases/{ended}/addendum", data={"text": "x"}).status_code == status
        assert NAME not in client.get("/doctor/ended").text
    with pytest.raises(Forbidden):
        service_ended.ended_cases(services, cast.ANNA.who)


# --- whole, for 30 days -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 29])
def test_within_thirty_days_a_case_is_whole(
    services: Services, sign_in: SignIn, ended: UUID, clock: Clock, days: int
) -> None:
    clock.forward(days=days)
    page = sign_in(cast.VERA).get(f"/doctor/cases/{ended}").text

    for words in (*NOTE.values(), "вопрос-щ", "пенициллин", "слово разговора-щ", "Cancel the prescription"):
        assert words in page


def test_after_thirty_days_there_is_what_the_doctor_wrote_and_nothing_else(
    services: Services, sign_in: SignIn, ended: UUID, clock: Clock
) -> None:
    service_ended.add_addendum(services, VERA, ended, "дополнение-щ")
    clock.forward(days=31)
    before = audited(services, "consultation.read_note")
    page = sign_in(cast.VERA).get(f"/doctor/cases/{ended}").text

    for words in (*NOTE.values(), "дополнение-щ", "1 таблетка утром", NAME, "78 years old"):
        assert words in page
    for words in ("вопрос-щ", "пенициллин", "слово разговора-щ"):
        assert words not in page
    assert audited(services, "consultation.read_note") > before


def test_after_thirty_days_no_other_door_opens(
    services: Services, sign_in: SignIn, ended: UUID, clock: Clock
) -> None:
    with services.db.read() as tx:
        visit = tx.get_one(Consultation, ended).visit_id
    vera = sign_in(cast.VERA)
    paths = [
        f"/doctor/cases/{ended}/values", f"/api/v1/consultations/{ended}/messages", f"/visits/{visit}/claims",
        f"/api/v1/consultations/{ended}/photographs", f"/patients/{cast.MARIA.id}", f"/consultations/{ended}/prescription",
    ]  # fmt: skip
    assert {vera.get(path).status_code for path in paths} == {200}  # the premise: within the care they open

    clock.forward(days=31)
    assert {sign_in(cast.VERA).get(path).status_code for path in paths} == {404}
    assert "пенициллин" not in sign_in(cast.VERA).get(f"/prescriptions/{prescription_of(services, ended)}").text


# --- cancelled ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 29, 45])
def test_a_prescription_can_be_cancelled_as_long_as_it_is_valid(
    services: Services, sign_in: SignIn, ended: UUID, clock: Clock, days: int
) -> None:
    clock.forward(days=days)
    vera = sign_in(cast.VERA)
    prescription_id = prescription_of(services, ended)
    assert f"/prescriptions/{prescription_id}/cancel" in vera.get(f"/doctor/cases/{ended}").text

    answer = vera.post(f"/prescriptions/{prescription_id}/cancel", data={"next": f"/doctor/cases/{ended}"})
    assert answer.headers["Location"] == f"/doctor/cases/{ended}"
    assert prescription.read_prescription(services, VERA, prescription_id).state == "cancelled"


# --- completed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 31, 400])
def test_a_note_is_completed_by_an_addendum_and_never_rewritten(
    services: Services, sign_in: SignIn, ended: UUID, clock: Clock, days: int
) -> None:
    clock.forward(days=days)
    vera = sign_in(cast.VERA)
    page = vera.get(f"/doctor/cases/{ended}").text
    addendum_id = page.split('name="addendum_id" value="')[1].split('"')[0]
    for _ in range(2):  # a second press is the same addendum
        vera.post(f"/doctor/cases/{ended}/addendum", data={"text": "забыто-щ", "addendum_id": addendum_id})

    assert [line.text for line in service_ended.addenda(services, VERA, ended)] == ["забыто-щ"]
    page = vera.get(f"/doctor/cases/{ended}").text
    assert "забыто-щ" in page
    assert "план-щ" in page
    assert "Вера Ильина" in page


def test_the_words_of_an_addendum_are_sealed_and_come_back_when_refused(
    services: Services, sign_in: SignIn, ended: UUID
) -> None:
    vera = sign_in(cast.VERA)
    too_long = "ю" * 2001
    answer = vera.post(f"/doctor/cases/{ended}/addendum", data={"text": too_long})
    assert answer.status_code == 422
    assert too_long in answer.text
    assert vera.post(f"/doctor/cases/{ended}/addendum", data={"text": "   "}).status_code == 422
    first, name = service_ended.add_addendum(services, VERA, ended, "забыто-щ"), "забыто-щ".encode()
    with services.db.read() as tx:
        assert name not in (tx.get_one(Consultation, ended).addenda or b"")
    with pytest.raises(Conflict) as refused:
        service_ended.add_addendum(services, VERA, ended, "другое", first)
    assert refused.value.code == "addendum_id_used"


def test_an_open_case_takes_no_addendum_and_is_not_among_the_ended(
    services: Services, hands: Hands, sign_in: SignIn
) -> None:
    case_id = made.case(hands)
    answer = sign_in(cast.VERA).post(f"/doctor/cases/{case_id}/addendum", data={"text": "слова-щ"})

    assert answer.status_code == 409
    assert service_ended.ended_cases(services, VERA) == []
    with pytest.raises(Conflict):
        service_ended.add_addendum(services, VERA, case_id, "слова-щ")
    with pytest.raises(Invalid):
        service_ended.add_addendum(services, VERA, case_id, "")
    with pytest.raises(NotFound):
        service_ended.add_addendum(services, VERA, new_id(), "слова-щ")


def test_the_next_doctor_of_the_patient_reads_the_addendum_too(
    services: Services, hands: Hands, sign_in: SignIn, ended: UUID
) -> None:
    service_ended.add_addendum(services, VERA, ended, "забыто-щ")
    now = made.case(hands)

    assert "забыто-щ" in sign_in(cast.VERA).get(f"/doctor/cases/{now}").text
