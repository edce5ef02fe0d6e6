"""From the signed prescription to the postman: orders, packing, rounds, returns, cancelling, tracking."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from telemed.crypto import tokens
from telemed.delivery import rules, service
from telemed.delivery.jobs import place_order
from telemed.delivery.models import CustodyEvent, Order, Parcel
from telemed.delivery.service_custody import locked, move
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients.models import Consent
from telemed.prescription import service as prescriptions
from telemed.prescription.events import PrescriptionSigned
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.delivery.made import DINA, EGOR, FEDOR, VERA, Post
from tests.prescription import made


def test_a_signed_prescription_becomes_one_order_with_one_parcel(post: Post, services: Services) -> None:
    prescription_id = post.prescription()
    post.jobs()
    order = post.order_of(prescription_id)
    parcel = post.parcel_of(order.id)

    assert (order.state, parcel.state, parcel.holder) == ("placed", "ordered", "pharmacy")
    assert rules.is_parcel_number(parcel.number)
    assert parcel.number.startswith("17400111")
    assert parcel.proof_hash == tokens.token_hash(post.secret(parcel.id))


def test_placing_the_order_again_changes_nothing(post: Post, services: Services, clock: Clock) -> None:
    prescription_id = post.prescription()
    post.jobs()
    event = PrescriptionSigned(prescription_id, new_id(), cast.MARIA.id, cast.OZERKI, True, clock.now)
    with services.db.write() as tx:
        place_order(services, tx, event)

    with services.db.read() as tx:
        assert len(tx.scalars(select(Order)).all()) == 1


def test_what_the_post_may_not_carry_is_collected_at_the_pharmacy(post: Post, services: Services) -> None:
    parcel_id = post.parcel(items=made.INSULIN)
    parcel = post.now(parcel_id)
    post.pack(parcel.order_id)
    sheet = service.order_items(services, DINA, parcel.order_id)
    secret = post.secret(parcel_id)
    with pytest.raises(Invalid):
        service.hand_to_patient(services, DINA, parcel.order_id, "00" * 16)
    service.hand_to_patient(services, DINA, parcel.order_id, secret)

    assert parcel.state == "collect"
    assert sheet.name == "Ёлкина Мария Петровна"
    assert (post.now(parcel_id).state, post.now(parcel_id).verified) == ("collected", True)


def test_a_consent_withdrawn_after_the_signature_keeps_the_order_from_the_post(
    post: Post, services: Services, clock: Clock
) -> None:
    prescription_id = post.prescription()
    with services.db.write() as tx:
        for consent in tx.scalars(select(Consent)):
            consent.withdrawn_at = clock.now
    post.jobs()

    assert post.parcel_of(post.order_of(prescription_id).id).state == "collect"


def test_parcels_of_a_branch_are_numbered_without_repeats(post: Post) -> None:
    numbers = [post.now(post.parcel()).number for _ in range(3)]

    assert [number[8:13] for number in numbers] == ["00001", "00002", "00003"]


def test_the_count_must_match_before_a_parcel_closes(post: Post, services: Services) -> None:
    order_id = post.now(post.parcel()).order_id
    with pytest.raises(Invalid) as refused:
        service.pack(services, DINA, order_id, ["lorizapril-10"], 2, 100)
    assert refused.value.fields == {"items": "items_not_all_there", "packs": "packs_differ"}
    post.pack(order_id)
    with pytest.raises(Conflict, match="already_packed"):
        post.pack(order_id, made.TABLETS)


def test_an_item_slipped_into_the_order_does_not_leave_by_post(post: Post, services: Services) -> None:
    order_id = post.now(post.parcel()).order_id
    slipped = [{**made.INSULIN[0], "code": "morphalgin-10", "inn": "x", "form": "tablet", "strength": "10 mg"}]
    with services.db.write() as tx:
        order = tx.get_one(Order, order_id)
        services.vault.seal(tx, order, "items", {"items": slipped})
    with pytest.raises(Conflict, match="not_by_post"):
        service.pack(services, DINA, order_id, ["morphalgin-10"], 1, 100)


def test_the_dispatcher_gives_a_packed_parcel_to_a_postman(post: Post, services: Services) -> None:
    parcel_id = post.parcel("packed")
    with pytest.raises(Conflict, match="not_assigned_yet"):
        service.give(services, EGOR, parcel_id)
    service.assign(services, EGOR, parcel_id, cast.FEDOR.id)
    round_id = post.now(parcel_id).round_id
    assert round_id is not None
    assert service.give_round(services, EGOR, round_id) == 1
    assert service.give_round(services, EGOR, round_id) == 0

    steps = [(step.from_holder, step.to_holder, step.kind) for step in post.steps(parcel_id)]
    assert steps == [("pharmacy", "branch", "pack"), ("branch", "postman", "give")]
    assert [stop.name for stop in service.round_of(services, FEDOR)] == ["Ёлкина Мария Петровна"]
    assert service.round_of(services, cast.ZAKHAR.who) == []


def test_a_parcel_on_the_wrong_round_is_taken_off_and_put_on_another(post: Post, services: Services) -> None:
    parcel_id, other = post.parcel("packed"), post.parcel("packed", cast.IVAN)
    for one in (parcel_id, other):
        service.assign(services, EGOR, one, cast.ZAKHAR.id)
    service.take_off(services, EGOR, parcel_id)
    desk = service.parcels_for_dispatch(services, EGOR)
    assert [row.id for row in desk.waiting] == [parcel_id]
    assert [row.id for row in desk.assigned] == [other]
    service.assign(services, EGOR, parcel_id, cast.FEDOR.id)
    service.give(services, EGOR, parcel_id)

    assert (post.now(parcel_id).postman_id, post.now(parcel_id).holder) == (cast.FEDOR.id, "postman")
    assert service.custody_faults(services) == []


def test_what_the_postman_has_in_hands_is_taken_back_and_not_off(post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    with pytest.raises(Conflict, match="already_given"):
        service.take_off(services, EGOR, parcel_id)

    assert post.now(parcel_id).postman_id == cast.FEDOR.id


def test_an_order_packed_by_mistake_is_opened_and_packed_anew(post: Post, services: Services) -> None:
    parcel_id = post.parcel("packed")
    order_id = post.now(parcel_id).order_id
    service.unpack(services, DINA, order_id)
    assert (post.now(parcel_id).state, post.now(parcel_id).holder) == ("ordered", "pharmacy")
    assert service.parcels_for_dispatch(services, EGOR).waiting == []
    post.pack(order_id)

    assert (post.now(parcel_id).state, service.custody_faults(services)) == ("packed", [])


def test_a_parcel_on_a_round_is_not_opened_behind_the_dispatchers_back(post: Post, services: Services) -> None:
    on_a_round, given = post.parcel("assigned"), post.parcel("given", cast.IVAN)
    for parcel_id, code in ((on_a_round, "on_a_round"), (given, "already_given")):
        with pytest.raises(Conflict, match=code):
            service.unpack(services, DINA, post.now(parcel_id).order_id)


def test_what_waits_to_be_collected_is_opened_again_too(post: Post, services: Services) -> None:
    parcel_id = post.parcel(items=made.INSULIN)
    order_id = post.now(parcel_id).order_id
    post.pack(order_id)
    service.unpack(services, DINA, order_id)

    assert (post.now(parcel_id).state, service.custody_faults(services)) == ("collect", [])


def test_a_round_needs_a_postman_of_the_region_and_a_day_soon(post: Post, services: Services) -> None:
    parcel_id = post.parcel("packed")
    for postman, day, field in (
        (None, None, "postman_id"),
        (new_id(), None, "postman_id"),
        (cast.ANNA.id, None, "postman_id"),
        (cast.FEDOR.id, date(2026, 11, 22), "day"),
        (cast.FEDOR.id, date(2026, 12, 31), "day"),
    ):
        with pytest.raises(Invalid) as refused:
            service.assign(services, EGOR, parcel_id, postman, day)
        assert list(refused.value.fields) == [field]


def test_a_parcel_that_came_back_waits_for_another_round_or_goes_to_the_pharmacy(
    post: Post, services: Services
) -> None:
    again, back = post.parcel("given"), post.parcel("given", cast.IVAN)
    service.take_again(services, EGOR, again)
    service.take_back(services, EGOR, back)

    assert (post.now(again).state, post.now(again).postman_id) == ("packed", None)
    assert (post.now(back).state, post.now(back).holder, post.finals(back)) == ("returned", "pharmacy", 1)
    assert service.round_of(services, FEDOR) == []
    with pytest.raises(Conflict, match="parcel_ended"):
        service.lose(services, EGOR, back)


def test_cancelling_before_the_postman_has_it_cancels_the_order(post: Post, services: Services) -> None:
    prescription_id = post.prescription()
    post.jobs()
    prescriptions.cancel(services, VERA, prescription_id)
    post.jobs()
    order = post.order_of(prescription_id)

    assert (order.state, post.parcel_of(order.id).state) == ("cancelled", "cancelled")
    with pytest.raises(Conflict, match="order_cancelled"):
        post.pack(order.id)


def test_cancelling_at_once_places_no_order(post: Post, services: Services) -> None:
    prescription_id = post.prescription()
    prescriptions.cancel(services, VERA, prescription_id)
    post.jobs()

    with services.db.read() as tx:
        assert tx.scalars(select(Order)).all() == []


def test_a_parcel_that_is_out_is_called_back_when_the_prescription_is_cancelled(
    post: Post, services: Services
) -> None:
    parcel_id = post.parcel("given")
    with services.db.read() as tx:
        prescription_id = tx.get_one(Order, post.now(parcel_id).order_id).prescription_id
    prescriptions.cancel(services, VERA, prescription_id)
    post.jobs()

    assert post.now(parcel_id).state == "given"
    assert service.round_of(services, FEDOR)[0].flags == ["document", "recalled"]
    with pytest.raises(Conflict, match="parcel_recalled"):
        service.take_again(services, EGOR, parcel_id)
    service.take_back(services, EGOR, parcel_id)
    assert service.custody_faults(services) == []


def test_a_second_final_step_is_impossible_in_the_database_itself(post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    service.lose(services, EGOR, parcel_id)
    with services.db.write() as tx:
        tx.get_one(Parcel, parcel_id).state = "given"  # as if the rule above the constraint had failed
    with pytest.raises(IntegrityError):
        service.take_back(services, EGOR, parcel_id)


def test_an_illegal_step_changes_nothing(post: Post, services: Services) -> None:
    parcel_id = post.parcel("packed")
    with pytest.raises(Conflict, match="step_not_legal"), services.db.write() as tx:
        move(services, tx, locked(tx, parcel_id), "prove", actor_id=cast.FEDOR.id)

    assert post.now(parcel_id).state == "packed"


def test_the_patient_follows_the_own_parcel_only(post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    mine = service.parcels_of_patient(services, cast.MARIA.who)

    assert [(view.id, view.state, view.is_over) for view in mine] == [(parcel_id, "given", False)]
    assert service.parcels_of_patient(services, cast.IVAN.who) == []
    with pytest.raises(Forbidden):
        service.parcels_of_patient(services, FEDOR)


def test_the_slip_is_for_the_patient_and_the_clerk_of_the_branch(post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    assert service.slip(services, cast.MARIA.who, parcel_id) == service.slip(services, cast.ANNA.who, parcel_id)
    for who, error in (
        (cast.IVAN.who, NotFound),
        (cast.BORIS.who, NotFound),
        (FEDOR, Forbidden),
        (EGOR, Forbidden),
        (DINA, Forbidden),
        (VERA, Forbidden),
    ):
        with pytest.raises(error):
            service.slip(services, who, parcel_id)
    service.lose(services, EGOR, parcel_id)
    with pytest.raises(Conflict, match="parcel_ended"):
        service.slip(services, cast.MARIA.who, parcel_id)


def test_the_counter_sees_states_of_the_own_branch(post: Post, services: Services) -> None:
    parcel_id = post.parcel("packed")
    with services.db.read() as tx:
        visit_id = tx.get_one(Order, post.now(parcel_id).order_id).visit_id
    assert visit_id is not None

    assert [view.state for view in service.parcels_of_visit(services, cast.ANNA.who, visit_id)] == ["packed"]
    with pytest.raises(NotFound):
        service.parcels_of_visit(services, cast.RITA.who, visit_id)


@pytest.mark.parametrize(
    "deed",
    [
        lambda s, p, o: service.orders_to_pack(s, EGOR),
        lambda s, p, o: service.order_items(s, EGOR, o),
        lambda s, p, o: service.order_items(s, cast.ANNA.who, o),
        lambda s, p, o: service.pack(s, FEDOR, o, [], 0, 0),
        lambda s, p, o: service.parcels_for_dispatch(s, DINA),
        lambda s, p, o: service.assign(s, FEDOR, p, cast.FEDOR.id),
        lambda s, p, o: service.give(s, cast.ANNA.who, p),
        lambda s, p, o: service.take_back(s, FEDOR, p),
        lambda s, p, o: service.round_of(s, EGOR),
    ],
)
def test_each_desk_keeps_to_its_own_work(post: Post, services: Services, deed: Callable[..., object]) -> None:
    parcel_id = post.parcel("packed")
    with pytest.raises(Forbidden):
        deed(services, parcel_id, post.now(parcel_id).order_id)


def test_unknown_parcels_and_orders_look_missing(services: Services) -> None:
    for deed in (
        lambda: service.order_items(services, DINA, new_id()),
        lambda: service.give(services, EGOR, new_id()),
        lambda: service.give_round(services, EGOR, new_id()),
        lambda: service.slip(services, cast.MARIA.who, new_id()),
    ):
        with pytest.raises(NotFound):
            deed()


def test_names_addresses_and_medicines_are_sealed(post: Post, services: Services) -> None:
    parcel_id = post.parcel()
    with services.db.read() as tx:
        order = tx.get_one(Order, post.now(parcel_id).order_id)
        parcel = tx.get_one(Parcel, parcel_id)
        plain = repr([{c.name: getattr(row, c.name) for c in row.__table__.columns} for row in (order, parcel)])

    for word in ("Ёлкина", "Лесная", "lorizapril", post.secret(parcel_id)):
        assert word not in plain


def test_custody_that_does_not_add_up_is_reported(post: Post, services: Services) -> None:
    parcel_id = post.parcel("given")
    assert service.custody_faults(services) == []
    with services.db.write() as tx:
        tx.get_one(Parcel, parcel_id).holder = "patient"
        tx.delete(tx.scalars(select(CustodyEvent).where(CustodyEvent.kind == "pack")).one())

    assert len(service.custody_faults(services)) == 3
