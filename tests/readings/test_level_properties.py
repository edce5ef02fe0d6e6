"""What holds of a visit's level whatever happens on the way: it follows what was measured and when, never when it came;
what is damaged or absent never makes GREEN; and no reading gets into a visit in which it was not measured.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemed.bootstrap import Application
from telemed.checkup import rules as series
from telemed.checkup import service as checkup
from telemed.clock import iso
from telemed.readings import rules, service
from telemed.readings.rules import Case, VisitSpan, triage
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.readings.sender import Sender, pressure

ORDER = ("GREEN", "UNKNOWN", "YELLOW", "AMBER", "RED")
CALM = {"symptoms": [], "fasting": True, "arm": "left", "cuff": "medium"}
NOON = datetime(2026, 11, 23, 9, tzinfo=UTC)
SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

pressures = st.tuples(st.sampled_from([84, 118, 128, 139, 152, 181, 204]), st.sampled_from([58, 78, 92, 112]))
glucoses = st.sampled_from([2.4, 3.5, 5.5, 7.2, 12.0, 21.0])
DAMAGE: dict[str, dict[str, Any]] = {
    "whole": {}, "doubtful": {"verdict": "questionable", "reasons": ["body_movement"]},
    "no number": {"verdict": "not_a_result", "reasons": ["no_pressure"]},
}  # fmt: skip
measured = st.one_of(
    st.tuples(st.just("blood_pressure"), pressures, st.sampled_from(sorted(DAMAGE))),
    st.tuples(st.just("glucose"), glucoses, st.sampled_from(["whole", "other strip", "no number"])),
)


@pytest.fixture
def sender(application: Application, services: Services) -> Sender:
    """The gateway; Maria has been measured before, so that each of her visits begins alike."""
    sender = Sender(application)
    with_arm = visit_of(services)
    sender.opened(with_arm)
    sender.reading(with_arm, decoded=pressure(128, 78, 70))
    sender.judged()
    leave(services, sender, with_arm)
    return sender


def visit_of(services: Services) -> UUID:
    visit = checkup.open_visit(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, "document")
    checkup.answer_questions(services, cast.ANNA.who, visit, CALM)
    return visit


def leave(services: Services, sender: Sender, visit: UUID) -> None:
    checkup.close_visit(services, cast.ANNA.who, visit)
    sender.closed(visit)
    sender.judged(sender.items[-1:])


def record(sender: Sender, kind: str, value: Any, damage: str, at: datetime) -> dict[str, Any]:
    """Return a record of a measurement at that moment, whole or damaged."""
    found = sender.record(kind) if kind == "blood_pressure" else sender.glucose(value)
    if kind == "blood_pressure":
        systolic, diastolic = value
        found |= {"decoded": pressure(max(systolic, diastolic + 20), diastolic, 70), **DAMAGE[damage]}
        if damage == "no number":
            found["decoded"] = {"systolic_mmhg": None, "diastolic_mmhg": None, "pulse_rate": None}
    elif damage == "other strip":
        found["context_raw"] = "02010006"
    elif damage == "no number":
        found |= {"decoded": {"mmol_per_l": None}, "verdict": "not_a_result", "reasons": ["no_concentration"]}
    return found | {"effective_at": iso(at), "time_quality": "corrected"}


def level_after(
    services: Services, sender: Sender, clock: Clock, story: list[tuple[str, Any, str]], order: list[int], batch: int
) -> str:
    """Let a visit's readings, measured a minute apart, arrive in an order and in batches; return the level then."""
    visit, begun = visit_of(services), services.clock()
    sender.opened(visit)
    sender.judged(sender.items[-1:])
    clock.forward(minutes=30)
    items = []
    for place in order:
        sender.reading(visit, **record(sender, *story[place], begun + timedelta(minutes=place + 1)))
        items.append(sender.items[-1])
    for start in range(0, len(items), batch):
        assert {status for status, _code in sender.judged(items[start : start + batch])} == {"accepted"}
    with services.db.read() as tx:
        found = service.triage_of(tx, visit)
    leave(services, sender, visit)
    return found


@SLOW
@given(story=st.lists(measured, min_size=2, max_size=5), data=st.data())
def test_the_level_is_the_same_in_every_order_of_arrival(
    services: Services, sender: Sender, clock: Clock, story: list[tuple[str, Any, str]], data: st.DataObject
) -> None:
    places = list(range(len(story)))
    order, batch = data.draw(st.permutations(places)), data.draw(st.integers(1, len(story)))

    assert level_after(services, sender, clock, story, order, batch) == level_after(
        services, sender, clock, story, places, len(story)
    )


@SLOW
@given(story=st.lists(measured, max_size=4), last=measured.filter(lambda one: one[2] != "whole"))
def test_after_a_failed_try_nothing_measured_before_makes_green(
    services: Services, sender: Sender, clock: Clock, story: list[tuple[str, Any, str]],
    last: tuple[str, Any, str],
) -> None:  # fmt: skip
    calm = [("glucose", 5.5, "whole"), ("blood_pressure", (118, 78), "whole"), ("blood_pressure", (118, 78), "whole")]
    whole = [*story, *calm]
    assert level_after(services, sender, clock, calm, [0, 1, 2], 3) == "GREEN", "else this would prove nothing"

    assert level_after(services, sender, clock, [*whole, last], list(range(len(whole) + 1)), 9) != "GREEN"


