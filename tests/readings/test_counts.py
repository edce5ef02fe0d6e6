"""The doctored-values indicator: counts of a branch, never a value, hidden where they are small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from telemed.bootstrap import Application
from telemed.errors import Forbidden
from telemed.pilot import service as pilot
from telemed.pilot.service import BandRow
from telemed.readings import rules, service_counts
from telemed.readings.service import type_in
from telemed.readings.service_counts import Bands, bands_of
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands
from tests.readings.sender import Sender, pressure

SignIn = Callable[[Any], FlaskClient]


@pytest.fixture
def sender(application: Application) -> Sender:
    return Sender(application)


@pytest.fixture
def visit(hands: Hands) -> UUID:
    return hands.visit(cast.MARIA)


def measure(sender: Sender, visit: UUID, *systolics: float, **record: Any) -> None:
    begun = len(sender.items)
    sender.opened(visit)
    for systolic in systolics:
        sender.reading(visit, decoded=pressure(systolic, 60, 70), **record)
    sender.judged(sender.items[begun:])


def count(services: Services, clock: Clock) -> Bands | None:
    """Let the hourly job run, and return the counts of Ozerki."""
    clock.forward(minutes=11)
    with services.db.write() as tx:
        service_counts.count_pressures(services, tx)
    with services.db.read() as tx:
        today = clock().date()
        return bands_of(tx, [cast.OZERKI], today, today).get(cast.OZERKI)


def test_each_pressure_is_counted_once_in_its_band(
    services: Services, sender: Sender, visit: UUID, clock: Clock
) -> None:
    measure(sender, visit, 129.9, 130, 139, 139.9, 140, 149, 150)

    assert count(services, clock) == (7, 3, 2)
    assert count(services, clock) == (7, 3, 2)
    measure(sender, visit, 135, 145)
    assert count(services, clock) == (9, 4, 3)


def test_what_is_no_usable_pressure_is_not_counted(
    services: Services, sender: Sender, visit: UUID, clock: Clock
) -> None:
    measure(sender, visit, 135, verdict="questionable", reasons=["body_movement"])
    measure(sender, visit, 135, verdict="not_a_result")
    sender.judged([sender.reading(visit, **sender.glucose(13.5))])

    assert count(services, clock) is None


def test_a_value_typed_by_a_person_counts(services: Services, visit: UUID, clock: Clock) -> None:
    type_in(services, cast.ANNA.who, visit, "blood_pressure", {"systolic": 139, "diastolic": 80, "pulse": 70})

    assert count(services, clock) == (1, 1, 0)


def test_more_than_one_round_takes_leaves_nothing_out(
    services: Services, sender: Sender, visit: UUID, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_counts, "AT_ONCE", 2)
    for _ in range(3):
        measure(sender, visit, 135, 145, 120)
        clock.forward(seconds=1)
    found = [count(services, clock) for _ in range(3)]

    assert found[-1] == (9, 3, 3)
    assert found[0] != found[-1]


def test_what_an_erased_patients_key_sealed_does_not_stop_the_count(
    services: Services, sender: Sender, visit: UUID, clock: Clock, hands: Hands
) -> None:
    measure(sender, visit, 135)
    measure(sender, hands.visit(cast.IVAN), 135)
    with services.db.write() as tx:
        services.keys.forget(tx, cast.MARIA.id, "clinical", clock())

    assert count(services, clock) == (1, 1, 0)


@pytest.mark.parametrize(
    ("below", "above", "ratio"), [(20, 9, None), (20, 10, 2.0), (15, 15, 1.0), (40, 0, None), (0, 40, 0.0)]
)
def test_a_ratio_needs_enough_readings(below: int, above: int, ratio: float | None) -> None:
    assert rules.band_ratio(below, above) == ratio


def rows(services: Services, who: cast.Person, clock: Clock) -> list[BandRow]:
    return pilot.pressure_bands(services, who.who, clock().date() - timedelta(days=1), clock().date())


def test_the_coordinator_sees_her_regions_branches_and_no_small_count(
    services: Services, sender: Sender, visit: UUID, clock: Clock
) -> None:
    measure(sender, visit, *[135] * 30, *[145] * 4)
    count(services, clock)
    open_row = rows(services, cast.GALINA, clock)[0]
    services.demo = False
    (row,) = rows(services, cast.GALINA, clock)

    assert (open_row.readings, open_row.below, open_row.above, open_row.ratio, open_row.is_odd) == (34, 30, 4, 7.5, True)
    assert (row.place, row.readings, row.below, row.above, row.ratio, row.is_odd) == ("Озерки", 34, 30, None, None, False)
    assert rows(services, cast.KIRA, clock) == []
    with pytest.raises(Forbidden):
        rows(services, cast.ANNA, clock)
    with pytest.raises(Forbidden):
        rows(services, replace(cast.VERA), clock)


def test_the_page_names_an_odd_branch(
    sign_in: SignIn, services: Services, sender: Sender, visit: UUID, clock: Clock
) -> None:
    assert "Are the pressures real?" not in sign_in(cast.GALINA).get("/pilot").text
    measure(sender, visit, *[135] * 30, *[145] * 10)
    count(services, clock)
    page = sign_in(cast.GALINA).get("/pilot")

    assert page.status_code == 200
    assert "3.0" in page.text
    assert "please look" in page.text
