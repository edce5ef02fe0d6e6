"""The tray: sealed for a day, given to a patient only by two people, its values shown to neither before."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from telemed.access.models import AuditRow
from telemed.bootstrap import Application, build
from telemed.checkup.models import Visit
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.journey import RECURRING
from telemed.readings import service
from telemed.readings import service_quarantine as tray
from telemed.readings.models import QuarantinedItem, Reading
from telemed.services import Services
from telemed.settings import Settings
from tests import cast
from tests.conftest import Clock
from tests.make import Hands, meter_of
from tests.readings.sender import Sender, later, pressure

SignIn = Callable[[Any], FlaskClient]
OPENED_LATE = "claim_opened_late"


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def visit(hands: Hands) -> UUID:
    """Maria's visit, of which Vera is the doctor."""
    hands.booking(cast.MARIA, cast.VERA)
    return hands.visit(cast.MARIA)


def put_aside(sender: Sender, visit_id: UUID | None = None, **record: Any) -> UUID:
    """Let a reading land in the tray; return the item."""
    item = sender.reading(visit_id, **record)
    assert sender.judged([item])[0][0] == "quarantined"
    with sender.services.db.read() as tx:
        return tx.scalars(select(QuarantinedItem.id).where(QuarantinedItem.event_id == UUID(item["event_id"]))).one()


def row_of(services: Services, item_id: UUID) -> QuarantinedItem:
    with services.db.read() as tx:
        row = tx.get(QuarantinedItem, item_id)
        assert row is not None
        return row


# --- kept for a day -----------------------------------------------------------------------------------------------


def test_a_reading_put_aside_stays_sealed_and_is_erased_after_a_day(
    sender: Sender, services: Services, clock: Clock
) -> None:
    item_id = put_aside(sender)
    kept = row_of(services, item_id).item
    assert kept is not None
    assert sender.items[0]["sealed"] in kept.decode()

    left = []
    for delta in ({"hours": 23, "minutes": 59}, {"minutes": 1}):
        clock.forward(**delta)
        with services.db.write() as tx:
            tray.erase(services, tx)
        left.append(row_of(services, item_id).item is not None)

    assert left == [True, False]


def test_the_tray_is_swept_every_few_minutes(application: Application, sender: Sender, clock: Clock) -> None:
    item_id = put_aside(sender)
    clock.forward(hours=24, minutes=5)
    application.worker.plan_recurring()
    while application.worker.run_due():
        pass

    assert row_of(application.services, item_id).item is None
    assert next(chore.every_s for chore in RECURRING if chore.name == "erase_quarantine") <= 300


def test_what_is_due_is_gone_for_everybody_though_the_sweep_has_not_come(
    sender: Sender, services: Services, visit: UUID, clock: Clock
) -> None:
    item_id = put_aside(sender)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    clock.forward(hours=24)

    assert row_of(services, item_id).item is not None
    assert tray.tray_of_branch(services, cast.ANNA.who) == []
    assert tray.claims_of_visit(services, cast.VERA.who, visit) == []
    with pytest.raises(Conflict, match="claim_gone"):
        tray.confirm(services, cast.VERA.who, item_id)
    with pytest.raises(Conflict, match="claim_gone"):
        tray.choices(services, cast.ANNA.who, item_id)


def test_the_tray_shows_reason_and_times_to_its_own_branch_only(sender: Sender, services: Services) -> None:
    item_id, now = put_aside(sender), services.clock()

    (shown,) = tray.tray_of_branch(services, cast.ANNA.who)
    assert (shown.id, shown.reason, shown.state) == (item_id, "no_visit", "waiting")
    assert (shown.received_at, shown.erase_at) == (now, now + timedelta(hours=24))
    assert tray.tray_of_branch(services, cast.BORIS.who) == []
    with pytest.raises(NotFound):
        tray.choices(services, cast.BORIS.who, item_id)
    assert tray.tray_of_branch(services, replace(cast.ANNA.who, branch_id=cast.SOSNOVO)) == []


# --- two people ---------------------------------------------------------------------------------------------------


