"""Stored cases: who goes home unseen still gets an answer, and hears that it is there."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.access.models import AuditRow
from telemed.checkup import service as checkup
from telemed.consultation import service, service_stored
from telemed.consultation.models import Consultation
from telemed.errors import Forbidden, NotFound
from telemed.services import Services
from tests import cast
from tests.conftest import Clock

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


@pytest.fixture
def stored(services: Services, queue_up: Callable[..., UUID], jobs: Callable[[], int]) -> UUID:
    """Maria's case after she went home without a doctor."""
    case_id = queue_up()
    with services.db.read() as tx:
        visit_id = tx.get_one(Consultation, case_id).visit_id
    checkup.close_visit(services, cast.ANNA.who, visit_id)
    jobs()
    return case_id


def test_a_case_whose_patient_left_waits_for_a_written_answer(
    services: Services, stored: UUID, clock: Clock, sign_in: SignIn
) -> None:
    (view,) = service.queue(services, cast.VERA.who)
    page = sign_in(cast.VERA).get("/doctor").get_data(as_text=True)

    assert (view.id, view.stored_at, view.state) == (stored, clock(), "waiting")
    assert "Stored cases" in page


def test_who_sits_at_the_corner_goes_before_who_went_home(
    services: Services, stored: UUID, queue_up: Callable[..., UUID]
) -> None:
    here, red = queue_up(cast.IVAN, "GREEN"), queue_up(cast.PELAGEYA, "RED")

    assert [view.id for view in service.queue(services, cast.VERA.who)] == [red, here, stored]


def test_a_patient_who_was_seen_leaves_no_stored_case(
    services: Services, case: UUID, jobs: Callable[[], int]
) -> None:
    with services.db.read() as tx:
        visit_id = tx.get_one(Consultation, case).visit_id
    checkup.close_visit(services, cast.ANNA.who, visit_id)
    jobs()

    with services.db.read() as tx:
        assert tx.get_one(Consultation, case).stored_at is None


def test_the_doctor_answers_in_writing_and_may_telephone(services: Services, stored: UUID, sign_in: SignIn) -> None:
    with pytest.raises(NotFound):
        service_stored.patient_phone(services, cast.VERA.who, stored)
    service.take(services, cast.VERA.who, stored)
    page = sign_in(cast.VERA).get(f"/doctor/cases/{stored}").get_data(as_text=True)

    assert service_stored.patient_phone(services, cast.VERA.who, stored) == cast.MARIA.phone
    assert f"tel:{cast.MARIA.phone}" in page
    assert "data-call-start" not in page, "nobody sits at the corner"


def test_the_clerk_tells_the_patient_once_and_reads_nothing(
    services: Services, stored: UUID, sign_in: SignIn
) -> None:
    service.take(services, cast.VERA.who, stored)
    service.save_note(services, cast.VERA.who, stored, {"assessment": "ГБ II", "plan": "эналаприл"}, 0)
    assert service_stored.answers_to_tell(services, cast.ANNA.who) == []
    service.end(services, cast.VERA.who, stored, "advised")
    anna = sign_in(cast.ANNA)
    page = anna.get("/counter").get_data(as_text=True)
    assert "The doctor has answered in writing" in page
    assert "эналаприл" not in page
    assert f'href="tel:{cast.MARIA.phone}"' in page, "who is to call must be able to dial"

    anna.post(f"/consultations/{stored}/told")
    anna.post(f"/consultations/{stored}/told")
    assert service_stored.answers_to_tell(services, cast.ANNA.who) == []
    with pytest.raises(Forbidden):
        service_stored.note_told(services, cast.VERA.who, stored)


def test_nobody_is_told_of_an_answer_that_is_not_there(services: Services, stored: UUID) -> None:
    with pytest.raises(NotFound):
        service_stored.note_told(services, cast.ANNA.who, stored)


def told_of(services: Services) -> list[dict[str, str]]:
    with services.db.read() as tx:
        return [row.subject for row in tx.scalars(select(AuditRow).where(AuditRow.action == "consultation.tell"))]


def test_each_look_at_a_number_to_dial_is_audited(services: Services, stored: UUID, sign_in: SignIn) -> None:
    anna = sign_in(cast.ANNA)
    anna.get("/counter")
    assert not any(subject.get("patient_id") for subject in told_of(services)), "nobody is to be called yet"
    service.take(services, cast.VERA.who, stored)
    service.save_note(services, cast.VERA.who, stored, {"assessment": "ГБ II"}, 0)
    service.end(services, cast.VERA.who, stored, "advised")

    anna.get("/counter")
    assert str(cast.MARIA.id) in [subject.get("patient_id") for subject in told_of(services)]
    assert cast.MARIA.phone not in sign_in(cast.BORIS).get("/counter").text


def test_the_doctor_can_still_dial_when_the_written_answer_is_ended(
    services: Services, stored: UUID, sign_in: SignIn
) -> None:
    """The plan is told by telephone, and that may be after the end."""
    service.take(services, cast.VERA.who, stored)
    service.save_note(services, cast.VERA.who, stored, {"assessment": "ГБ II"}, 0)
    service.end(services, cast.VERA.who, stored, "advised")

    assert f'href="tel:{cast.MARIA.phone}"' in sign_in(cast.VERA).get(f"/doctor/cases/{stored}").text
