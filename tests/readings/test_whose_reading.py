"""No reading enters the record of another patient, whatever meters, clocks, lines and clerks do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from devices import session
from telemed.bootstrap import Application
from telemed.readings import service_judge
from tests import cast
from tests.readings.corners import STRANGER, Gateway, Region, Visit

NEIGHBOURS = (cast.MARIA, cast.IVAN)
IS_LATE = 0.3


def old_memory(region: Region, gateway: Gateway) -> None:
    """Strangers measured hours or days ago; nobody fetched it."""
    for _ in range(region.chance.randint(1, 3)):
        region.measure(region.own, STRANGER, ago=timedelta(minutes=region.chance.randint(20, 5000)))


def stranger_before(region: Region, gateway: Gateway) -> None:
    """Somebody tries the meter while no visit is open, and it cannot reach the gateway. Who then sits down for a visit
    needs half a minute: what is measured within it before the opening counts as the patient's.
    """
    region.measure(region.own, STRANGER)
    region.later(32)


def meter_clock_off(region: Region, gateway: Gateway) -> None:
    """The meter's clock is minutes or hours off, from its next result on; it was emptied before."""
    gateway.fetch(region.own)
    region.own.error = timedelta(seconds=region.chance.choice((-1, 1)) * region.chance.randint(1, 10_000))


def meter_clock_set(region: Region, gateway: Gateway) -> None:
    """The gateway sets the meter's clock, then the link breaks before anything arrived."""
    gateway.fetch(region.own, first=0)
    region.own.error = gateway.error


def gateway_clock_off(region: Region, gateway: Gateway) -> None:
    """The computer's clock is set, rightly or wrongly."""
    gateway.error = timedelta(seconds=region.chance.randint(-20_000, 20_000))


def meter_of_another_branch(region: Region, gateway: Gateway) -> None:
    """A carried-over meter with a result of its own branch's patient is used here."""
    region.measure(region.foreign, cast.PELAGEYA.id)
    gateway.fetch(region.foreign)


def link_lost(region: Region, gateway: Gateway) -> None:
    """Some packets arrive, their confirmations do not: the same come again."""
    gateway.fetch(region.own, first=region.chance.randint(0, 2))


def pause(region: Region, gateway: Gateway) -> None:
    """Minutes pass."""
    region.later(region.chance.randint(30, 900))


def nothing(region: Region, gateway: Gateway) -> None:
    """All goes well."""


BEFORE = (old_memory, stranger_before, meter_clock_off, meter_clock_set, gateway_clock_off, pause, nothing)
DURING = (meter_clock_set, gateway_clock_off, meter_of_another_branch, link_lost, nothing, nothing)


def back_to_back(region: Region) -> None:
    """Two patients one after the other, with trouble before, during and between; sometimes the line is down."""
    chance, gateway = region.chance, region.chance.choice(region.gateways)
    if gateway.session.open_visit_id is None:
        chance.choice(BEFORE)(region, gateway)
    for villager in chance.sample(NEIGHBOURS, 2):
        visit = Visit(region, villager)
        visit.open()
        for _ in range(chance.randint(1, 3)):
            region.later(chance.randint(0, 90))
            if chance.random() < 0.8:
                visit.ask()
            region.measure(region.own, visit.whose, is_wanted=True)
            chance.choice(DURING)(region, gateway)
            if chance.random() >= IS_LATE:  # else after the visit, or in the next one
                gateway.fetch(region.own)
        region.later(chance.choice((2, 10, 60)))  # who ends a visit sees the result first
        is_closed = chance.random() < 0.7  # else the order is lost: the next visit's opening ends this one
        if is_closed:
            visit.close()
        region.later(chance.choice((0, 2, 20, 60, 400)))
        trouble = chance.choice(BEFORE) if chance.random() < 0.3 else nothing
        if is_closed or trouble is not stranger_before:  # on the seat of an open visit sits its patient
            trouble(region, gateway)
    if chance.random() < 0.2:  # days without a line, then everything at once
        region.later(chance.randint(1, 5) * 86_400)
    for other in region.gateways:
        other.deliver()


class Week:
    """Many sessions in one region."""

    def __init__(self, application: Application, folder: Path, stack: ExitStack) -> None:
        self.make: Callable[[int], Region] = lambda seed: Region(application, folder, seed, stack)

    def pass_by(self, sessions: int, seed: int) -> Region:
        region = self.make(seed)
        for _ in range(sessions):
            back_to_back(region)
            region.later(region.chance.choice((0, 60, 3600)))
        for gateway in region.gateways:
            gateway.fetch(region.own)
            gateway.deliver()
        return region


@pytest.fixture
def week(application: Application, tmp_path: Path) -> Iterator[Week]:
    with ExitStack() as stack:
        yield Week(application, tmp_path, stack)


def check(region: Region) -> None:
    assert region.wrong_patients() == []
    assert region.is_all_kept()
    assert len(region.filed & region.wanted) > 0.1 * len(region.wanted), "the rule must not win by refusing everybody"


def test_no_adversarial_session_gives_a_reading_to_another_patient(week: Week) -> None:
    check(week.pass_by(100, seed=1))


def test_the_same_patients_without_trouble_get_all_their_readings(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    for troubles in ("BEFORE", "DURING"):
        monkeypatch.setattr(sys.modules[__name__], troubles, (nothing,))
    monkeypatch.setattr(sys.modules[__name__], "IS_LATE", 0.0)
    region = week.pass_by(30, seed=1)

    assert region.wrong_patients() == []
    assert region.filed == region.wanted


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_thousand_adversarial_sessions_give_no_reading_to_another_patient(week: Week, seed: int) -> None:
    check(week.pass_by(100, seed))


def test_without_the_window_the_same_sessions_fill_wrong_records(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "belongs", lambda *_: True)
    monkeypatch.setattr(service_judge.rules, "quarantine_reason", lambda *_, **__: None)

    assert week.pass_by(20, seed=1).wrong_patients()


def test_without_the_rule_for_neighbours_the_same_sessions_fill_wrong_records(
    week: Week, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "NEIGHBOUR_WITHIN", timedelta(0))

    assert week.pass_by(50, seed=1).wrong_patients()
