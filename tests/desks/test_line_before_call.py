"""The line is measured by itself before each talk: when the page is told to do it, and when not."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from telemed.branches.models import Branch, LineCheck
from telemed.branches.service import record_line_check
from telemed.checkup import service as checkup
from telemed.consultation import service
from telemed.consultation.models import Consultation
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]
LINE = {
    "rtt_ms": 80, "up_kbit_s": 900, "down_kbit_s": 900, "loss_up_pct": 0, "loss_down_pct": 0, "line_class": "good",
}  # fmt: skip
ANSWERS = {"symptoms": [], "arm": "left", "cuff": "medium", "fasting": False}


@pytest.fixture
def waiting(services: Services, hands: Hands) -> UUID:
    """A visit whose patient waits for a doctor, at a branch whose line nobody has measured yet."""
    visit_id = hands.visit(state="ready")
    checkup.answer_questions(services, cast.ANNA.who, visit_id, ANSWERS)
    with services.db.write() as tx:
        assert service.queue_case(services, tx, visit_id, "YELLOW") is not None
    return visit_id


def measure(services: Services) -> None:
    with services.db.write() as tx:
        record_line_check(services, tx, cast.OZERKI, LINE)


def is_told_to_measure(client: FlaskClient, visit_id: UUID) -> bool:
    return "data-line-due" in client.get(f"/counter/visits/{visit_id}").get_data(as_text=True)


def test_while_the_patient_waits_for_the_doctor_the_line_is_measured(waiting: UUID, sign_in: SignIn) -> None:
    assert is_told_to_measure(sign_in(cast.ANNA), waiting)


def test_a_result_a_few_minutes_old_is_not_measured_again(
    waiting: UUID, services: Services, sign_in: SignIn, clock: Clock
) -> None:
    measure(services)
    anna = sign_in(cast.ANNA)
    assert not is_told_to_measure(anna, waiting)
    clock.forward(minutes=16)

    assert is_told_to_measure(anna, waiting)


def test_a_talk_that_runs_is_not_disturbed(waiting: UUID, services: Services, sign_in: SignIn) -> None:
    with services.db.write() as tx:
        tx.scalars(select(Consultation)).one().state = "in_call"

    assert not is_told_to_measure(sign_in(cast.ANNA), waiting)


def test_while_the_patient_is_being_measured_the_line_is_left_alone(hands: Hands, sign_in: SignIn) -> None:
    assert not is_told_to_measure(sign_in(cast.ANNA), hands.visit())


def test_each_result_is_kept_and_the_newest_stands_on_the_branch(services: Services, clock: Clock) -> None:
    for _ in range(2):
        measure(services)
        clock.forward(minutes=20)

    with services.db.read() as tx:
        assert len(tx.scalars(select(LineCheck)).all()) == 2
        assert tx.get_one(Branch, cast.OZERKI).line_class == "good"