@pytest.mark.parametrize("absent", ["answers", "glucose", "blood_pressure"])
def test_what_is_absent_never_makes_green(services: Services, sender: Sender, clock: Clock, absent: str) -> None:
    calm = [("glucose", 5.5, "whole"), ("blood_pressure", (118, 78), "whole"), ("blood_pressure", (118, 78), "whole")]
    story = [one for one in calm if one[0] != absent]
    if absent == "answers":
        assert triage(Case(systolic_mmhg=118, diastolic_mmhg=78, pulse=70, glucose_mmol_l=5.5)) != "GREEN"
    else:
        assert level_after(services, sender, clock, story, list(range(len(story))), 9) != "GREEN"


# --- the pure rules -----------------------------------------------------------------------------------------------

numbers = {
    "systolic_mmhg": st.one_of(st.none(), st.floats(50, 300)), "diastolic_mmhg": st.one_of(st.none(), st.floats(20, 200)),
    "pulse": st.one_of(st.none(), st.floats(20, 250)), "glucose_mmol_l": st.one_of(st.none(), st.floats(0, 60)),
}  # fmt: skip
cases = st.builds(
    Case, symptoms=st.frozensets(st.sampled_from(sorted(rules.SYMPTOMS))), answered=st.booleans(),
    fasting=st.sampled_from([True, False, None]), irregular_pulse=st.booleans(), **numbers,
)  # fmt: skip


@settings(max_examples=400)
@given(case=cases, more=st.sampled_from(sorted(rules.SYMPTOMS)))
def test_one_more_complaint_never_lowers_the_level(case: Case, more: str) -> None:
    assert ORDER.index(triage(replace(case, symptoms=case.symptoms | {more}))) >= ORDER.index(triage(case))


@settings(max_examples=400)
@given(case=cases, lost=st.sampled_from(["answered", *numbers]))
def test_a_lost_fact_never_makes_green(case: Case, lost: str) -> None:
    without = replace(case, **{lost: False if lost == "answered" else None})

    assert triage(without) != "GREEN"


@settings(max_examples=400)
@given(
    case=cases, name=st.sampled_from(["systolic_mmhg", "diastolic_mmhg", "pulse", "glucose_mmol_l"]),
    worse_by=st.floats(0, 100),
)  # fmt: skip
def test_a_number_further_from_the_middle_never_lowers_the_level(case: Case, name: str, worse_by: float) -> None:
    value = getattr(case, name)
    if value is None:
        return
    middle = {"systolic_mmhg": 120, "diastolic_mmhg": 75, "pulse": 75, "glucose_mmol_l": 5.5}[name]
    further = value + worse_by if value >= middle else max(0, value - worse_by)

    assert ORDER.index(triage(replace(case, **{name: further}))) >= ORDER.index(triage(case))


@settings(max_examples=200)
@given(values=st.lists(st.tuples(st.integers(90, 220), st.integers(50, 85)), min_size=2, max_size=5))
def test_the_series_is_the_same_in_every_order_of_arrival_also_on_two_arms(values: list[tuple[int, int]]) -> None:
    single = [series.Single(*value, reading_id=uuid4()) for value in values]

    def arrived(order: tuple[int, ...]) -> list[series.Single]:
        met = [replace(single[place], ordinal=number + 1) for number, place in enumerate(order)]
        met[:2] = [replace(one, arm=arm) for one, arm in zip(met[:2], ("left", "right"), strict=True)]
        return met[:2] + [replace(one, arm=series.higher_arm(met[:2])) for one in met[2:]]

    found = {tuple(series.in_measured_order(arrived(order), single)[0]) for order in permutations(range(len(values)))}

    assert found == {tuple(arrived(tuple(range(len(values)))))}


seconds = st.integers(-4000, 4000)


@settings(max_examples=500)
@given(
    opened_seq=st.integers(1, 5), closed_seq=st.one_of(st.none(), st.integers(2, 9)), seq=st.integers(1, 9),
    closed_s=st.integers(60, 3600), received_s=seconds, effective_s=st.one_of(st.none(), seconds),
    meter_known=st.booleans(), branch_matches=st.booleans(), corner_matches=st.booleans(),
)  # fmt: skip
def test_no_reading_gets_into_a_visit_in_which_it_was_not_measured(
    opened_seq: int, closed_seq: int | None, seq: int, closed_s: int, received_s: int, effective_s: int | None,
    meter_known: bool, branch_matches: bool, corner_matches: bool,
) -> None:  # fmt: skip
    def at(second: int) -> datetime:
        return NOON + timedelta(seconds=second)

    span = VisitSpan(opened_seq, at(0), closed_seq, at(closed_s) if closed_seq else None)
    reason = rules.quarantine_reason(
        seq, at(received_s), at(effective_s) if effective_s is not None else None, span, meter_known=meter_known,
        branch_matches=branch_matches, corner_matches=corner_matches,
    )  # fmt: skip

    if reason is None:
        assert meter_known
        assert branch_matches
        assert corner_matches
        assert seq >= opened_seq
        assert effective_s is not None
        assert -30 <= effective_s <= received_s + 120
        assert closed_seq is None or seq < closed_seq or received_s < closed_s