def test_a_reading_claimed_by_the_clerk_and_confirmed_by_the_doctor_enters_the_record(
    sender: Sender, services: Services, visit: UUID
) -> None:
    item_id = put_aside(sender, decoded=pressure(151, 88, 70))
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    assert service.readings_of_visit(services, cast.VERA.who, visit) == []
    assert tray.confirm(services, cast.VERA.who, item_id) == visit

    (value,) = service.readings_of_visit(services, cast.VERA.who, visit)
    assert (value.shown, value.reasons) == ("151/88", ("claimed",))
    row = row_of(services, item_id)
    assert (row.claimed_by, row.decided_by, row.decision) == (cast.ANNA.id, cast.VERA.id, "confirmed")
    assert (row.item, row.reading_id) == (None, value.id)


def test_nothing_of_the_tray_enters_a_visit_of_the_wrong_person(
    sender: Sender, services: Services, visit: UUID
) -> None:
    early, late = put_aside(sender), put_aside(sender, decoded=pressure(151, 88, 70))
    tray.claim(services, cast.ANNA.who, early, visit, OPENED_LATE)
    with services.db.write() as tx:
        tx.get_one(Visit, visit).ending = "wrong_person"

    with pytest.raises(Conflict, match="claim_gone"):
        tray.confirm(services, cast.VERA.who, early)
    with pytest.raises(Invalid):
        tray.claim(services, cast.ANNA.who, late, visit, OPENED_LATE)
    assert tray.choices(services, cast.ANNA.who, late)[1] == []
    assert service.readings_of_visit(services, cast.VERA.who, visit) == []
    tray.refuse(services, cast.VERA.who, early)


def test_each_step_is_audited_with_who_and_which(sender: Sender, services: Services, visit: UUID) -> None:
    item_id = put_aside(sender)
    tray.choices(services, cast.ANNA.who, item_id)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    tray.confirm(services, cast.VERA.who, item_id)
    with services.db.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.action.in_(("quarantine.claim", "quarantine.confirm")))).all()

    assert [(row.actor_id, row.action, row.allowed) for row in rows] == [
        (cast.ANNA.id, "quarantine.claim", True),  # she looked at the names to choose from
        (cast.ANNA.id, "quarantine.claim", True),
        (cast.VERA.id, "quarantine.confirm", True),
    ]
    assert {row.subject["item_id"] for row in rows} == {str(item_id)}
    assert rows[1].subject["visit_id"] == rows[2].subject["visit_id"] == str(visit)


def test_nobody_confirms_alone(sender: Sender, services: Services, visit: UUID) -> None:
    item_id = put_aside(sender)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    with pytest.raises(Forbidden, match="forbidden"):
        tray.confirm(services, cast.ANNA.who, item_id)
    with services.db.write() as tx:  # as if the doctor had been let claim, too: the person is what counts
        tx.execute(update(QuarantinedItem).values(claimed_by=cast.VERA.id))
    with pytest.raises(Forbidden, match="claim_second_person"):
        tray.confirm(services, cast.VERA.who, item_id)
    with pytest.raises(IntegrityError), services.db.write() as tx:
        tx.execute(update(QuarantinedItem).values(decided_by=cast.VERA.id))

    assert service.status_of_visit(services, cast.ANNA.who, visit) == []


def test_a_doctor_who_does_not_care_for_the_patient_cannot_confirm(
    sender: Sender, services: Services, visit: UUID
) -> None:
    item_id = put_aside(sender)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)

    for who in (cast.GLEB.who, replace(cast.VERA.who, id=new_id())):
        with pytest.raises(NotFound):
            tray.confirm(services, who, item_id)
        with pytest.raises(NotFound):
            tray.claims_of_visit(services, who, visit)


def test_a_refused_reading_stays_with_nobody_and_may_be_claimed_again(
    sender: Sender, services: Services, visit: UUID
) -> None:
    item_id = put_aside(sender)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    tray.refuse(services, cast.VERA.who, item_id)

    assert service.status_of_visit(services, cast.ANNA.who, visit) == []
    assert tray.tray_of_branch(services, cast.ANNA.who)[0].state == "refused"
    with pytest.raises(Conflict, match="claim_gone"):
        tray.confirm(services, cast.VERA.who, item_id)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    assert tray.confirm(services, cast.VERA.who, item_id) == visit


def test_a_claim_is_decided_once(sender: Sender, services: Services, visit: UUID) -> None:
    item_id = put_aside(sender)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    with pytest.raises(Conflict, match="claim_asked"):
        tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    tray.confirm(services, cast.VERA.who, item_id)

    with pytest.raises(Conflict, match="claim_gone"):
        tray.confirm(services, cast.VERA.who, item_id)
    assert len(service.status_of_visit(services, cast.ANNA.who, visit)) == 1


