"""Triage: the same answers as the gateway's, worse never lower, missing never green."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemed.readings import rules
from telemed.readings.rules import Case, triage

CASES = json.loads((Path(__file__).parent.parent / "contract" / "triage-cases.json").read_text(encoding="utf-8"))
ORDER = ("GREEN", "UNKNOWN", "YELLOW", "AMBER", "RED")
cases = st.builds(
    Case,
    symptoms=st.frozensets(st.sampled_from(sorted(rules.SYMPTOMS)), max_size=3),
    answered=st.booleans(),
    systolic_mmhg=st.none() | st.integers(60, 260),
    diastolic_mmhg=st.none() | st.integers(30, 160),
    pulse=st.none() | st.integers(30, 220),
    glucose_mmol_l=st.none() | st.integers(5, 340).map(lambda tenths: tenths / 10),
    fasting=st.none() | st.booleans(),
    irregular_pulse=st.booleans(),
    known_hypertension=st.none() | st.booleans(),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_server_and_gateway_give_the_same_level(case: dict[str, Any]) -> None:
    assert triage(rules.case_from(case)) == case["level"]


@settings(max_examples=300, deadline=None)
@given(cases, st.sampled_from(sorted(rules.SYMPTOMS)), st.integers(0, 80))
def test_worse_input_never_lowers_the_level(case: Case, symptom: str, more: int) -> None:
    worse = [replace(case, symptoms=case.symptoms | {symptom}), replace(case, irregular_pulse=True)]
    if case.systolic_mmhg is not None and case.systolic_mmhg >= rules.SYSTOLIC_AMBER_BELOW:
        worse.append(replace(case, systolic_mmhg=case.systolic_mmhg + more))
    if case.diastolic_mmhg is not None:
        worse.append(replace(case, diastolic_mmhg=case.diastolic_mmhg + more))
    if case.pulse is not None:
        away = more if case.pulse >= 80 else -more
        worse.append(replace(case, pulse=case.pulse + away))
    if case.glucose_mmol_l is not None:
        away = more if case.glucose_mmol_l >= 5 else -more
        worse.append(replace(case, glucose_mmol_l=case.glucose_mmol_l + away))

    for other in worse:
        assert ORDER.index(triage(other)) >= ORDER.index(triage(case))


@settings(max_examples=300, deadline=None)
@given(cases, st.sampled_from(["systolic_mmhg", "diastolic_mmhg", "pulse", "glucose_mmol_l", "answered"]))
def test_what_is_missing_never_gives_green(case: Case, name: str) -> None:
    assert triage(replace(case, **{name: False if name == "answered" else None})) != "GREEN"


def test_an_unknown_symptom_is_refused() -> None:
    with pytest.raises(ValueError, match="symptom"):
        rules.case_from({"symptoms": ["itch"]})


HEALTHY = next(case for case in CASES if case["name"] == "healthy")


@pytest.mark.parametrize("name", rules.NUMBERS)
def test_nan_is_missing_and_never_green(name: str) -> None:
    case = rules.case_from(HEALTHY)
    assert triage(case) == "GREEN"

    assert triage(replace(case, **{name: float("nan")})) == "UNKNOWN"


@pytest.mark.parametrize(
    "change",
    [{"answered": "false"}, {"pulse": "70"}, {"pulse": True}, {"systolic_mmhg": float("nan")},
     {"glucose_mmol_l": float("inf")}, {"fasting": "yes"}, {"irregular_pulse": None}],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        rules.case_from({**HEALTHY, **change})


def test_hi_and_lo_count_as_beyond_the_meter_and_control_solution_does_not() -> None:
    assert triage(Case(glucose_mmol_l=rules.glucose_beyond_the_meter(["glucose_hi"]))) == "AMBER"
    assert triage(Case(glucose_mmol_l=rules.glucose_beyond_the_meter(["glucose_lo"]))) == "RED"
    assert rules.glucose_beyond_the_meter(["glucose_hi", "control_solution"]) is None
    assert rules.glucose_beyond_the_meter(["glucose_lo", "ketone"]) is None
    assert rules.glucose_beyond_the_meter(["strip_type_incorrect"]) is None


@pytest.mark.parametrize(("values", "mean"), [([], None), ([150], 150), ([150, 140], 145), ([190, 150, 140], 145)])
def test_the_mean_of_the_last_two_counts(values: list[float], mean: float | None) -> None:
    assert rules.mean_of_last_two(values) == mean


def test_worse_keeps_the_more_urgent_level() -> None:
    assert rules.worse("GREEN", "UNKNOWN") == "UNKNOWN"
    assert rules.worse("RED", "AMBER") == "RED"
