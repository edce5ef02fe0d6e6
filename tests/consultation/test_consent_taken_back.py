"""A consent taken back acts at once: nothing more is measured, no doctor is called, nothing is sent; an emergency goes
first, and a wrong press has half a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from telemed.branches.models import GatewayOrder
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.consultation import service
from telemed.consultation.models import Consultation
from telemed.consultation.service_endings import undo_ending
from telemed.delivery import service as delivery
from telemed.errors import Conflict
from telemed.patients import service as patients
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.delivery.conftest import post  # noqa: F401 - the fixture
from tests.delivery.made import EGOR, FEDOR, Post
from tests.make import Hands

ANNA = cast.ANNA.who
CALM = {"symptoms": [], "question": "", "medicines": "", "allergies": "", "arm": "left", "cuff": "medium"}
RED = {**CALM, "symptoms": ["chest_pain"]}


@pytest.fixture
def agreed(services: Services) -> None:
    for purpose in ("care", "telemedicine"):
        patients.give_consent(services, ANNA, cast.MARIA.id, purpose)


def visit_with(services: Services, jobs: Callable[[], int], answers: dict[str, Any], *, is_ready: bool = False) -> UUID:
    visit = checkup.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document")
    checkup.answer_questions(services, ANNA, visit, answers)
    if is_ready:
        checkup.finish(services, ANNA, visit)
    jobs()
    return visit


def withdraw(services: Services, purpose: str) -> None:
    patients.withdraw_consent(services, ANNA, cast.MARIA.id, purpose)


def state_of(services: Services, visit: UUID) -> tuple[str, str | None, str | None]:
    with services.db.read() as tx:
        row = tx.get_one(Visit, visit)
        case = tx.scalar(select(Consultation.state).where(Consultation.visit_id == visit))
        return row.state, row.ending, case


def test_care_taken_back_ends_the_check_up(
    services: Services, hands: Hands, jobs: Callable[[], int], agreed: None
) -> None:
    hands.gateway(b"k" * 32)
    visit = visit_with(services, jobs, CALM, is_ready=True)
    assert state_of(services, visit) == ("ready", None, "waiting")
    withdraw(services, "care")
    jobs()

    assert state_of(services, visit) == ("closed", "withdrawn", "abandoned")
    with services.db.read() as tx:
        orders = tx.scalars(select(GatewayOrder.kind).order_by(GatewayOrder.no)).all()
    assert orders[-1] == "close_visit"
    assert service.queue(services, cast.VERA.who) == []


def test_nothing_more_is_measured_before_any_job_has_run(
    services: Services, jobs: Callable[[], int], clock: Clock, agreed: None
) -> None:
    visit = visit_with(services, jobs, CALM)
    clock.forward(minutes=10)
    withdraw(services, "care")
    for deed in (
        lambda: checkup.ask_measurement(services, ANNA, visit, "glucose"),
        lambda: checkup.finish(services, ANNA, visit),
    ):
        with pytest.raises(Conflict, match="consent_withdrawn"):
            deed()


def test_no_visit_begins_without_a_consent_that_was_taken_back(
    services: Services, jobs: Callable[[], int], agreed: None
) -> None:
    withdraw(services, "care")
    with pytest.raises(Conflict, match="consent_withdrawn"):
        checkup.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document")
    patients.give_consent(services, ANNA, cast.MARIA.id, "care")

    assert checkup.open_visit(services, ANNA, cast.MARIA.id, cast.OZERKI, "document")


def test_telemedicine_taken_back_takes_the_case_out_of_the_queue_and_calls_nobody_back(
    services: Services, jobs: Callable[[], int], agreed: None, sign_in: Any
) -> None:
    visit = visit_with(services, jobs, CALM, is_ready=True)
    withdraw(services, "telemedicine")
    jobs()
    assert state_of(services, visit) == ("ready", None, "abandoned")
    page = sign_in(cast.ANNA).get(f"/counter/visits/{visit}").text
    assert "has taken the consent back" in page
    assert f"/visits/{visit}/close" in page
    checkup.close_visit(services, ANNA, visit)
    jobs()

    assert state_of(services, visit) == ("closed", "seen", "abandoned")


@pytest.mark.parametrize("purpose", ["care", "telemedicine"])
def test_an_emergency_goes_first(
    services: Services, jobs: Callable[[], int], agreed: None, purpose: str
) -> None:
    visit = visit_with(services, jobs, RED)
    withdraw(services, purpose)
    jobs()

    assert state_of(services, visit) == ("open", None, "waiting")
    assert [case.visit_id for case in service.queue(services, cast.VERA.who)] == [visit]


def test_a_wrong_press_is_taken_back_within_half_a_minute(
    services: Services, jobs: Callable[[], int], clock: Clock, agreed: None, sign_in: Any
) -> None:
    visit = visit_with(services, jobs, CALM, is_ready=True)
    browser, path = sign_in(cast.ANNA), f"/patients/{cast.MARIA.id}"
    browser.post(f"{path}/consents", data={"purpose": "care", "withdraw": "1"})
    jobs()
    with pytest.raises(Conflict, match="consent_withdrawn"):
        undo_ending(services, ANNA, visit)
    assert "Undo: the consent stands" in browser.get(path).text
    browser.post(f"{path}/consents", data={"purpose": "care", "undo": "1"})
    undo_ending(services, ANNA, visit)
    jobs()

    assert state_of(services, visit) == ("ready", None, "waiting")
    assert [item.withdrawn_at for item in patients.consents_of(services, ANNA, cast.MARIA.id)] == [None, None]


def test_after_half_a_minute_the_patient_is_asked_anew(
    services: Services, clock: Clock, agreed: None, sign_in: Any
) -> None:
    browser, path = sign_in(cast.ANNA), f"/patients/{cast.MARIA.id}"
    browser.post(f"{path}/consents", data={"purpose": "care", "withdraw": "1"})
    clock.forward(seconds=31)
    assert "Undo: the consent stands" not in browser.get(path).text
    page = browser.post(f"{path}/consents", data={"purpose": "care", "undo": "1"}, follow_redirects=True).text

    assert "It is too late to undo this" in page


def test_a_consent_given_anew_before_the_job_ran_lets_the_check_up_go_on(
    services: Services, jobs: Callable[[], int], agreed: None
) -> None:
    visit = visit_with(services, jobs, CALM, is_ready=True)
    withdraw(services, "care")
    patients.give_consent(services, ANNA, cast.MARIA.id, "care")
    jobs()

    assert state_of(services, visit) == ("ready", None, "waiting")


@pytest.mark.parametrize(
    ("state", "then"), [("ordered", "collect"), ("packed", "collect"), ("assigned", "collect"), ("given", "given")]
)
def test_delivery_taken_back_keeps_from_the_post_what_is_not_out_and_calls_back_what_is(
    services: Services, post: Post, jobs: Callable[[], int], state: str, then: str  # noqa: F811
) -> None:
    parcel_id = post.parcel(state)
    withdraw(services, "delivery")
    jobs()

    assert post.now(parcel_id).state == then
    assert (post.now(parcel_id).recalled_at is not None) == (state == "given")
    assert delivery.custody_faults(services) == []
    assert delivery.parcels_for_dispatch(services, EGOR).assigned == []
    if state == "given":
        assert "recalled" in delivery.round_of(services, FEDOR)[0].flags
    else:
        post.pack(post.now(parcel_id).order_id)
        assert post.now(parcel_id).state == "collect_ready"