# --- which visit --------------------------------------------------------------------------------------------------


def test_a_visit_is_chosen_among_those_of_the_branch_near_that_time(
    sender: Sender, services: Services, visit: UUID, hands: Hands, clock: Clock
) -> None:
    hands.visit(cast.PELAGEYA)  # at another branch
    hands.visit(cast.IVAN, state="closed", opened_at=clock() - timedelta(hours=3), closed_at=clock() - timedelta(hours=2))
    item_id = put_aside(sender)

    assert [(one.id, one.patient_name) for one in tray.choices(services, cast.ANNA.who, item_id)[1]] == [
        (visit, "Ёлкина Мария Петровна")
    ]


@pytest.mark.parametrize(("minutes", "may"), [(-29, True), (-31, False)])
def test_a_visit_opened_after_the_measurement_takes_it_for_half_an_hour(
    sender: Sender, services: Services, hands: Hands, clock: Clock, minutes: int, may: bool
) -> None:
    item_id = put_aside(sender)
    visit = hands.visit(cast.MARIA, opened_at=clock() - timedelta(minutes=minutes))

    with nullcontext() if may else pytest.raises(Invalid):
        tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)


def test_a_visit_of_another_branch_or_none_is_refused(sender: Sender, services: Services, hands: Hands) -> None:
    item_id = put_aside(sender)
    for visit in (hands.visit(cast.PELAGEYA), new_id()):
        with pytest.raises(Invalid):
            tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)


def test_a_reason_is_asked_for(sender: Sender, services: Services, visit: UUID) -> None:
    item_id = put_aside(sender)
    with pytest.raises(Invalid):
        tray.claim(services, cast.ANNA.who, item_id, visit, "because")


def test_a_meter_that_is_not_enrolled_here_stays_out_whoever_vouches(
    sender: Sender, services: Services, visit: UUID
) -> None:
    sender.judged([sender.opened(visit)])
    item_id = put_aside(sender, visit, meter={"enrolment_id": str(meter_of(cast.SOSNOVO, "blood_pressure"))})

    assert not tray.tray_of_branch(services, cast.ANNA.who)[0].may_be_claimed
    with pytest.raises(Invalid):
        tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)


def test_the_memory_of_a_meter_with_a_right_clock_is_given_to_nobody(
    sender: Sender, services: Services, visit: UUID
) -> None:
    sender.judged([sender.opened(visit)])
    old = {"effective_at": later(services.clock, days=-3), "time_quality": "corrected"}
    item_id = put_aside(sender, visit, **old)

    with pytest.raises(Conflict, match="measured_elsewhen"):
        tray.claim(services, cast.ANNA.who, item_id, visit, "claim_clock_wrong")


def test_a_clock_that_nobody_checked_leaves_the_moment_of_receipt(
    sender: Sender, services: Services, visit: UUID
) -> None:
    sender.judged([sender.opened(visit)])
    wrong = {"effective_at": later(services.clock, days=-3), "time_quality": "meter", "meter_time": "2026-11-20T09:00:00"}
    item_id = put_aside(sender, visit, **wrong)
    tray.claim(services, cast.ANNA.who, item_id, visit, "claim_clock_wrong")
    tray.confirm(services, cast.VERA.who, item_id)

    (value,) = service.readings_of_visit(services, cast.VERA.who, visit)
    assert (value.measured_at, value.time_quality) == (services.clock(), "unknown")


def test_the_meters_user_id_picks_no_patient(sender: Sender, services: Services, visit: UUID, hands: Hands) -> None:
    other = hands.visit(cast.IVAN, state="closed", closed_at=services.clock())
    hands.booking(cast.IVAN, cast.VERA)
    for user_id, which in ((1, visit), (1, other)):
        item_id = put_aside(sender, decoded={**pressure(151, 88, 70), "user_id": user_id})
        tray.claim(services, cast.ANNA.who, item_id, which, OPENED_LATE)
        tray.confirm(services, cast.VERA.who, item_id)

    with services.db.read() as tx:
        patients = tx.scalars(select(Reading.patient_id).order_by(Reading.stored_at)).all()
    assert set(patients) == {cast.MARIA.id, cast.IVAN.id}


def test_a_confirmed_reading_counts_for_the_urgency(sender: Sender, services: Services, visit: UUID) -> None:
    item_id = put_aside(sender, decoded=pressure(245, 130, 90))
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    with services.db.read() as tx:
        assert service.triage_of(tx, visit) == "UNKNOWN"
    tray.confirm(services, cast.VERA.who, item_id)

    with services.db.read() as tx:
        assert service.triage_of(tx, visit) == "AMBER"


