"""What a phone recorded offline: applied once, judged by the table and the assignment, nothing silent."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from telemed.clock import iso
from telemed.delivery import rules, service
from telemed.delivery.models import PhoneClash, PhoneEvent
from telemed.errors import Conflict, Forbidden
from telemed.ids import new_id
from telemed.outbox import Job
from telemed.patients import service as patients
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.delivery.made import EGOR, FEDOR, Post


def test_a_hand_over_with_the_slips_secret_is_delivered_and_verified(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    event = post.event(1, parcel_id, proof=post.secret(parcel_id))

    assert post.sync(phone, event) == [("applied", None)]
    assert (post.now(parcel_id).state, post.now(parcel_id).verified, post.finals(parcel_id)) == ("delivered", True, 1)
    with services.db.read() as tx:
        kinds = set(tx.scalars(select(Job.kind)))
    assert {"ParcelDelivered>feedback.offer_rating_of_parcel", "ParcelDelivered>pilot.count_delivered"} <= kinds


def test_without_the_secret_it_is_delivered_unverified(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()

    assert post.sync(phone, post.event(1, parcel_id)) == [("applied", None)]
    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("delivered_unverified", False)


def test_sending_again_is_a_duplicate_and_changes_nothing(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    event = post.event(1, parcel_id)
    post.sync(phone, event)
    version = post.now(parcel_id).version
    answer = service.sync(services, FEDOR, phone, [event, event])

    assert [(r.status, r.was) for r in answer.results] == [("duplicate", "applied")] * 2
    assert (answer.watermark, post.now(parcel_id).version, post.finals(parcel_id)) == (1, version, 1)


def test_the_same_id_with_other_bytes_is_a_conflict_and_both_are_kept(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    event = post.event(1, parcel_id, kind="attempted")
    post.sync(phone, event)
    other = {**event, "reason": "refused"}

    assert post.sync(phone, other, other) == [("conflict", "event_id_reused")] * 2
    assert post.sync(phone, post.event(1, parcel_id)) == [("conflict", "device_seq_reused")]
    assert post.now(parcel_id).state == "attempted"
    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(PhoneClash)) == 2
        assert tx.scalar(select(func.count()).select_from(PhoneEvent)) == 1


def test_the_secret_of_the_square_is_never_locked(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    wrong = [post.event(n, parcel_id, proof=f"{n:032x}") for n in range(1, 9)]

    assert post.sync(phone, *wrong) == [("rejected", "proof_wrong")] * 8
    assert post.sync(phone, post.event(9, parcel_id, proof=post.secret(parcel_id))) == [("applied", None)]
    assert post.now(parcel_id).verified is True


def test_the_proof_of_another_parcel_proves_nothing(post: Post) -> None:
    mine, other, phone = post.parcel("given"), post.parcel("given"), post.phone()
    right = post.secret(other)

    assert post.sync(phone, post.event(1, mine, proof=right)) == [("rejected", "proof_wrong")]
    assert post.sync(phone, post.event(2, other, proof=right)) == [("applied", None)]


def test_the_list_on_the_phone_holds_no_power_to_prove(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    stop = service.open_round(services, FEDOR, phone).stops[0]

    assert stop.proof_hash == hashlib.sha256(post.secret(parcel_id).encode()).hexdigest()
    assert post.sync(phone, post.event(1, parcel_id, proof=stop.proof_hash[:32])) == [("rejected", "proof_wrong")]


def test_a_parcel_of_another_postman_is_refused(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone(cast.ZAKHAR)

    assert post.sync(phone, post.event(1, parcel_id), person=cast.ZAKHAR) == [("rejected", "not_assigned")]
    assert post.sync(phone, post.event(2, new_id()), person=cast.ZAKHAR) == [("rejected", "not_assigned")]
    assert post.now(parcel_id).state == "given"


def test_a_parcel_that_was_taken_back_meanwhile_is_a_conflict(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    service.take_again(services, EGOR, parcel_id)

    assert post.sync(phone, post.event(1, parcel_id)) == [("conflict", "not_assigned_any_more")]
    assert [row.code for row in service.parcels_for_dispatch(services, EGOR).unclear] == ["not_assigned_any_more"]


def test_two_phones_cannot_both_deliver(post: Post) -> None:
    parcel_id, one, two = post.parcel("given"), post.phone(), post.phone()

    assert post.sync(one, post.event(1, parcel_id)) == [("applied", None)]
    assert post.sync(two, post.event(1, parcel_id)) == [("conflict", "parcel_ended")]
    assert post.finals(parcel_id) == 1


def test_a_try_is_followed_by_a_hand_over_whatever_the_order_in_the_batch(post: Post) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    tried = post.event(1, parcel_id, kind="attempted")
    given = post.event(2, parcel_id)

    assert post.sync(phone, given, tried) == [("applied", None), ("applied", None)]
    assert [step.kind for step in post.steps(parcel_id)][-2:] == ["attempt", "hand_over"]


def test_a_patient_met_on_the_way_back_still_gets_the_parcel(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    post.sync(phone, post.event(1, parcel_id, kind="returned", reason="nobody_home"))
    assert post.now(parcel_id).state == "returning"

    assert post.sync(phone, post.event(2, parcel_id, proof=post.secret(parcel_id))) == [("applied", None)]
    assert (post.now(parcel_id).state, service.custody_faults(services)) == ("delivered", [])


def test_a_broken_report_is_answered_by_itself_and_holds_up_nothing(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    broken = post.event(1, parcel_id, kind="eaten")
    answer = service.sync(services, FEDOR, phone, [{"x": "\ud800"}, broken, post.event(2, parcel_id)])

    assert [(r.status, r.code) for r in answer.results] == [
        ("rejected", "event_invalid"), ("applied", None), ("rejected", "event_invalid"),
    ]  # fmt: skip
    assert answer.watermark == 2


def test_the_watermark_waits_for_a_gap_and_never_falls(post: Post, services: Services) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    one, three = post.event(1, parcel_id, "attempted"), post.event(3, parcel_id, "attempted")
    marks = [service.sync(services, FEDOR, phone, batch).watermark for batch in ([one], [three], [])]
    two = post.event(2, parcel_id, "attempted")

    assert marks == [1, 1, 1]
    assert service.sync(services, FEDOR, phone, [two]).watermark == 3


@pytest.mark.parametrize("days", [-4000, -40, 40, 4000])
def test_the_phones_clock_decides_nothing(post: Post, clock: Clock, days: int) -> None:
    parcel_id, phone = post.parcel("given"), post.phone()
    clock.forward(hours=2)
    event = post.event(1, parcel_id, happened_at=iso(clock.now + timedelta(days=days)))

    assert post.sync(phone, event) == [("applied", None)]
    parcel, last = post.now(parcel_id), post.steps(parcel_id)[-1]
    assert last.clock_suspect
    assert parcel.given_at is not None
    assert parcel.ended_at is not None
    assert parcel.given_at <= parcel.ended_at <= clock.now


def test_a_parcel_of_an_erased_patient_is_still_on_the_list_by_its_number(post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    patients.erase_patient(services, cast.MARIA.id)
    stops = service.round_of(services, FEDOR)

    assert [(stop.parcel_id, stop.name) for stop in stops] == [(parcel_id, "")]


def test_a_phone_belongs_to_one_postman_and_can_be_shut_out(post: Post, services: Services) -> None:
    phone = post.phone()
    assert service.register_phone(services, FEDOR, phone) == 0
    with pytest.raises(Conflict, match="phone_of_another"):
        service.register_phone(services, cast.ZAKHAR.who, phone)
    with pytest.raises(Forbidden, match="phone_unknown"):
        post.sync(phone, person=cast.ZAKHAR)
    with pytest.raises(Forbidden, match="phone_unknown"):
        post.sync(new_id())
    service.revoke_phone(services, phone)
    for deed in (
        lambda: post.sync(phone),
        lambda: service.open_round(services, FEDOR, phone),
        lambda: service.register_phone(services, FEDOR, phone),
    ):
        with pytest.raises(Forbidden, match="phone_revoked"):
            deed()


KINDS = [("handed_over", None), ("attempted", "nobody_home"), ("returned", "refused")]
steps = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(KINDS), st.booleans()), min_size=1, max_size=6)


@given(steps, st.randoms(use_true_random=False))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sending_of_any_reports_ends_each_parcel_at_most_once(
    post: Post, services: Services, plan: list[Any], dice: Any
) -> None:
    parcels = [post.parcel("given"), post.parcel("given")]
    phone = post.phone()
    events = [
        post.event(n, parcels[which], kind, reason=reason, proof=post.secret(parcels[which]) if proves else None)
        for n, (which, (kind, reason), proves) in enumerate(plan, 1)
        if not (proves and rules.FINAL & {post.now(parcels[which]).state})
    ]
    sent = [dice.sample(events, k=dice.randint(1, len(events))) for _ in range(3)] + [events, events]
    answers = [service.sync(services, FEDOR, phone, batch) for batch in sent]

    assert all(len(answer.results) == len(batch) for answer, batch in zip(answers, sent, strict=True))
    assert all(result.status == "duplicate" for result in answers[-1].results)
    assert answers[-1].watermark == len(events)
    assert all(post.finals(parcel_id) <= 1 for parcel_id in parcels)
    assert service.custody_faults(services) == []
