"""The funnel: each step once, per branch, small counts hidden, a CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from telemed.branches.models import Branch
from telemed.checkup.events import VisitOpened
from telemed.consultation import service as consultation
from telemed.consultation.events import ConsultationEnded
from telemed.delivery.events import ParcelDelivered
from telemed.errors import Forbidden, Invalid
from telemed.feedback import service as feedback
from telemed.ids import new_id
from telemed.pilot import rules, service
from telemed.pilot.models import JourneyFact
from telemed.readings.events import SeriesComplete
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.delivery.made import Post
from tests.make import Hands

SignIn = Callable[[cast.Person | cast.Villager], FlaskClient]


def happen(services: Services, *events: Any) -> None:
    with services.db.write() as tx:
        services.publish(tx, *events)


def count(services: Services, step: str, times: int, branch_id: UUID = cast.OZERKI) -> None:
    with services.db.write() as tx:
        for _ in range(times):
            service.count(services, tx, step, new_id(), branch_id, services.clock())


def counts(services: Services, who: Any = cast.GALINA.who) -> dict[str, dict[str, int | None]]:
    return {row.place: row.counts for row in service.funnel(services, who).rows}


# --- counting -----------------------------------------------------------------------------------------------------


def test_a_person_counts_once_at_every_step_however_often_it_happens(
    services: Services, hands: Hands, jobs: Callable[[], int], clock: Clock
) -> None:
    post = Post(services, hands, jobs)
    for _ in range(2):
        visit = hands.visit(state="closed")
        happen(services, VisitOpened(visit, cast.MARIA.id, cast.OZERKI, None, clock()))
        happen(services, SeriesComplete(visit, cast.MARIA.id, cast.OZERKI, clock()))
        case = take_after(services, clock, visit, minutes=12)
        happen(
            services,
            ConsultationEnded(case, visit, cast.MARIA.id, cast.OZERKI, cast.LAKE, "treated", clock()),
        )
        jobs()
    parcel = post.parcel("given")
    happen(services, ParcelDelivered(parcel, new_id(), cast.MARIA.id, cast.OZERKI, True, clock()))
    jobs()
    for ticket in feedback.tickets_of_patient(services, cast.MARIA.who):
        feedback.rate(services, ticket.token, 5, "yes", "")
    jobs()

    assert counts(services)["Озерки"] == dict.fromkeys(rules.STEPS, 1)
    assert counts(services)["Сосново"] == dict.fromkeys(rules.STEPS, 0)


def take_after(services: Services, clock: Clock, visit: UUID, minutes: int) -> UUID:
    """Let a case wait for some minutes, then let Vera take it and talk for half an hour; return the case."""
    with services.db.write() as tx:
        case = consultation.queue_case(services, tx, visit, "GREEN")
    assert case is not None
    clock.forward(minutes=minutes)
    consultation.take(services, cast.VERA.who, case)
    clock.forward(minutes=30)
    return case


def test_waiting_ends_when_a_doctor_takes_the_case(services: Services, hands: Hands, clock: Clock) -> None:
    take_after(services, clock, hands.visit(state="ready"), minutes=12)

    assert service.funnel(services, cast.GALINA.who).total.waiting_min == 12


def test_who_walks_in_and_goes_to_the_doctor_unmeasured_is_in_every_earlier_step(
    services: Services, hands: Hands, jobs: Callable[[], int], clock: Clock
) -> None:
    visit = hands.visit(state="ready")
    happen(services, ConsultationEnded(new_id(), visit, cast.MARIA.id, cast.OZERKI, cast.LAKE, "treated", clock()))
    jobs()

    found = counts(services)["Озерки"]
    assert [found[step] for step in rules.STEPS] == [1, 1, 1, 1, 1, 0, 0, 0]


def test_a_visit_of_the_wrong_person_counts_for_nobody(
    services: Services, hands: Hands, jobs: Callable[[], int], clock: Clock
) -> None:
    visit = hands.visit(state="closed", ending="wrong_person")
    happen(services, VisitOpened(visit, cast.MARIA.id, cast.OZERKI, None, clock()))
    jobs()

    assert counts(services)["Озерки"]["came"] == 0


def test_who_was_seen_at_two_branches_counts_once_in_the_region(
    services: Services, hands: Hands, jobs: Callable[[], int], clock: Clock
) -> None:
    for branch in (cast.OZERKI, cast.SOSNOVO):
        visit = hands.visit(state="closed", branch_id=branch)
        happen(services, VisitOpened(visit, cast.MARIA.id, branch, None, clock()))
    jobs()

    found = service.funnel(services, cast.GALINA.who)
    assert [row.counts["came"] for row in found.rows] == [1, 1]
    assert found.total.counts["came"] == 1


PEOPLE = [UUID(int=number) for number in range(1, 6)]


@given(st.dictionaries(st.sampled_from(rules.STEPS), st.sets(st.sampled_from(PEOPLE))))
def test_each_step_is_a_part_of_the_one_before(raw: dict[str, set[UUID]]) -> None:
    nested = rules.nested(raw)

    assert list(nested) == list(rules.STEPS)
    for earlier, later in pairwise(rules.STEPS):
        assert nested[later] <= nested[earlier]
    for step in rules.STEPS[:-1]:
        assert raw.get(step, set()) <= nested[step]
    assert nested["rated"] == raw.get("rated", set()) & raw.get("delivered", set())


def test_a_patient_who_was_not_reached_was_not_consulted(services: Services, jobs: Callable[[], int]) -> None:
    happen(
        services,
        ConsultationEnded(new_id(), new_id(), cast.MARIA.id, cast.OZERKI, cast.LAKE, "not_reached", services.clock()),
    )
    jobs()

    assert counts(services)["Озерки"]["consulted"] == 0


def test_facts_hold_no_patient(services: Services) -> None:
    count(services, "came", 1)
    with services.db.read() as tx:
        [fact] = tx.scalars(select(JourneyFact))

    assert not {"patient_id", "name"} & set(vars(fact))


# --- who sees what ------------------------------------------------------------------------------------------------


def test_a_coordinator_sees_her_region_and_the_auditor_all(services: Services) -> None:
    count(services, "came", 7)
    count(services, "came", 9, cast.RECHNOYE)

    assert {place: row["came"] for place, row in counts(services).items()} == {"Озерки": 7, "Сосново": 0}
    assert {place: row["came"] for place, row in counts(services, cast.KIRA.who).items()} == {"Речное": 9}
    assert service.funnel(services, cast.TAMARA.who).total.counts["came"] == 16
    for who in (cast.ANNA.who, cast.VERA.who, cast.OLEG.who, cast.MARIA.who):
        with pytest.raises(Forbidden):
            service.funnel(services, who)


def test_small_counts_are_hidden_outside_a_demo(services: Services) -> None:
    count(services, "came", 1)
    count(services, "measured", 4)
    assert counts(services)["Озерки"]["measured"] == 4

    services.demo = False
    assert counts(services)["Озерки"]["came"] == 5
    assert counts(services)["Озерки"]["measured"] is None
    assert counts(services)["Озерки"]["rated"] == 0
    assert service.funnel(services, cast.GALINA.who).total.counts["measured"] is None


def test_a_hidden_count_is_not_the_total_less_the_rest(services: Services) -> None:
    services.demo = False
    count(services, "came", 3, cast.OZERKI)
    count(services, "came", 9, cast.SOSNOVO)

    found = service.funnel(services, cast.GALINA.who)
    assert found.total.counts["came"] == 12
    assert [row.counts["came"] for row in found.rows] == [None, None]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([None, 9, 7, 0], [None, 9, None, 0]),
        ([None, None, 7], [None, None, 7]),
        ([8, 7], [8, 7]),
        ([None, 0], [None, 0]),
    ],
)
def test_a_lonely_hidden_count_hides_a_second(given: Sequence[int | None], shown: list[int | None]) -> None:
    assert rules.hide_the_lonely(given) == shown


def test_medians_of_few_are_hidden_too(services: Services, clock: Clock) -> None:
    with services.db.write() as tx:
        for hours in (10, 20, 40, 80):
            began = clock() - timedelta(hours=hours)
            service.count(services, tx, "delivered", new_id(), cast.OZERKI, clock(), started_at=began)
    assert service.funnel(services, cast.GALINA.who).total.delivery_h == 30

    services.demo = False
    assert service.funnel(services, cast.GALINA.who).total.delivery_h is None


# --- the period ---------------------------------------------------------------------------------------------------


def test_days_are_the_regions_days(services: Services, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=21, minute=30)  # half past midnight in Moscow
    count(services, "came", 1)

    def came(day: date) -> int | None:
        return service.funnel(services, cast.GALINA.who, day, day).total.counts["came"]

    assert [came(date(2026, 11, 23)), came(date(2026, 11, 24))] == [0, 1]


@pytest.mark.parametrize(
    ("from_day", "to_day"),
    [
        (date(2026, 11, 24), date(2026, 11, 23)),
        (date(2010, 1, 1), date(2026, 1, 1)),
        (date.min, date.min),
        (None, date.min),
        (date.max, date.max),
        (date(2026, 1, 1), date.max),
    ],
)
def test_a_period_that_is_none_is_refused(services: Services, from_day: date | None, to_day: date) -> None:
    with pytest.raises(Invalid) as refused:
        service.funnel(services, cast.GALINA.who, from_day, to_day)

    assert refused.value.fields == {"from": "period_invalid"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200), ("?from=2026-11-01&to=2026-11-23", 200), ("?from=&to=", 200), ("?from=yesterday", 422),
        ("?to=2026-13-01", 422), ("?from=2026-11-24&to=2026-11-01", 422), ("?from=9999-12-31&to=9999-12-31", 422),
        ("?from=0001-01-01&to=0001-01-01", 422), ("?to=0001-01-01", 422),
    ],
)  # fmt: skip
def test_the_page_and_its_csv_take_a_period(sign_in: SignIn, query: str, status: int) -> None:
    galina = sign_in(cast.GALINA)

    assert galina.get(f"/pilot{query}").status_code == status
    assert galina.get(f"/pilot.csv{query}").status_code == status


def test_the_page_is_for_coordinator_and_auditor(sign_in: SignIn) -> None:
    assert sign_in(cast.GALINA).get("/pilot").status_code == 200
    assert sign_in(cast.TAMARA).get("/pilot").status_code == 200
    assert sign_in(cast.ANNA).get("/pilot").status_code == 403
    assert sign_in(cast.ANNA).get("/pilot.csv").status_code == 403


# --- the CSV ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "head"),
    [
        ("ru", ("Отделение", "Пришли", "Измерены или сразу к врачу")),
        ("be", ("Аддзяленне", "Прыйшлі", "Вымераны або адразу да ўрача")),
    ],
)
def test_the_csv_says_the_same_as_the_page_in_its_words(
    services: Services, sign_in: SignIn, language: str, head: tuple[str, str, str]
) -> None:
    count(services, "came", 5)
    count(services, "measured", 2)
    services.demo = False
    galina = sign_in(cast.GALINA)
    galina.set_cookie("lang", language)
    text = galina.get("/pilot.csv").get_data(as_text=True)
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), delimiter=";"))

    assert text.startswith("\ufeff")
    assert re.findall(r"[A-Za-z]+", text) == []
    assert [tuple(row[name] for name in head) for row in rows] == [
        ("Озерки", "7", "<5"), ("Сосново", "0", "0"), ("", "7", "<5")
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "+7", "-2", "@sum", "\tx", "\rx"])
def test_no_cell_is_a_formula(services: Services, sign_in: SignIn, name: str) -> None:
    with services.db.write() as tx:
        tx.execute(update(Branch).where(Branch.id == cast.OZERKI).values(place=name))

    assert rules.safe_cell(name).startswith("'")
    assert rules.safe_cell("Озерки") == "Озерки"
    assert f"'{name}" in sign_in(cast.GALINA).get("/pilot.csv").get_data(as_text=True)
