"""The call list: three tries, a reason for every no, and a booking that answers the call by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from telemed.booking import rules, service
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from tests import cast

ANNA = cast.ANNA.who


@pytest.fixture
def invitation(services):
    return service.invite(services, ANNA, cast.MARIA.id, "hypertension")


def seen(services, who=ANNA):
    return {view.id: view for view in service.invitations(services, who)}


def test_a_patient_is_on_the_list_of_the_home_branch_with_a_phone(services, invitation):
    view = seen(services)[invitation]

    assert (view.patient_id, view.phone, view.reason) == (cast.MARIA.id, cast.MARIA.phone, "hypertension")
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
        assert service.invite(services, ANNA, cast.MARIA.id, "check_up", invitation_id) == invitation_id

    assert len(seen(services)) == 1
    with pytest.raises(Conflict) as refused:
        service.invite(services, ANNA, cast.IVAN.id, "check_up", invitation_id)
    assert refused.value.code == "invitation_id_used"


def test_a_patient_who_is_still_to_be_called_is_on_the_list_once(services, invitation):
    assert service.invite(services, ANNA, cast.MARIA.id, "check_up") == invitation
    service.answer_invitation(services, ANNA, invitation, "refused", "no_time")

    assert service.invite(services, ANNA, cast.MARIA.id, "check_up") != invitation


def test_an_unknown_reason_is_refused(services):
    with pytest.raises(Invalid):
        service.invite(services, ANNA, cast.MARIA.id, "curiosity")


def test_another_branch_may_neither_invite_nor_answer(services, invitation):
    with pytest.raises(NotFound):
        service.invite(services, cast.BORIS.who, cast.MARIA.id, "check_up")
    with pytest.raises(NotFound):
        service.answer_invitation(services, cast.BORIS.who, invitation, "not_reached")
    with pytest.raises(NotFound):
        service.answer_invitation(services, ANNA, new_id(), "not_reached")
    assert seen(services)[invitation].attempts == 0


@pytest.mark.parametrize("person", [cast.VERA, cast.FEDOR, cast.DINA])
def test_no_other_role_sees_the_phones(services, invitation, person):
    with pytest.raises(Forbidden):
        service.invitations(services, person.who)
