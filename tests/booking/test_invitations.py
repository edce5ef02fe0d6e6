"""The call list: three tries, a reason for every no, and a booking that answers the call by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from telemed.access.models import AuditRow
from telemed.booking import rules, service, service_reasons
from telemed.booking.models import Invitation
from telemed.crypto.keys import SubjectKey
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.outbox import Job
from telemed.patients import service as patients
from tests import cast
from tests.prescription import made

ANNA, VERA = cast.ANNA.who, cast.VERA.who


@pytest.fixture
def invitation(services):
    return service.invite(services, ANNA, cast.MARIA.id)


def rows(services):
    with services.db.read() as tx:
        return list(tx.scalars(select(Invitation)))


def audited(services, action):
    with services.db.read() as tx:
        return list(tx.scalars(select(AuditRow).where(AuditRow.action == action)))


def seen(services, who=ANNA):
    return {view.id: view for view in service.invitations(services, who)}


def test_a_patient_is_on_the_list_of_the_home_branch_with_a_phone(services, invitation):
    view = seen(services)[invitation]

    assert (view.patient_id, view.phone) == (cast.MARIA.id, cast.MARIA.phone)
    assert not view.rests
    assert seen(services, cast.BORIS.who) == {}


def test_three_calls_without_an_answer_are_enough(services, invitation):
    for _ in range(rules.ATTEMPTS_MAX):
        assert not seen(services)[invitation].rests
        service.answer_invitation(services, ANNA, invitation, "not_reached")

    assert seen(services)[invitation].rests
    with pytest.raises(Conflict) as refused:
        service.answer_invitation(services, ANNA, invitation, "not_reached")
    assert refused.value.code == "invitation_over"


def test_a_refusal_needs_its_reason(services, invitation):
    for reason in (None, "", "because"):
        with pytest.raises(Invalid) as refused:
            service.answer_invitation(services, ANNA, invitation, "refused", reason)
        assert refused.value.fields == {"refusal": "required"}
    service.answer_invitation(services, ANNA, invitation, "refused", "feels_well")

    view = seen(services)[invitation]
    assert (view.outcome, view.refusal, view.rests) == ("refused", "feels_well", True)


@pytest.mark.parametrize("outcome", ["booked", "", "maybe"])
def test_an_outcome_that_a_call_cannot_have_is_refused(services, invitation, outcome):
    with pytest.raises(Invalid):
        service.answer_invitation(services, ANNA, invitation, outcome)


def test_a_booking_answers_the_invitation(services, hands, invitation):
    hands.shift()
    at = cast.NOON + timedelta(minutes=30)
    service.book(services, ANNA, cast.MARIA.id, cast.OZERKI, cast.VERA.id, at, invitation_id=invitation)

    view = seen(services)[invitation]
    assert (view.outcome, view.attempts, view.rests) == ("booked", 1, True)


def test_a_booking_does_not_answer_somebody_elses_invitation(services, hands, invitation):
    hands.shift()
    at = cast.NOON + timedelta(minutes=30)
    service.book(services, ANNA, cast.IVAN.id, cast.OZERKI, cast.VERA.id, at, invitation_id=invitation)

    assert seen(services)[invitation].outcome is None


def test_the_same_form_twice_is_one_invitation(services):
    invitation_id = new_id()
    for _ in range(2):
        assert service.invite(services, ANNA, cast.MARIA.id, None, invitation_id) == invitation_id

    assert len(seen(services)) == 1
    with pytest.raises(Conflict) as refused:
        service.invite(services, ANNA, cast.IVAN.id, None, invitation_id)
    assert refused.value.code == "invitation_id_used"


def test_a_patient_who_is_still_to_be_called_is_on_the_list_once(services, invitation):
    assert service.invite(services, ANNA, cast.MARIA.id) == invitation
    service.answer_invitation(services, ANNA, invitation, "refused", "no_time")

    assert service.invite(services, ANNA, cast.MARIA.id) != invitation


# --- why: a doctor's word, sealed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [cast.ANNA, cast.GALINA])
@pytest.mark.parametrize("reason", ["hypertension", "diabetes", "after_hospital", "other", "curiosity", ""])
def test_who_is_no_doctor_has_no_medical_reason_to_pick(services, person, reason):
    with pytest.raises(Invalid) as refused:
        service.invite(services, person.who, cast.MARIA.id, reason)

    assert refused.value.fields == {"reason": "invalid"}
    assert rows(services) == []


def test_the_word_of_an_older_form_is_taken_and_not_kept(services):
    service.invite(services, ANNA, cast.MARIA.id, rules.NO_MEDICAL_REASON)

    [row] = rows(services)
    assert (row.reason, row.clinical) == ("", None)


@pytest.mark.parametrize("reason", [None, "", "curiosity"])
def test_a_doctor_says_why(services, hands, reason):
    made.case(hands)
    with pytest.raises(Invalid) as refused:
        service.invite(services, VERA, cast.MARIA.id, reason)

    assert refused.value.fields == {"reason": "required"}


def test_a_doctors_reason_is_sealed_and_read_by_doctors_of_the_patient_only(services, hands):
    made.case(hands)
    invitation = service.invite(services, VERA, cast.MARIA.id, "diabetes")

    [row] = rows(services)
    assert (row.id, row.reason) == (invitation, "")
    assert b"diabetes" not in row.clinical
    assert [one.reason for one in service.invitation_reasons(services, VERA, cast.MARIA.id)] == ["diabetes"]
    assert invitation in seen(services)
    for who, answer in ((ANNA, Forbidden), (cast.GALINA.who, Forbidden), (cast.GLEB.who, NotFound)):
        with pytest.raises(answer):
            service.invitation_reasons(services, who, cast.MARIA.id)


def test_a_doctor_without_care_invites_nobody(services):
    with pytest.raises(NotFound):
        service.invite(services, VERA, cast.MARIA.id, "diabetes")


def test_a_doctors_reason_joins_the_call_that_is_still_to_be_made(services, hands, invitation):
    made.case(hands)
    assert service.invite(services, VERA, cast.MARIA.id, "after_hospital") == invitation
    assert service.invite(services, ANNA, cast.MARIA.id) == invitation

    assert [one.reason for one in service.invitation_reasons(services, VERA, cast.MARIA.id)] == ["after_hospital"]


# --- rows of an older release -------------------------------------------------------------------------------------


def old_row(hands, reason="hypertension", **more):
    """An invitation as the release before stored it: with its reason in the clear."""
    values = {
        "id": new_id(), "patient_id": cast.MARIA.id, "branch_id": cast.OZERKI, "reason": reason, "clinical_rev": 0,
        "created_at": hands.clock(), "created_by": cast.ANNA.id, "attempts": 0,
    }  # fmt: skip
    return hands.add(Invitation(**{**values, **more}))


@pytest.fixture
def chores(application, jobs):
    """Let the worker plan what is due and do it, as it does at the start."""

    def run():
        application.worker.plan_recurring()
        jobs()

    return run


def test_the_start_seals_the_reasons_of_an_older_release(services, hands, chores):
    made.case(hands)
    invitation = old_row(hands)
    assert [one.reason for one in service.invitation_reasons(services, VERA, cast.MARIA.id)] == ["hypertension"]

    chores()

    [row] = rows(services)
    assert (row.id, row.reason, row.clinical_rev) == (invitation, "", 1)
    assert [one.reason for one in service.invitation_reasons(services, VERA, cast.MARIA.id)] == ["hypertension"]
    [told] = audited(services, "invitation.seal_reason")
    assert (told.role, told.subject["patient_id"]) == ("system", str(cast.MARIA.id))


def test_sealing_goes_on_where_it_was_stopped_and_does_nothing_twice(services, hands, chores, monkeypatch):
    monkeypatch.setattr(service_reasons, "AT_ONCE", 2)
    for reason in ("hypertension", "diabetes", "after_hospital", "check_up", "other"):
        old_row(hands, reason)
    with services.db.write() as tx:  # one portion, then the process is killed: its news of the rest is lost
        service_reasons.seal_plain_reasons(services, tx)
        tx.execute(delete(Job))
    with services.db.read() as tx:
        assert service_reasons.count_plain_reasons(tx) == 3

    chores()

    assert {row.reason for row in rows(services)} == {""}
    assert {row.clinical_rev for row in rows(services)} == {1}
    assert len(audited(services, "invitation.seal_reason")) == 5


def test_the_admin_sees_how_many_are_left(hands, chores, sign_in):
    old_row(hands)
    assert "1 reason of an invitation is still to be sealed" in sign_in(cast.OLEG).get("/system").text
    chores()

    page = sign_in(cast.OLEG).get("/system").text
    assert "still to be sealed" not in page
    assert "Nothing to mend." in page


def test_a_damaged_key_stops_no_other_row(services, hands, chores):
    made.case(hands)
    broken, whole = old_row(hands), old_row(hands, "diabetes", patient_id=cast.IVAN.id)
    with services.db.write() as tx:
        services.keys.newest_subject_key(tx, cast.MARIA.id, "clinical")
    with services.db.write() as tx:
        tx.execute(update(SubjectKey).where(SubjectKey.subject_id == cast.MARIA.id).values(wrapped=bytes(40)))
    services.keys._subjects.clear()

    chores()

    assert {row.id: row.reason for row in rows(services)} == {broken: "hypertension", whole: ""}


def test_no_file_holds_the_reason_after_it_was_sealed(services, hands, chores, settings):
    """The place that a value stood in is overwritten: neither the database nor its log keeps it."""
    old_row(hands, "hypertension-xq7")
    services.db.checkpoint()
    files = [settings.server_dir / name for name in ("telemed.db", "telemed.db-wal")]
    assert b"hypertension-xq7" in b"".join(file.read_bytes() for file in files)

    chores()
    services.db.checkpoint()

    assert b"hypertension-xq7" not in b"".join(file.read_bytes() for file in files)


@pytest.mark.parametrize("purpose", ["notifications", "care"])
def test_who_takes_the_consent_back_is_off_the_list_at_once_and_not_put_on_it_again(
    services, invitation, sign_in, purpose
):
    patients.give_consent(services, ANNA, cast.MARIA.id, purpose)
    anna = sign_in(cast.ANNA)
    assert cast.MARIA.phone in anna.get("/invitations").text
    patients.withdraw_consent(services, ANNA, cast.MARIA.id, purpose)
    page = anna.post("/invitations", data={"patient_id": str(cast.MARIA.id)}, follow_redirects=True).text

    assert "The patient has taken the consent back" in page
    assert cast.MARIA.phone not in page
    assert seen(services) == {}

    patients.give_consent(services, ANNA, cast.MARIA.id, purpose)
    assert invitation in seen(services)


def test_another_branch_may_neither_invite_nor_answer(services, invitation):
    with pytest.raises(NotFound):
        service.invite(services, cast.BORIS.who, cast.MARIA.id)
    with pytest.raises(NotFound):
        service.answer_invitation(services, cast.BORIS.who, invitation, "not_reached")
    with pytest.raises(NotFound):
        service.answer_invitation(services, ANNA, new_id(), "not_reached")
    assert seen(services)[invitation].attempts == 0


@pytest.mark.parametrize("person", [cast.VERA, cast.FEDOR, cast.DINA])
def test_no_other_role_sees_the_phones(services, invitation, person):
    with pytest.raises(Forbidden):
        service.invitations(services, person.who)
