"""A branch with two corners: an order goes to the visit's own gateway, no reading lands at the neighbour's."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from telemed.bootstrap import Application
from telemed.branches.models import Corner, GatewayOrder, Kit, Meter
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.errors import Conflict
from telemed.ids import new_id
from telemed.services import Services
from tests import cast
from tests.make import Hands
from tests.readings.sender import Sender


@pytest.fixture
def other_meter(hands: Hands) -> UUID:
    """Furnish a second corner with its own kit; return its pressure meter."""
    hands.add(Corner(id=new_id(), branch_id=cast.OZERKI, name="2"))
    kit_id = hands.add(Kit(id=new_id(), branch_id=cast.OZERKI, name="2"))
    return hands.add(
        Meter(
            id=new_id(), branch_id=cast.OZERKI, kit_id=kit_id, kind="blood_pressure", name="SIM-BP-2",
            enrolled_at=hands.clock(),
        )
    )  # fmt: skip


def opened(services: Services, villager: cast.Villager) -> Visit:
    visit_id = checkup.open_visit(services, cast.ANNA.who, villager.id, cast.OZERKI, "document")
    with services.db.read() as tx:
        return tx.get_one(Visit, visit_id)


def of_meter(sender: Sender, meter_id: UUID) -> dict[str, object]:
    return {"meter": {**sender.record()["meter"], "enrolment_id": str(meter_id)}}


def orders_of(services: Services, sender: Sender, visit: Visit) -> list[str]:
    with services.db.read() as tx:
        found = tx.scalars(select(GatewayOrder).where(GatewayOrder.gateway_id == sender.id).order_by(GatewayOrder.no))
        return [order.kind for order in found if order.body.get("visit_id") == str(visit.id)]


def test_two_visits_have_each_their_corner_kit_and_gateway(
    application: Application, services: Services, other_meter: UUID
) -> None:  # fmt: skip
    senders = [Sender(application), Sender(application)]
    first, second = opened(services, cast.MARIA), opened(services, cast.IVAN)

    assert first.corner_id != second.corner_id
    assert first.kit_id != second.kit_id
    assert {first.gateway_id, second.gateway_id} == {sender.id for sender in senders}


def test_an_order_to_measure_and_the_end_reach_the_visits_own_gateway(
    application: Application, services: Services, other_meter: UUID
) -> None:  # fmt: skip
    senders = {sender.id: sender for sender in (Sender(application), Sender(application))}
    first, second = opened(services, cast.MARIA), opened(services, cast.IVAN)
    assert first.gateway_id is not None
    assert second.gateway_id is not None
    Sender(application)  # a third joins in the middle, and is the branch's newest

    for visit in (first, second):
        checkup.close_visit(services, cast.ANNA.who, visit.id)
    assert orders_of(services, senders[first.gateway_id], first) == ["open_visit", "close_visit"]
    assert orders_of(services, senders[second.gateway_id], second) == ["open_visit", "close_visit"]
    assert orders_of(services, senders[first.gateway_id], second) == []


def test_a_neighbours_meter_heard_by_this_corners_gateway_is_put_aside(
    application: Application, services: Services, other_meter: UUID
) -> None:  # fmt: skip
    sender = Sender(application)
    visit = opened(services, cast.MARIA)
    sender.post([sender.opened(visit.id)])
    own = sender.reading(visit.id)
    assert sender.judged([own])[0][0] == "accepted"

    strange = sender.reading(visit.id, **of_meter(sender, other_meter))
    assert sender.judged([strange])[0][:2] == ("quarantined", "visit_at_other_corner")


def test_a_gateway_that_stamps_the_other_ones_visit_gives_it_nothing(
    application: Application, services: Services, other_meter: UUID
) -> None:  # fmt: skip
    senders = {sender.id: sender for sender in (Sender(application), Sender(application))}
    visit = opened(services, cast.MARIA)
    stranger = next(sender for one, sender in senders.items() if one != visit.gateway_id)
    stranger.post([stranger.opened(visit.id)])

    assert stranger.judged([stranger.reading(visit.id)])[0][:2] == ("quarantined", "visit_at_other_corner")


def test_one_gateway_never_holds_two_visits_for_the_second_would_get_the_firsts_readings(
    application: Application, services: Services, other_meter: UUID
) -> None:  # fmt: skip
    Sender(application)
    first = opened(services, cast.MARIA)

    with pytest.raises(Conflict) as refused:
        opened(services, cast.IVAN)
    assert refused.value.code == "corner_busy"

    checkup.close_visit(services, cast.ANNA.who, first.id)
    assert opened(services, cast.IVAN).gateway_id == first.gateway_id