def test_the_same_measurement_sent_again_does_not_enter_twice(sender: Sender, services: Services, visit: UUID) -> None:
    record = sender.record()
    item_id = put_aside(sender, **record)
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
    sender.judged([sender.opened(visit), sender.reading(visit, **record)])

    with pytest.raises(Conflict, match="reading_known"):
        tray.confirm(services, cast.VERA.who, item_id)
    assert len(service.status_of_visit(services, cast.ANNA.who, visit)) == 1


# --- pages --------------------------------------------------------------------------------------------------------


def test_the_clerk_claims_and_the_doctor_confirms_on_pages_that_show_no_value(
    sign_in: SignIn, sender: Sender, services: Services, visit: UUID
) -> None:
    item_id = put_aside(sender, decoded=pressure(187, 113, 99))
    anna, vera = sign_in(cast.ANNA), sign_in(cast.VERA)
    pages = [anna.get("/quarantine"), anna.get(f"/quarantine/{item_id}/claim")]
    sent = {"visit_id": str(visit), "reason": OPENED_LATE}
    pages.append(anna.post(f"/quarantine/{item_id}/claim", data=sent, follow_redirects=True))
    assert "The doctor is asked" in pages[-1].text
    pages.append(vera.get(f"/visits/{visit}/claims"))
    assert "Анна Кузьмина" in pages[-1].text
    pages.append(vera.post(f"/quarantine/{item_id}/confirm", follow_redirects=True))

    assert [page.status_code for page in pages] == [200] * 5
    assert [re.findall(r"\b187\b|\b113\b", page.text) for page in pages] == [[]] * 5, "no id ends in the numbers by chance"
    assert service.readings_of_visit(services, cast.VERA.who, visit)[0].shown == "187/113"


def test_a_claim_without_choice_comes_back_with_its_error(sign_in: SignIn, sender: Sender, visit: UUID) -> None:
    item_id = put_aside(sender)
    answer = sign_in(cast.ANNA).post(f"/quarantine/{item_id}/claim", data={"visit_id": str(visit)})

    assert answer.status_code == 422
    assert "error-summary" in answer.text


def test_the_pages_are_closed_to_others(sign_in: SignIn, sender: Sender, visit: UUID, services: Services) -> None:
    item_id = put_aside(sender)
    assert sign_in(cast.ANNA).get(f"/quarantine/{item_id}/claim").status_code == 200
    assert sign_in(cast.BORIS).get(f"/quarantine/{item_id}/claim").status_code == 404
    assert sign_in(cast.VERA).get(f"/quarantine/{item_id}/claim").status_code == 403
    tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)

    assert sign_in(cast.ANNA).post(f"/quarantine/{item_id}/confirm").status_code == 403
    assert sign_in(cast.GLEB).post(f"/quarantine/{item_id}/confirm").status_code == 404
    assert sign_in(cast.VERA).get(f"/visits/{visit}/claims").status_code == 200
    assert sign_in(cast.GLEB).get(f"/visits/{visit}/claims").status_code == 404


# --- both engines -------------------------------------------------------------------------------------------------


@pytest.mark.db
def test_batch_claim_and_confirmation_hold_on_both_engines(db_settings: Settings, clock: Clock) -> None:
    application = build(db_settings, clock=clock)
    application.app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    try:
        services, sender, hands = application.services, Sender(application), Hands(application.services)
        hands.booking(cast.MARIA, cast.VERA)
        visit = hands.visit(cast.MARIA)
        item_id = put_aside(sender)
        sender.judged([sender.opened(visit), *(sender.reading(visit) for _ in range(60))])
        sent_again = sender.judged(sender.items[1:])
        tray.claim(services, cast.ANNA.who, item_id, visit, OPENED_LATE)
        tray.confirm(services, cast.VERA.who, item_id)

        assert set(sent_again) == {("duplicate", None)}
        with services.db.read() as tx:
            assert tx.scalar(select(func.count()).select_from(Reading)) == 61
        with pytest.raises(IntegrityError), services.db.write() as tx:
            tx.execute(text("UPDATE quarantined_item SET decided_by = claimed_by"))
        with services.db.read() as tx:
            assert tx.get(Visit, visit) is not None
    finally:
        application.close()
