"""Cases of the Lake region: a second doctor, the queue, and a case that Vera has taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from telemed.access.relations import Principal
from telemed.consultation import service
from telemed.services import Services
from tests import cast
from tests.consultation.call_relay import browser, other, page, relay  # noqa: F401 - two pages of a call
from tests.make import Hands

SECOND = cast.Person("vera2", "doctor", "Валентина Морозова", None, cast.LAKE)


@pytest.fixture
def second(hands: Hands) -> Principal:
    """A second doctor of the Lake region."""
    with hands.services.db.write() as tx:
        hands._account(tx, SECOND, "-")
    return SECOND.who


@pytest.fixture
def queue_up(services: Services, hands: Hands) -> Callable[..., UUID]:
    """Put a villager's case into the queue."""

    def queue_up(villager: cast.Villager = cast.MARIA, level: str = "YELLOW", **more: Any) -> UUID:
        visit = hands.visit(villager, state="ready", **more)
        with services.db.write() as tx:
            case_id = service.queue_case(services, tx, visit, level)
        assert case_id is not None
        return case_id

    return queue_up


@pytest.fixture
def case(queue_up: Callable[..., UUID], services: Services) -> UUID:
    """Maria's case, taken by Vera."""
    case_id = queue_up()
    service.take(services, cast.VERA.who, case_id)
    return case_id
